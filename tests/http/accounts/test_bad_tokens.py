"""Tokens that must count for nothing, sent to a registry: tests/support/bad_tokens.py has the list."""

from contextlib import suppress
from typing import NamedTuple

import jwt
import pytest

from auth.keys import SigningKey
from auth.tokens import Access, Claims
from registry.index import open_index, signing_keys
from tests.http.accounts.conftest import Guarded
from tests.http.accounts.household import PASSWORD, Household
from tests.http.accounts.signing import basic, bearer, challenge_of, token
from tests.http.blocking import blocking_calls_pass
from tests.http.content import push_image
from tests.support.bad_tokens import BAD_TOKENS, FOR_ES256, good

MAKERS = {**BAD_TOKENS, **FOR_ES256}
PATHS = ("/v2/", "/v2/acme/app/manifests/latest", "/v2/_catalog", "/api/v1/account")

# Bytes that no header field can carry are refused by the parser; what is too long for one, too.
NO_HEADER = {"1 MiB of token", "1 MiB of dots"}
TRIMMED = {"a new line behind", "nothing"}


class Workshop(NamedTuple):
    """What is needed to make a token of the registry by hand, good or bad."""

    house: Household
    key: SigningKey
    claims: Claims

    def make(self, what: str) -> str:
        return MAKERS[what](self.key, "entrepot", "entrepot", self.claims)


@pytest.fixture
async def workshop(house: Household, index_url: str) -> Workshop:
    """The registry's own key, and the claims of a token that it gave to alice."""
    await house.user("alice", ("reader", "acme/*"))
    await push_image(house.admin, "latest", "acme/app")
    scope = "repository:acme/app:pull"
    own = await token(
        house.client, scope, "registry:catalog:*", "registry:api:*", fields=basic("alice", PASSWORD)
    )
    with blocking_calls_pass():
        index = open_index(index_url, pool_size=1)
    (row,) = await index.read(signing_keys.all_keys)
    index.close()
    said = jwt.decode(own, options={"verify_signature": False})
    access = [
        Access(entry["type"], entry["name"], tuple(entry["actions"]), entry.get("uid"))
        for entry in said["access"]
    ]
    claims = Claims(
        said["sub"],
        tuple(access),
        said["iat"],
        said["exp"],
        said["jti"],
        principal_id=said["entrepot"]["principal"],
        issuer="entrepot",
    )
    return Workshop(house, SigningKey.from_pem(row.private_key), claims)


async def test_the_good_token_that_all_of_them_spoil_counts(workshop: Workshop) -> None:
    made = good(workshop.key, "entrepot", "entrepot", workshop.claims)

    for path in PATHS:
        assert (await workshop.house.client.get(path, bearer(made))).status == 200


async def test_none_of_them_counts_anywhere(workshop: Workshop) -> None:
    client = workshop.house.client

    for what in MAKERS.keys() - NO_HEADER - TRIMMED:
        bad = workshop.make(what)
        for path in PATHS:
            answer = await client.get(path, bearer(bad))
            _, parameters = challenge_of(answer)
            assert parameters["error"] == "invalid_token", what
            assert answer.code == "UNAUTHORIZED", what
            assert bad.encode() not in answer.body, what
            assert not any(len(part) > 20 and part.encode() in answer.body for part in bad.split(".")), what
            assert answer.errors[0]["message"], what


async def test_what_no_header_field_can_hold(workshop: Workshop) -> None:
    for what in NO_HEADER:
        async with workshop.house.client.socket() as opened:
            head = f"GET /v2/ HTTP/1.1\r\nHost: r\r\nAuthorization: Bearer {workshop.make(what)}\r\n\r\n"
            with suppress(ConnectionError):  # it is refused before its end
                await opened.send(head.encode())
            assert (await opened.answer()).status == 431, what


async def test_a_token_of_nothing(workshop: Workshop) -> None:
    for line in ("Bearer", "Bearer ", "bearer", "Bearer  "):
        answer = await workshop.house.client.get("/v2/", {"Authorization": line})
        assert challenge_of(answer)[1]["error"] == "invalid_token", line


async def test_the_longest_header_field_is_refused_as_a_token(workshop: Workshop) -> None:
    for size in (16 * 1024, 30 * 1024):
        answer = await workshop.house.client.get("/v2/", bearer("a." + size * "b" + ".c"))
        assert challenge_of(answer)[1]["error"] == "invalid_token"


async def test_each_leaves_a_row_in_the_audit(workshop: Workshop) -> None:
    whats = (
        "expired",
        "wrong audience",
        "alg none",
        "an unknown kid",
        "claims under another token's signature",
    )
    for what in whats:
        await workshop.house.client.get("/v2/", bearer(workshop.make(what)))

    rows = await workshop.house.audit(action="sign-in", result="refused")

    assert len(rows) == len(whats)
    for row in rows:
        assert row["actor"] == "anonymous", "what a bad token says of its owner is not to be believed"
        assert row["address"] == "127.0.0.1"
        assert row["request_id"]
        assert row["detail"]["token"]
    for what in whats:
        assert workshop.make(what) not in str(rows)


async def test_a_good_token_for_one_repository_is_none_for_one_below_it(workshop: Workshop) -> None:
    """`acme/app` is no prefix of a right."""
    await workshop.house.grant("user:alice", "reader", "acme/**")
    made = good(workshop.key, "entrepot", "entrepot", workshop.claims)

    for name in ("acme/app/b", "acme/ap", "acme/app2", "acme"):
        answer = await workshop.house.client.get(f"/v2/{name}/tags/list", bearer(made))
        assert challenge_of(answer)[1]["error"] == "insufficient_scope"
        assert challenge_of(answer)[1]["scope"] == f"repository:{name}:pull"


async def test_no_bad_token_is_a_password(workshop: Workshop) -> None:
    client = workshop.house.client
    for what in ("expired", "alg none", "wrong issuer"):
        answer = await client.get("/v2/", basic("alice", workshop.make(what)))
        assert answer.status == 401


async def test_our_own_token_is_no_password(workshop: Workshop) -> None:
    """It is for requests; as a password it would outlive itself."""
    made = good(workshop.key, "entrepot", "entrepot", workshop.claims)

    assert (await workshop.house.client.get("/v2/", basic("alice", made))).status == 401


async def test_eddsa_keys_work_alike(guarded: Guarded) -> None:
    client = await guarded.start(auth={"algorithm": "EdDSA"})

    made = await token(client)

    assert jwt.get_unverified_header(made)["alg"] == "EdDSA"
    assert (await client.get("/v2/", bearer(made))).status == 200
    assert (await client.get("/v2/", bearer(made[:-8] + 8 * "A"))).status == 401
