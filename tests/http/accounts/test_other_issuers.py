"""Tokens of another token server: what they carry is allowed, and nothing else."""

import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from auth.keys import SigningKey
from auth.tokens import Access, Claims, sign
from tests.http.accounts.conftest import Guarded
from tests.http.accounts.household import Household
from tests.http.accounts.signing import SignedIn, bearer, challenge_of
from tests.http.client import Client
from tests.http.content import REPOSITORY, push_blob
from tests.support.issuer import Issuer

ISSUER = "https://tokens.example.com"
AUDIENCE = "the registry"
PULL = Access("repository", REPOSITORY, ("pull",))
PUSH = Access("repository", REPOSITORY, ("push",))
PATH = f"/v2/{REPOSITORY}/tags/list"


def token(key: SigningKey, *entries: Access, issuer: str = ISSUER, audience: str = AUDIENCE) -> str:
    now = int(time.time())
    return sign(Claims("their user", entries, now, now + 300, "1"), key, issuer, audience)


@pytest.fixture(scope="module")
def key() -> SigningKey:
    return SigningKey.generate("ES256")


@pytest.fixture
async def client(guarded: Guarded, key: SigningKey, tmp_path: Path) -> Client:
    """A registry that believes one other token server."""
    pem = key.private_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "theirs.pem").write_bytes(pem)
    other = {"issuer": ISSUER, "audience": AUDIENCE, "keys_file": str(tmp_path / "theirs.pem")}
    return await guarded.start(auth={"issuers": [other]})


async def test_what_the_token_carries_is_allowed(client: Client, key: SigningKey) -> None:
    pushing = SignedIn(client, bearer(token(key, PULL, PUSH)))
    digest = await push_blob(pushing, b"theirs")

    assert (await pushing.get(f"/v2/{REPOSITORY}/blobs/{digest}")).body == b"theirs"


async def test_nothing_else_is(client: Client, key: SigningKey) -> None:
    pulling = SignedIn(client, bearer(token(key, PULL)))

    scheme, parameters = challenge_of(await pulling.post(f"/v2/{REPOSITORY}/blobs/uploads/"))
    assert (scheme, parameters["error"]) == ("Bearer", "insufficient_scope")
    assert (await pulling.get("/v2/other/app/tags/list")).status == 401
    assert (await pulling.get("/v2/_catalog")).status == 401
    assert (await pulling.get("/api/v1/users")).status == 401


async def test_their_administrators_are_not_ours(client: Client, key: SigningKey) -> None:
    everything = Access("registry", "api", ("*",))
    theirs = SignedIn(client, bearer(token(key, everything)))

    assert (await theirs.get("/api/v1/users")).refusal == (403, "DENIED")
    assert (await theirs.get("/api/v1/audit")).refusal == (403, "DENIED")


async def test_a_catalog_token_shows_the_catalog(client: Client, key: SigningKey) -> None:
    await push_blob(SignedIn(client, bearer(token(key, PULL, PUSH))), b"theirs")
    listing = SignedIn(client, bearer(token(key, Access("registry", "catalog", ("*",)))))

    assert (await listing.get("/v2/_catalog")).json == {"repositories": [REPOSITORY]}


async def test_a_mount_from_where_the_token_may_not_pull_goes_on_as_an_upload(
    client: Client, key: SigningKey
) -> None:
    other = Access("repository", "other/app", ("pull", "push"))
    digest = await push_blob(SignedIn(client, bearer(token(key, other))), b"theirs", "other/app")
    pushing = SignedIn(client, bearer(token(key, PULL, PUSH)))

    for query in (f"mount={digest}&from=other/app", f"mount={digest}"):
        assert (await pushing.post(f"/v2/{REPOSITORY}/blobs/uploads/?{query}")).status == 202


@pytest.mark.parametrize(
    ("issuer", "audience"), [("entrepot", "entrepot"), (ISSUER, "entrepot"), ("https://no", AUDIENCE)]
)
async def test_their_key_signs_for_them_alone(
    client: Client, key: SigningKey, issuer: str, audience: str
) -> None:
    answer = await SignedIn(client, bearer(token(key, PULL, issuer=issuer, audience=audience))).get(PATH)

    _, parameters = challenge_of(answer)
    assert parameters["error"] == "invalid_token"


async def test_our_key_does_not_sign_for_them(client: Client) -> None:
    ours = SigningKey.generate("ES256")

    assert (await SignedIn(client, bearer(token(ours, PULL))).get(PATH)).status == 401


async def test_keys_that_they_publish_are_fetched(guarded: Guarded, gitlab: Issuer) -> None:
    other = {"issuer": ISSUER, "audience": AUDIENCE, "jwks_url": gitlab.jwks_url}
    client = await guarded.start(auth={"issuers": [other]})
    access = [{"type": "repository", "name": REPOSITORY, "actions": ["pull"]}]
    theirs = gitlab.token(iss=ISSUER, aud=AUDIENCE, sub="them", access=access)

    assert (await SignedIn(client, bearer(theirs)).get(PATH)).refusal == (404, "NAME_UNKNOWN")


async def test_clients_are_sent_to_their_server(guarded: Guarded) -> None:
    house = await Household.of(await guarded.start(auth={"realm": "https://tokens.example.com/token"}))

    _, parameters = challenge_of(await house.client.get("/v2/"))
    assert parameters["realm"] == "https://tokens.example.com/token"
