"""The bad tokens: every one is refused, for its own reason, and the reason says nothing of the token."""

import time

import pytest

from auth.keys import Algorithm, SigningKey, by_kid
from auth.tokens import Access, Claims, OutsideIssuer, TokenInvalid, Verifier
from tests.support.bad_tokens import BAD_TOKENS, FOR_ES256, Maker, good

ISSUER = "https://registry.example"
AUDIENCE = "entrepot"
KEYS = {algorithm: SigningKey.generate(algorithm) for algorithm in (Algorithm.ES256, Algorithm.EDDSA)}

# Words of the reason, by the beginning of the name; the first one that fits counts.
REASONS = {
    "alg none, signed": "the algorithm of its key",
    "alg none": "is not signed",
    "alg None": "is not signed",
    "no signature": "is not signed",
    "HS256": "the algorithm of its key",
    "an algorithm": "the algorithm of its key",
    "the algorithm": "the algorithm of its key",
    "a list of algorithms": "the algorithm of its key",
    "no algorithm": "the algorithm of its key",
    "RS256": "the algorithm of its key",
    "a known kid with an embedded jwk": "the header jwk",
    "an embedded jwk": "the header jwk",
    "a foreign jku": "the header jku",
    "a foreign x5u": "the header x5u",
    "a foreign x5c": "the header x5c",
    "unknown crit": "the header crit",
    "empty crit": "the header crit",
    "an unknown kid": "not known here",
    "no kid": "does not name the key",
    "kid that is a number": "does not name the key",
    "kid that is": "not known here",
    "a stranger's": "signature of the token is wrong",
    "a signature": "signature of the token is wrong",
    "the right signature, spelt": "is not base64url",
    "claims under": "signature of the token is wrong",
    "wrong audience": "another audience",
    "audience": "another audience",
    "no audience": "another audience",
    "wrong issuer": "not trusted here",
    "issuer": "not trusted here",
    "no issuer": "not trusted here",
    "subject": "sub and jti",
    "expired": "has expired",
    "nbf far ahead": "not valid yet",
    "nbf that is a string": "nbf of the token is not a number",
    "iat far ahead": "issued in the future",
    "exp missing": "does not say when it expires",
    "exp that is negative": "exp of the token is not a time",
    "exp beyond all clocks": "exp of the token is not a time",
    "exp 1e999": "exp of the token is not a time",
    "exp NaN": "not made of JSON objects",
    "exp Infinity": "not made of JSON objects",
    "exp": "exp of the token is not a number",
    "access that": "should be a list",
    "access of": "should be an object",
    "actions": "a list of actions",
    "a name": "should have a type",
    "a type": "should have a type",
    "a uid": "should have a type",
    "no private claim": "not made by this registry",
    "a private claim": "not made by this registry",
    "a principal": "not made by this registry",
    "a credential": "not made by this registry",
    "rules": "not made by this registry",
    "nothing": "is not signed",
    "no token at all": "is not signed",
    "two parts": "is not signed",
    "four parts": "is not signed",
    "five parts": "is not signed",
    "padded": "is not signed",
    "a new line": "is not signed",
    "a blank": "is not signed",
    "a header that is a list": "not made of JSON objects",
    "claims that": "not made of JSON objects",
    "claims in UTF-16": "not made of JSON objects",
    "doubled claims": "not made of JSON objects",
    "nested deeply": "not made of JSON objects",
    "a number of 5,000 digits": "not made of JSON objects",
    "1 MiB": "too long",
}


def claims() -> Claims:
    now = int(time.time())
    access = (Access("repository", "acme/app", ("pull", "push"), "0123456789abcdef"),)
    return Claims("user:alice", access, now, now + 300, "token-1", principal_id=7, credential_id=9)


def reason_for(name: str) -> str:
    return next(reason for beginning, reason in REASONS.items() if name.startswith(beginning))


def refusal(verifier: Verifier, token: str) -> str:
    with pytest.raises(TokenInvalid) as caught:
        verifier.verify(token)
    return caught.value.reason


@pytest.fixture(params=KEYS.values(), ids=lambda key: key.algorithm)
def key(request: pytest.FixtureRequest) -> SigningKey:
    found: SigningKey = request.param
    return found


@pytest.fixture
def verifier(key: SigningKey) -> Verifier:
    return Verifier(ISSUER, AUDIENCE, by_kid([key.public]).get)


def test_the_token_that_all_of_them_spoil_is_good(key: SigningKey, verifier: Verifier) -> None:
    assert verifier.verify(good(key, ISSUER, AUDIENCE, claims())).subject == "user:alice"


@pytest.mark.parametrize(("name", "maker"), BAD_TOKENS.items(), ids=BAD_TOKENS)
def test_a_bad_token_counts_for_nothing(name: str, maker: Maker, key: SigningKey, verifier: Verifier) -> None:
    token = maker(key, ISSUER, AUDIENCE, claims())

    reason = refusal(verifier, token)

    assert reason_for(name) in reason
    assert not any(part in reason for part in token.split(".") if part and name != "no token at all")
    assert "alice" not in reason
    assert "evil" not in reason
    assert reason.isprintable()
    assert '"' not in reason, "it goes into header fields"


@pytest.mark.parametrize(("name", "maker"), FOR_ES256.items(), ids=FOR_ES256)
def test_a_bad_token_of_one_algorithm(name: str, maker: Maker) -> None:
    key = KEYS[Algorithm.ES256]
    verifier = Verifier(ISSUER, AUDIENCE, by_kid([key.public]).get)
    assert reason_for(name) in refusal(verifier, maker(key, ISSUER, AUDIENCE, claims()))


# What is not written for outside issuers: their tokens have no private claim, and it means nothing in them.
OURS_ALONE = ("no private claim", "a private", "a principal", "a credential", "rules")


@pytest.mark.parametrize(
    ("name", "maker"),
    [(name, maker) for name, maker in BAD_TOKENS.items() if not name.startswith(OURS_ALONE)],
)
def test_a_bad_token_of_an_outside_issuer_counts_for_nothing(name: str, maker: Maker) -> None:
    ours, theirs = KEYS[Algorithm.ES256], KEYS[Algorithm.EDDSA]
    outside = OutsideIssuer("https://tokens.example", "registry", by_kid([theirs.public]).get)
    verifier = Verifier(ISSUER, AUDIENCE, by_kid([ours.public]).get, [outside])

    assert verifier.verify(good(theirs, outside.issuer, outside.audience, claims())).issuer == outside.issuer
    assert reason_for(name) in refusal(verifier, maker(theirs, outside.issuer, outside.audience, claims()))
