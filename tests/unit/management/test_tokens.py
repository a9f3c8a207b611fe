"""Personal tokens by the management API."""

import pytest

from auth.limits import Limits
from auth.roles import Role
from auth.secrets import SecretKind, hash_secret, kind_of
from registry.index import credentials
from registry.oci.errors import Conflict, Denied, InputInvalid, Unknown
from tests.unit.management.conftest import Desk


async def test_a_token_is_made_shown_once_listed_and_revoked(desk: Desk) -> None:
    alice = await desk.user("alice")
    body = {"description": "laptop", "expires": "12h", "read_only": True, "addresses": ["::1"]}

    created = await desk.call("POST", "/users/alice/tokens", body, by=alice)

    secret, token = created.document["secret"], created.document["token"]
    assert created.status == 201
    assert kind_of(secret) is SecretKind.PERSONAL
    listed = await desk.get("/users/alice/tokens", by=alice)
    assert listed == {"tokens": [token]}
    assert (token["description"], token["read_only"], token["addresses"]) == ("laptop", True, ["::1/128"])
    assert token["used_at"] is None
    row = await desk.index.read(lambda connection: credentials.find_by_hash(connection, hash_secret(secret)))
    assert row is not None
    assert row.id == token["id"]

    assert (await desk.call("DELETE", f"/users/alice/tokens/{token['id']}", by=alice)).status == 204
    assert (await desk.get("/users/alice/tokens", by=alice)) == {"tokens": []}
    assert [entry["action"] for entry in (await desk.get("/audit"))["entries"]] == [
        "token.revoke",
        "token.create",
    ]
    assert secret not in str(await desk.get("/audit"))


async def test_a_token_is_bound_to_its_owner(desk: Desk) -> None:
    alice, bob = await desk.user("alice"), await desk.user("bob")
    token = (await desk.call("POST", "/users/bob/tokens", {}, by=bob)).document["token"]

    with pytest.raises(Unknown, match="no token is called"):
        await desk.call("DELETE", f"/users/alice/tokens/{token['id']}", by=alice)
    with pytest.raises(Denied):
        await desk.call("DELETE", f"/users/bob/tokens/{token['id']}", by=alice)
    with pytest.raises(Denied):
        await desk.get("/users/bob/tokens", by=alice)

    assert (await desk.get("/users/bob/tokens", by=bob))["tokens"] == [token]


async def test_an_administrator_makes_and_revokes_tokens_for_others(desk: Desk) -> None:
    await desk.user("alice")
    admin = await desk.user("admin", (Role.ADMINISTRATOR, "**"))

    token = (await desk.call("POST", "/users/alice/tokens", {}, by=admin)).document["token"]

    assert (await desk.call("DELETE", f"/users/alice/tokens/{token['id']}", by=admin)).status == 204


async def test_a_robots_secret_is_no_token_of_the_user_with_its_name(desk: Desk) -> None:
    await desk.user("ci")
    robot = (await desk.call("POST", "/robots", {"name": "ci"})).document["robot"]

    with pytest.raises(Unknown):
        await desk.call("DELETE", f"/users/ci/tokens/{robot['secrets'][0]['id']}")


async def test_the_disabled_get_no_tokens(desk: Desk) -> None:
    await desk.user("alice")
    await desk.call("PATCH", "/users/alice", {"disabled": True})

    with pytest.raises(Conflict, match="alice is disabled: enable the user first"):
        await desk.call("POST", "/users/alice/tokens", {})


@pytest.mark.parametrize("limits", [Limits(read_only=True), Limits.parse(False, ["acme/**"], [])])
async def test_a_limited_token_revokes_nothing(desk: Desk, limits: Limits) -> None:
    alice = await desk.user("alice")
    token = (await desk.call("POST", "/users/alice/tokens", {}, by=alice)).document["token"]

    with pytest.raises(Denied, match="read-only or limited"):
        await desk.call("DELETE", f"/users/alice/tokens/{token['id']}", by=alice._replace(limits=limits))


async def test_a_new_password_ends_what_was_signed_in_with_the_old_one(desk: Desk) -> None:
    alice = await desk.user("alice")
    await desk.call("POST", "/users/alice/tokens", {}, by=alice)
    await desk.index.write(
        lambda connection: credentials.create(
            connection, alice.principal_id or 0, "refresh", "h", "docker", False, (), (), 1.0, None, None
        )
    )
    assert len((await desk.get("/users/alice/tokens"))["tokens"]) == 2

    await desk.call("PUT", "/users/alice/password", {"password": "new password"})

    assert [token["kind"] for token in (await desk.get("/users/alice/tokens"))["tokens"]] == ["personal"]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"expires": "soon"}, "expires: should be a duration like"),
        ({"expires": 0}, "expires: should be a duration like"),
        ({"expires": True}, "expires: should be a duration like"),
        ({"repositories": ["A"]}, "repositories.0: .*should be a repository"),
        ({"addresses": ["10.0.0.1/8"]}, "addresses.0: .*host bits"),
        ({"read_only": "yes"}, "read_only: .*boolean"),
    ],
)
async def test_bad_wishes_are_refused(desk: Desk, body: dict[str, object], problem: str) -> None:
    await desk.user("alice")
    with pytest.raises(InputInvalid, match=problem):
        await desk.call("POST", "/users/alice/tokens", body)
