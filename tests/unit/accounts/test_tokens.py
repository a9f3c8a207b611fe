import random
import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from hypothesis import given
from hypothesis import strategies as st

from auth.jws import LONGEST_TOKEN, looks_like_jwt, unverified_issuer, unverified_key_id
from auth.keys import Algorithm, SigningKey, by_kid, parse_jwks
from auth.principals import Kind, Principal, check_subject
from auth.tokens import Access, Claims, OutsideIssuer, TokenInvalid, Verifier, sign
from tests.support.bad_tokens import assemble, good, header_of, payload_of, with_claims

ISSUER = "https://registry.example"
AUDIENCE = "entrepot"
KEY = SigningKey.generate("ES256")
VERIFIER = Verifier(ISSUER, AUDIENCE, by_kid([KEY.public]).get)
ALGORITHMS = ("ES256", "EdDSA")
NO_KEYS = by_kid([]).get


def claims(**changes: object) -> Claims:
    now = int(time.time())
    made = Claims(
        subject="user:alice",
        access=(
            Access("repository", "acme/app", ("pull", "push"), "0123456789abcdef"),
            Access("registry", "catalog", ("*",)),
        ),
        issued_at=now,
        expires_at=now + 300,
        token_id="token-1",
        principal_id=7,
        credential_id=9,
        rules=(3, 4),
        issuer=ISSUER,
    )
    return made._replace(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_is_signed_is_what_is_verified(algorithm: str) -> None:
    key = SigningKey.generate(algorithm)
    verifier = Verifier(ISSUER, AUDIENCE, by_kid([key.public]).get)

    assert verifier.verify(sign(claims(), key, ISSUER, AUDIENCE)) == claims()


def test_the_token_of_the_anonymous() -> None:
    nobody = claims(subject="", access=(), principal_id=None, credential_id=None, rules=())
    assert VERIFIER.verify(sign(nobody, KEY, ISSUER, AUDIENCE)) == nobody


def test_a_token_is_what_other_registries_read() -> None:
    """The members of distribution's jwt.md, with nothing else of ours in them but one private claim."""
    token = sign(claims(), KEY, ISSUER, AUDIENCE)

    assert jwt.get_unverified_header(token) == {"alg": "ES256", "kid": KEY.kid, "typ": "JWT"}
    payload = jwt.decode(token, KEY.public.key, ["ES256"], audience=AUDIENCE, issuer=ISSUER)
    assert set(payload) == {"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "access", "entrepot"}
    assert payload["access"] == [
        {"type": "repository", "name": "acme/app", "actions": ["pull", "push"], "uid": "0123456789abcdef"},
        {"type": "registry", "name": "catalog", "actions": ["*"]},
    ]


def test_too_much_access_for_one_token_is_told_when_it_is_signed() -> None:
    many = tuple(Access("repository", f"{number:03}/" + "a" * 200, ("pull",)) for number in range(100))
    with pytest.raises(ValueError, match="ask for fewer"):
        sign(claims(access=many), KEY, ISSUER, AUDIENCE)


def test_a_token_as_long_as_may_be() -> None:
    length = len(sign(claims(access=()), KEY, ISSUER, AUDIENCE))
    assert length < LONGEST_TOKEN
    token = with_claims(more="x" * 11_000)(KEY, ISSUER, AUDIENCE, claims())
    assert length < len(token) < LONGEST_TOKEN
    assert VERIFIER.verify(token) == claims()


def test_the_longest_subject_of_a_job_fits() -> None:
    job = Principal(Kind.JOB, check_subject("x" * 255))
    assert VERIFIER.verify(sign(claims(subject=str(job)), KEY, ISSUER, AUDIENCE)).subject == str(job)
    with pytest.raises(TokenInvalid, match="sub and jti"):
        VERIFIER.verify(sign(claims(subject="x" * 300), KEY, ISSUER, AUDIENCE))


def test_a_clock_may_be_off_by_a_minute() -> None:
    now = time.time()
    for changes in (
        {"exp": now - 40},
        {"nbf": now + 40},
        {"iat": now + 40},
        {"exp": now + 0.5},
    ):
        assert VERIFIER.verify(with_claims(**changes)(KEY, ISSUER, AUDIENCE, claims()))
    for changes in ({"exp": now - 80}, {"nbf": now + 80}, {"iat": now + 80}):
        with pytest.raises(TokenInvalid):
            VERIFIER.verify(with_claims(**changes)(KEY, ISSUER, AUDIENCE, claims()))


def test_one_audience_of_several_is_enough() -> None:
    token = with_claims(aud=["another", AUDIENCE])(KEY, ISSUER, AUDIENCE, claims())
    assert VERIFIER.verify(token) == claims()


def test_keys_are_looked_up_each_time() -> None:
    """So that a key that was dropped signs nothing any more, and a new one is known at once."""
    keys = by_kid([KEY.public])
    verifier = Verifier(ISSUER, AUDIENCE, lambda kid: keys.get(kid))
    token = sign(claims(), KEY, ISSUER, AUDIENCE)
    assert verifier.verify(token)

    keys.clear()
    with pytest.raises(TokenInvalid, match="not known here"):
        verifier.verify(token)


class TestOutsideIssuers:
    THEIRS = SigningKey.generate("EdDSA")
    OUTSIDE = OutsideIssuer("https://tokens.example", "registry", by_kid([THEIRS.public]).get)
    VERIFIER = Verifier(ISSUER, AUDIENCE, by_kid([KEY.public]).get, [OUTSIDE])

    def test_their_token_counts_without_our_private_claim(self) -> None:
        token = sign(claims(), self.THEIRS, self.OUTSIDE.issuer, self.OUTSIDE.audience)

        verified = self.VERIFIER.verify(token)

        assert (verified.subject, verified.issuer) == ("user:alice", self.OUTSIDE.issuer)
        assert verified.access == claims().access
        assert (verified.principal_id, verified.credential_id) == (None, None)
        assert verified.rules == ()

    def test_their_token_may_say_little(self) -> None:
        expires_at = int(time.time()) + 60
        payload = {"iss": self.OUTSIDE.issuer, "aud": "registry", "exp": expires_at, "access": None}

        verified = self.VERIFIER.verify(assemble(header_of(self.THEIRS), payload, self.THEIRS))

        assert verified == Claims("", (), 0, expires_at, "", issuer=self.OUTSIDE.issuer)

    def test_their_key_does_not_sign_for_us(self) -> None:
        with pytest.raises(TokenInvalid, match="not known here"):
            self.VERIFIER.verify(sign(claims(), self.THEIRS, ISSUER, AUDIENCE))

    def test_our_key_does_not_sign_for_them(self) -> None:
        with pytest.raises(TokenInvalid, match="not known here"):
            self.VERIFIER.verify(sign(claims(), KEY, self.OUTSIDE.issuer, self.OUTSIDE.audience))

    def test_our_audience_is_not_theirs(self) -> None:
        with pytest.raises(TokenInvalid, match="another audience"):
            self.VERIFIER.verify(sign(claims(), self.THEIRS, self.OUTSIDE.issuer, AUDIENCE))

    def test_two_of_one_name_are_refused(self) -> None:
        for issuer in (ISSUER, self.OUTSIDE.issuer):
            with pytest.raises(ValueError, match="two issuers"):
                Verifier(ISSUER, AUDIENCE, NO_KEYS, [self.OUTSIDE, self.OUTSIDE._replace(issuer=issuer)])


def test_rsa_is_for_outside_issuers_only(rsa_key: RSAPrivateKey) -> None:
    jwk = {**jwt.get_algorithm_by_name("RS256").to_jwk(rsa_key.public_key(), as_dict=True), "kid": "rsa"}
    keys = by_kid(parse_jwks({"keys": [jwk]})).get
    payload = payload_of(KEY, "https://tokens.example", AUDIENCE, claims())
    token = jwt.encode(payload, rsa_key, "RS256", headers={"kid": "rsa"})

    outside = Verifier(ISSUER, AUDIENCE, NO_KEYS, [OutsideIssuer("https://tokens.example", AUDIENCE, keys)])
    assert outside.verify(token).subject == "user:alice"
    ours = Verifier("https://tokens.example", AUDIENCE, keys)
    with pytest.raises(TokenInvalid, match="algorithm of its key"):
        ours.verify(token)


@given(st.randoms(use_true_random=False))
def test_no_change_of_a_token_is_accepted_or_crashes(chance: random.Random) -> None:
    token = good(KEY, ISSUER, AUDIENCE, claims())
    assert VERIFIER.verify(token)
    changed = list(token)
    for _ in range(chance.randint(1, 3)):
        position = chance.randrange(len(changed))
        changed[position : position + chance.randint(0, 2)] = chance.choice([*"AQgw_-.=\n\0é", ""])
    mutated = "".join(changed)
    if mutated != token:
        with pytest.raises(TokenInvalid):
            VERIFIER.verify(mutated)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
CLAIMS = ("iss", "sub", "aud", "exp", "nbf", "iat", "jti", "access", "entrepot")


def is_refused(token: str) -> bool:
    """Whether a token is refused; anything but a refusal or claims of the right types fails the test."""
    try:
        verified = VERIFIER.verify(token)
    except TokenInvalid:
        return True
    assert isinstance(verified.expires_at, int)
    assert all(isinstance(access, Access) for access in verified.access)
    return False


@given(st.dictionaries(st.sampled_from(CLAIMS), JSON, min_size=1))
def test_whatever_is_claimed_is_accepted_or_refused(changes: dict[str, object]) -> None:
    refused = is_refused(with_claims(**changes)(KEY, ISSUER, AUDIENCE, claims()))
    assert refused or not {"iss", "aud"} & set(changes), "no JSON made at random names us"


@given(st.dictionaries(st.sampled_from(("alg", "kid", "typ", "jwk", "crit", "b64")), JSON, min_size=1))
def test_a_header_can_only_be_refused(changes: dict[str, object]) -> None:
    token = assemble({**header_of(KEY), **changes}, payload_of(KEY, ISSUER, AUDIENCE, claims()), KEY)
    assert is_refused(token) or not {"alg", "kid", "jwk", "crit"} & set(changes)


@given(st.text())
def test_any_text_is_looked_at_without_a_crash(text: str) -> None:
    with pytest.raises(TokenInvalid):
        VERIFIER.verify(text)
    assert unverified_issuer(text) is None
    assert unverified_key_id(text) is None


def test_what_a_token_says_of_itself() -> None:
    token = sign(claims(), KEY, ISSUER, AUDIENCE)
    assert unverified_issuer(token) == ISSUER
    assert unverified_key_id(token) == KEY.kid
    assert unverified_issuer(with_claims(iss=["a"])(KEY, ISSUER, AUDIENCE, claims())) is None
    assert unverified_issuer(with_claims(iss="a\nb")(KEY, ISSUER, AUDIENCE, claims())) is None


def test_what_looks_like_a_token() -> None:
    token = sign(claims(), KEY, ISSUER, AUDIENCE)
    assert looks_like_jwt(token)
    for other in ("", "secret", "a.b.c", token[1:], token + "\n", token + ".x", "eyJ." + "x" * 20_000 + ".x"):
        assert not looks_like_jwt(other)


def test_the_algorithms_are_names_that_pyjwt_knows() -> None:
    for algorithm in Algorithm:
        assert jwt.get_algorithm_by_name(algorithm)
