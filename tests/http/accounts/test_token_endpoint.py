"""The token endpoint in both forms: what the clients of PROTOCOL.md section 6 ask for, and what they get."""

from collections.abc import Iterable
from typing import Any

import jwt
import pytest

from tests.http.accounts.conftest import Guarded
from tests.http.accounts.household import PASSWORD, Household
from tests.http.accounts.signing import FORM, ask_token, basic, bearer, challenge_of, post_token, token
from tests.http.client import Client

APP = "repository:acme/app:pull,push"
ALICE = basic("alice", PASSWORD)


@pytest.fixture
async def client(house: Household) -> Client:
    """Alice writes to acme/*, and acme/public is public."""
    await house.user("alice", ("writer", "acme/*"))
    await house.configure("acme/public", public=True)
    return house.client


def claims_of(secret: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(secret, options={"verify_signature": False})
    return claims


def scopes_of(secret: str) -> set[str]:
    """What a token carries, as scopes."""
    access: Iterable[dict[str, Any]] = claims_of(secret)["access"]
    return {f"{entry['type']}:{entry['name']}:{','.join(entry['actions'])}" for entry in access}


async def test_get_gives_what_all_clients_read(client: Client) -> None:
    answer = await ask_token(client, APP, fields=ALICE, account="alice", client_id="docker")

    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    document = answer.json
    assert set(document) == {"token", "access_token", "expires_in"}
    assert document["token"] == document["access_token"]
    assert document["expires_in"] >= 60, "clients raise lower values, and tokens would die early"
    assert len(answer.body) < 64 * 1024, "crane reads no more"
    claims = claims_of(document["token"])
    assert claims["sub"] == "user:alice"
    assert claims["aud"] == "entrepot"
    assert claims["exp"] - claims["iat"] == document["expires_in"]
    assert scopes_of(document["token"]) == {APP}


async def test_the_time_that_is_set_is_told(guarded: Guarded) -> None:
    client = await guarded.start(auth={"token_seconds": 900})

    assert (await ask_token(client)).json["expires_in"] == 900


SCOPES: dict[str, tuple[list[str], set[str]]] = {
    "no scope, as at login": ([], set()),
    "an empty one": ([""], set()),
    "repeated": (
        ["repository:acme/a:pull", "repository:acme/b:pull"],
        {"repository:acme/a:pull", "repository:acme/b:pull"},
    ),
    "joined by blanks": (
        ["repository:acme/a:pull repository:acme/b:pull"],
        {"repository:acme/a:pull", "repository:acme/b:pull"},
    ),
    "one thing twice": (
        ["repository:acme/a:push,pull", "repository:acme/a:pull"],
        {"repository:acme/a:pull,push"},
    ),
    "all actions": (["repository:acme/a:*"], {"repository:acme/a:pull,push"}),
    "more than may be": (["repository:acme/a:pull,push,delete"], {"repository:acme/a:pull,push"}),
    "what may not be at all": (["repository:other/a:pull,push"], set()),
    "a public one": (["repository:acme/public:pull"], {"repository:acme/public:pull"}),
    "with a class": (["repository(plugin):acme/a:pull"], {"repository:acme/a:pull"}),
    "the catalog": (["registry:catalog:*"], {"registry:catalog:*"}),
    "the API": (["registry:api:*"], {"registry:api:*"}),
    "of another type": (["network:acme/a:pull"], set()),
    "an action that nobody knows": (["repository:acme/a:pull,fly"], {"repository:acme/a:pull"}),
    "no name": (["repository::pull"], set()),
    "no action": (["repository:acme/a:"], set()),
    "no grammar": (["pull", "a:b", ":::", "repository:ACME/..:pull"], set()),
    "a host before the name": (["repository:localhost:5000/acme/a:pull"], set()),
}


@pytest.mark.parametrize("what", SCOPES)
@pytest.mark.parametrize("index_url", ["sqlite"], indirect=True)
async def test_a_token_carries_what_of_the_scopes_is_allowed(client: Client, what: str) -> None:
    asked, granted = SCOPES[what]

    got = await ask_token(client, *asked, fields=ALICE)
    posted = await post_token(
        client, grant_type="password", username="alice", password=PASSWORD, scope=" ".join(asked)
    )

    assert got.status == 200
    assert scopes_of(got.json["token"]) == granted
    assert posted.status == 200
    assert scopes_of(posted.json["access_token"]) == granted
    assert set(posted.json["scope"].split()) == granted


async def test_nobody_gets_what_is_public(client: Client) -> None:
    scopes = ("repository:acme/public:pull,push", "repository:acme/app:pull", "registry:api:*")

    for answer in (await ask_token(client, *scopes), await ask_token(client, *scopes, fields=basic("", ""))):
        assert answer.status == 200
        claims = claims_of(answer.json["token"])
        assert claims["sub"] == ""
        assert scopes_of(answer.json["token"]) == {"repository:acme/public:pull"}
        pulled = await client.get("/v2/acme/public/tags/list", bearer(answer.json["token"]))
        assert pulled.status == 200


async def test_a_token_without_access_passes_the_base(client: Client) -> None:
    """Clients look there whether a login was right."""
    for fields in (ALICE, {}):
        answer = await client.get("/v2/", bearer(await token(client, fields=fields)))

        assert answer.status == 200


async def test_wrong_credentials_are_told_so(client: Client) -> None:
    for fields in (
        basic("alice", "wrong"),
        basic("nobody", PASSWORD),
        bearer("x"),
        {"Authorization": "Basic x"},
    ):
        answer = await ask_token(client, APP, fields=fields)

        assert challenge_of(answer) == ("Basic", {"realm": "entrepot", "charset": "UTF-8"})
        assert answer.code == "UNAUTHORIZED"
    posted = await post_token(client, grant_type="password", username="alice", password="wrong")
    assert posted.refusal == (401, "UNAUTHORIZED")


@pytest.mark.parametrize("content_type", [FORM, f"{FORM}; charset=UTF-8", f"{FORM};charset=utf-8"])
async def test_post_with_a_password(client: Client, content_type: str) -> None:
    answer = await post_token(
        client,
        content_type,
        grant_type="password",
        username="alice",
        password=PASSWORD,
        service="entrepot",
        client_id="containerd-client",
        scope=APP,
    )

    assert answer.status == 200
    assert set(answer.json) == {"token", "access_token", "expires_in", "scope"}
    assert answer.json["scope"] == APP
    assert answer.headers["Cache-Control"] == "no-store"


async def test_post_as_nobody(client: Client) -> None:
    answer = await post_token(client, grant_type="password", username="", password="", scope=APP)

    assert answer.status == 200
    assert answer.json["scope"] == ""


@pytest.mark.parametrize("grant_type", ["", "client_credentials", "authorization_code", "PASSWORD"])
async def test_a_grant_that_is_not_known_is_not_found(client: Client, grant_type: str) -> None:
    """On 404 clients fall back to GET, on 400 BuildKit does not."""
    answer = await post_token(client, grant_type=grant_type, username="alice", password=PASSWORD)

    assert answer.status == 404


async def test_methods_that_tokens_have_not(client: Client) -> None:
    for method in ("PUT", "DELETE", "PATCH"):
        answer = await client.request(method, "/v2/token")
        assert answer.status == 405
        assert set(answer.headers["Allow"].split(", ")) >= {"GET", "POST"}


@pytest.mark.parametrize(
    "body",
    [
        b"grant_type=password&username=\xff&password=x",
        b"grant_type=password&username=%ff&password=x",
        b"grant_type=password&grant_type=refresh_token",
        b"grant_type=password&username=a&username=b&password=x",
        b"&".join(b"scope=%d" % number for number in range(1001)),
    ],
)
async def test_forms_that_can_be_read_in_two_ways(client: Client, body: bytes) -> None:
    assert (await client.post("/v2/token", body, {"Content-Type": FORM})).status == 400


async def test_a_form_is_bounded(client: Client) -> None:
    too_long = b"grant_type=password&username=alice&password=" + 64 * 1024 * b"x"

    assert (await client.post("/v2/token", too_long, {"Content-Type": FORM})).status == 413


async def test_too_many_scopes_for_a_token_are_refused(client: Client, house: Household) -> None:
    """A token that no header field could hold would be of no use."""
    await house.grant("user:alice", "writer", "long/**")
    scopes = [f"repository:long/{number:03}{200 * 'x'}:pull,push" for number in range(100)]

    answer = await post_token(
        client, grant_type="password", username="alice", password=PASSWORD, scope=" ".join(scopes)
    )
    fewer = await post_token(
        client, grant_type="password", username="alice", password=PASSWORD, scope=" ".join(scopes[:20])
    )

    assert answer.refusal == (400, "UNSUPPORTED")
    assert "fewer" in answer.errors[0]["message"]
    assert len(fewer.json["token"]) > 4096
    used = await client.get(f"/v2/long/000{200 * 'x'}/tags/list", bearer(fewer.json["token"]))
    assert used.refusal == (404, "NAME_UNKNOWN")


async def test_scopes_beyond_the_hundredth_are_left_out(client: Client) -> None:
    scopes = [f"repository:acme/{number}:pull" for number in range(150)]

    answer = await post_token(
        client, grant_type="password", username="alice", password=PASSWORD, scope=" ".join(scopes)
    )

    assert answer.json["scope"].split() == scopes[:100]


async def test_all_keys_of_the_key_set_are_public(client: Client) -> None:
    own = await token(client, fields=ALICE)

    for path in ("/v2/token/keys", "/.well-known/jwks.json"):
        for fields in ({}, ALICE, bearer("not.a.token")):
            answer = await client.get(path, fields)
            assert answer.status == 200
            assert answer.headers["Content-Type"] == "application/jwk-set+json"
            assert [set(key) for key in answer.json["keys"]] == [
                {"kty", "crv", "x", "y", "kid", "alg", "use"}
            ]
        keys = jwt.PyJWKSet.from_dict(answer.json)
        published = keys[jwt.get_unverified_header(own)["kid"]]
        assert jwt.decode(own, published, ["ES256"], audience="entrepot")["sub"] == "user:alice"
