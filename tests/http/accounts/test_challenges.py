"""What a 401 tells a client to do: the grammar of the challenge, the address of its realm, and its reason."""

import asyncio
from collections.abc import Mapping

import pytest

from tests.http.accounts.conftest import Guarded
from tests.http.accounts.household import PASSWORD, Household
from tests.http.accounts.signing import SignedIn, basic, bearer, challenge_of, token
from tests.http.client import Client, GivenHeaders
from tests.http.content import MISSING, start_upload

TRUSTED = {"trusted_proxies": ["127.0.0.0/8"]}


async def challenge(client: Client, path: str, headers: GivenHeaders = ()) -> str:
    """The whole line."""
    answer = await client.get(path, headers)
    assert challenge_of(answer)
    return answer.headers["WWW-Authenticate"]


async def test_the_challenge_is_what_the_clients_of_all_engines_parse(house: Household) -> None:
    realm = f'Bearer realm="http://127.0.0.1:{house.client.port}/v2/token",service="entrepot"'

    assert await challenge(house.client, "/v2/") == realm
    assert await challenge(house.client, "/v2/_catalog") == f'{realm},scope="registry:catalog:*"'
    assert (
        await challenge(house.client, f"/v2/acme/app/blobs/{MISSING}")
        == f'{realm},scope="repository:acme/app:pull"'
    )
    for method, actions in (("PUT", "pull,push"), ("DELETE", "delete"), ("HEAD", "pull")):
        answer = await house.client.request(method, "/v2/acme/app/manifests/latest")
        assert answer.headers["WWW-Authenticate"] == f'{realm},scope="repository:acme/app:{actions}"'


async def test_one_scheme_is_offered_whatever_was_tried(house: Household) -> None:
    for fields in (basic("alice", "wrong"), bearer("no.to.ken"), {"Authorization": "Digest x"}):
        scheme, parameters = challenge_of(await house.client.get("/v2/", fields))
        assert scheme == "Bearer"
        assert list(parameters)[:2] == ["realm", "service"]


async def test_the_reason_is_the_last_parameter(house: Household) -> None:
    """Some clients stop at the first one that they don't know."""
    await house.user("alice", ("reader", "acme/*"))
    own = await token(house.client, "repository:acme/app:pull", fields=basic("alice", PASSWORD))

    lacking = await challenge(house.client, "/v2/acme/other/tags/list", bearer(own))
    broken = await challenge(house.client, "/v2/acme/app/tags/list", bearer(own[:-10]))

    assert lacking.endswith(',scope="repository:acme/other:pull",error="insufficient_scope"')
    assert broken.endswith('service="entrepot",error="invalid_token"')


async def test_head_has_the_challenge_and_no_body(house: Household) -> None:
    for path in ("/v2/", f"/v2/acme/app/blobs/{MISSING}", "/v2/acme/app/manifests/latest"):
        got = await house.client.get(path)
        headed = await house.client.head(path)

        assert challenge_of(headed) == challenge_of(got)
        assert headed.body == b""
        assert got.code == "UNAUTHORIZED"


async def test_basic_without_the_right_is_told_what_is_missing(house: Household) -> None:
    """A better token could not help, so there is no challenge: clients would ask again and again."""
    await house.user("alice", ("reader", "acme/app"))
    alice = SignedIn(house.client, basic("alice", PASSWORD))

    answer = await alice.post("/v2/acme/app/blobs/uploads/")

    assert answer.refusal == (403, "DENIED")
    assert "WWW-Authenticate" not in answer.headers
    (error,) = answer.errors
    assert error["message"] == error["detail"]["reason"]
    assert error["detail"] == {
        "principal": "user:alice",
        "action": "push",
        "repository": "acme/app",
        "reason": "push on acme/app needs the role writer for user:alice or one of its groups; "
        "user:alice is reader on acme/app, which is not enough",
    }


async def test_a_token_without_the_right_is_told_what_is_missing(house: Household) -> None:
    await house.user("alice", ("reader", "acme/app"))
    own = await token(house.client, "repository:acme/app:pull,push", fields=basic("alice", PASSWORD))

    answer = await house.client.post("/v2/acme/app/blobs/uploads/", headers=bearer(own))

    assert challenge_of(answer)[1]["error"] == "insufficient_scope"
    assert answer.errors[0]["detail"]["reason"].startswith("push on acme/app needs the role writer")


async def test_an_unknown_scheme_is_named(house: Household) -> None:
    answer = await house.client.get("/v2/", {"Authorization": "Negotiate YII="})

    assert challenge_of(answer)
    assert "Basic" in answer.errors[0]["message"]


@pytest.mark.parametrize(
    "form", ["Basic", "Basic ", "Basic !!!", "Basic YQ", "Basic YQ==", "Basic /w==", "Basic OgA="]
)
async def test_broken_basic_is_refused(house: Household, form: str) -> None:
    answer = await house.client.get("/v2/", {"Authorization": form})

    assert challenge_of(answer)


async def test_empty_credentials_are_nobody(house: Household) -> None:
    """Clients without credentials answer a challenge so; they may pull what is public."""
    await house.configure("acme/public", public=True)

    answer = await house.client.get("/v2/acme/public/tags/list", basic("", ""))

    assert answer.status == 200


REALMS: dict[str, tuple[Mapping[str, str], str]] = {
    "Host": ({"Host": "registry.example:5000"}, "http://registry.example:5000"),
    "X-Forwarded": (
        {"Host": "inner", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "r.example"},
        "https://r.example",
    ),
    "Forwarded": ({"Forwarded": "proto=https;host=r.example"}, "https://r.example"),
    "a prefix": (
        {
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Host": "r.example",
            "X-Forwarded-Prefix": "/registry",
        },
        "https://r.example/registry",
    ),
    "a host that would leave the quotes": (
        {"Host": "own", "X-Forwarded-Host": 'r.example",error="x'},
        "http://own",
    ),
}


@pytest.mark.parametrize("index_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("what", REALMS)
async def test_the_realm_is_where_the_client_reached_the_registry(guarded: Guarded, what: str) -> None:
    headers, base = REALMS[what]
    client = await guarded.start(server=TRUSTED)

    _, parameters = challenge_of(await client.get("/v2/", headers))

    assert parameters["realm"] == f"{base}/v2/token"


@pytest.mark.parametrize("index_url", ["sqlite"], indirect=True)
async def test_only_a_trusted_proxy_says_where_tokens_are_had(guarded: Guarded) -> None:
    """Or anybody between could send credentials to his own server."""
    client = await guarded.start()

    _, parameters = challenge_of(
        await client.get(
            "/v2/", {"Host": "own", "X-Forwarded-Host": "evil.example", "Forwarded": "host=evil"}
        )
    )

    assert parameters["realm"] == "http://own/v2/token"


@pytest.mark.parametrize("index_url", ["sqlite"], indirect=True)
async def test_the_realm_as_it_is_configured(guarded: Guarded) -> None:
    outside = await guarded.start(server={"external_url": "https://registry.example.com"})
    prefixed = await guarded.start(server={"path_prefix": "/hub"})
    both = await guarded.start(server={"external_url": "https://r.example.com", "path_prefix": "/hub"})
    other = await guarded.start(auth={"realm": "https://auth.example.com/token", "service": "registry 1"})

    assert "https://registry.example.com/v2/token" in await challenge(outside, "/v2/", {"Host": "own"})
    assert '"http://own/hub/v2/token"' in await challenge(prefixed, "/hub/v2/", {"Host": "own"})
    assert '"https://r.example.com/hub/v2/token"' in await challenge(both, "/v2/")
    assert (
        await challenge(other, "/v2/") == 'Bearer realm="https://auth.example.com/token",service="registry 1"'
    )


@pytest.mark.parametrize("index_url", ["sqlite"], indirect=True)
async def test_the_realm_really_gives_tokens(guarded: Guarded) -> None:
    client = await guarded.start(server={"path_prefix": "/hub"})
    own = f"127.0.0.1:{client.port}"

    _, parameters = challenge_of(await client.get("/hub/v2/acme/app/tags/list"))

    path = parameters["realm"].removeprefix(f"http://{own}")
    answer = await client.get(f"{path}?service={parameters['service']}&scope={parameters['scope']}")
    assert answer.status == 200
    assert answer.json["token"]


@pytest.mark.parametrize("framing", ["Content-Length: 50000000\r\n", "Transfer-Encoding: chunked\r\n"])
async def test_a_refusal_before_a_large_body_comes_at_once(house: Household, framing: str) -> None:
    """The client hears of it while it sends, and the connection is never taken up in the middle of a body."""
    session = await start_upload(house.admin, "acme/app")
    head = f"PATCH {session} HTTP/1.1\r\nHost: r\r\n{framing}\r\n".encode()
    async with house.client.socket() as opened:
        await opened.send(head + b"10000\r\n" + 65536 * b"x")

        answer = await opened.answer("PATCH")

        assert challenge_of(answer)[1]["scope"] == "repository:acme/app:pull,push"
        assert answer.code == "UNAUTHORIZED"
        await opened.send(b"GET /v2/ HTTP/1.1\r\nHost: r\r\n\r\n")  # bytes of the body, to the server
        with pytest.raises((TimeoutError, asyncio.IncompleteReadError, ConnectionError)):
            await opened.answer(seconds=0.3)
    status = await house.admin.get(session)
    assert status.headers["Range"] == "0-0", "nothing of what was refused is kept"


async def test_a_refused_body_that_is_sent_whole_leaves_a_good_connection(house: Household) -> None:
    session = await start_upload(house.admin, "acme/app")
    size = 3 * 1024 * 1024
    async with house.client.socket() as opened:
        await opened.send(f"PATCH {session} HTTP/1.1\r\nHost: r\r\nContent-Length: {size}\r\n\r\n".encode())
        refused = await opened.answer("PATCH")
        assert refused.status == 401
        if refused.headers.get("Connection") == "close":
            return
        await opened.send(size * b"x" + b"GET /v2/token/keys HTTP/1.1\r\nHost: r\r\n\r\n")

        assert (await opened.answer()).status == 200


async def test_expect_continue_is_spared_the_body(house: Household) -> None:
    session = await start_upload(house.admin, "acme/app")
    async with house.client.socket() as opened:
        await opened.send(
            f"PATCH {session} HTTP/1.1\r\nHost: r\r\nContent-Length: 9\r\n"
            "Expect: 100-continue\r\n\r\n".encode()
        )

        assert (await opened.answer("PATCH")).status == 401


async def test_without_accounts_there_is_neither_challenge_nor_token(guarded: Guarded) -> None:
    client = await guarded.start(auth={"mode": "open"})

    assert (await client.get("/v2/")).status == 200
    assert (await client.get("/v2/token")).refusal == (404, "UNSUPPORTED")
    assert (await client.get("/v2/", basic("any", "body"))).status == 200
