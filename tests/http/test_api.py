"""The management API over HTTP: what the adapter adds to the operations."""

import json

import pytest

from tests.http.client import Client
from tests.http.serving import Registries

API = "/api/v1"


@pytest.fixture
async def closed(registries: Registries) -> Client:
    """A registry with accounts, in which nobody is signed in."""
    return await registries.start(auth={"mode": "accounts"})


async def test_the_document_is_for_all(closed: Client) -> None:
    answer = await closed.get(f"{API}/openapi.json")

    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json["openapi"] == "3.1.0"


async def test_without_an_account_the_way_to_a_token_is_told(closed: Client) -> None:
    answer = await closed.get(f"{API}/users")

    assert answer.refusal == (401, "UNAUTHORIZED")
    challenge = answer.headers["WWW-Authenticate"]
    assert challenge.startswith("Bearer realm=")
    assert 'scope="registry:api:*"' in challenge


async def test_nobody_sees_no_more_than_what_is_public(closed: Client) -> None:
    assert (await closed.get(f"{API}/repositories")).json == {"repositories": [], "next": None}
    assert (await closed.get(f"{API}/repositories/acme/app")).refusal == (401, "UNAUTHORIZED")
    assert (await closed.delete(f"{API}/repositories/acme/app")).refusal == (401, "UNAUTHORIZED")


async def test_an_open_registry_lets_all_see_repositories_and_none_manage_accounts(client: Client) -> None:
    made = await client.patch(f"{API}/repositories/acme/app", json.dumps({"description": "an app"}).encode())

    assert made.status == 200
    listed = await client.get(f"{API}/repositories")
    assert [entry["name"] for entry in listed.json["repositories"]] == ["acme/app"]
    assert (await client.post(f"{API}/users", b'{"name":"eve"}')).status == 401


async def test_answers_are_not_kept(client: Client) -> None:
    answer = await client.get(f"{API}/repositories")

    assert answer.headers["Cache-Control"] == "no-store"


async def test_head_is_get_without_the_body(client: Client) -> None:
    got, head = await client.get(f"{API}/repositories"), await client.head(f"{API}/repositories")

    assert head.status == 200
    assert head.headers["Content-Length"] == got.headers["Content-Length"]


async def test_what_is_deleted_is_answered_without_content(client: Client) -> None:
    await client.patch(f"{API}/repositories/acme/app", b"{}")

    answer = await client.delete(f"{API}/repositories/acme%2Fapp")

    assert (answer.status, answer.body) == (204, b"")
    assert (await client.get(f"{API}/repositories/acme/app")).refusal == (404, "NAME_UNKNOWN")


@pytest.mark.parametrize(
    ("method", "path", "body", "refusal"),
    [
        ("GET", "/ghosts", None, (404, "UNSUPPORTED")),
        ("GET", "", None, (404, "UNSUPPORTED")),
        ("PUT", "/repositories", b"{}", (405, "UNSUPPORTED")),
        ("TRACE", "/repositories", None, (405, "UNSUPPORTED")),
        ("GET", "/repositories?n=x", None, (400, "INVALID")),
        ("GET", "/repositories?n=1&n=2", None, (400, "INVALID")),
        ("GET", "/repositories?last=%ff", None, (400, "UNSUPPORTED")),
        ("GET", "/repositories?last=%00", None, (400, "INVALID")),
        ("GET", "/repositories/Acme", None, (400, "NAME_INVALID")),
        ("PATCH", "/repositories/acme/app", b"", (400, "INVALID")),
        ("PATCH", "/repositories/acme/app", b"[" * 100_000, (400, "INVALID")),
        ("PATCH", "/repositories/acme/app", b'{"public":true,"public":false}', (400, "INVALID")),
        ("PATCH", "/repositories/acme/app", b'{"quota":NaN}', (400, "INVALID")),
        ("PATCH", "/repositories/acme/app", b'{"quota":' + b"9" * 5000 + b"}", (400, "INVALID")),
        ("PATCH", "/repositories/acme/app", b'{"description":"\\ud800"}', (400, "INVALID")),
        ("DELETE", "/repositories/acme/app/-/tags/..", None, (400, "TAG_INVALID")),
    ],
)
async def test_bad_requests(
    client: Client, method: str, path: str, body: bytes | None, refusal: tuple[int, str]
) -> None:
    answer = await client.request(method, f"{API}{path}", body)

    assert answer.refusal == refusal
    assert ("Allow" in answer.headers) == (refusal[0] == 405)


async def test_a_body_has_a_limit(client: Client) -> None:
    body = b'{"description":"' + b"a" * 1024 * 1024 + b'"}'

    answer = await client.patch(f"{API}/repositories/acme/app", body)

    assert answer.status == 413
