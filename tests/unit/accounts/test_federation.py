import time
from collections.abc import Mapping
from types import MappingProxyType

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from hypothesis import given
from hypothesis import strategies as st

from auth.federation import (
    IdentityToken,
    IdentityTokenInvalid,
    TrustRule,
    check_rule,
    matching,
    verify_identity_token,
)
from auth.jws import unverified_issuer, unverified_key_id
from auth.keys import SigningKey, jwks, parse_jwks
from auth.patterns import RepositoryPattern
from auth.roles import Role
from tests.support.bad_tokens import assemble, header_of

GITHUB = "https://token.actions.githubusercontent.com"
KEY = SigningKey.generate("ES256")

# The members of GitHub's own example, of docs.github.com "OpenID Connect reference".
GITHUB_CLAIMS: Mapping[str, object] = {
    "jti": "example-id",
    "sub": "repo:acme/app:ref:refs/heads/main",
    "environment": "prod",
    "aud": "entrepot",
    "ref": "refs/heads/main",
    "sha": "example-sha",
    "repository": "acme/app",
    "repository_owner": "acme",
    "actor_id": "12",
    "run_id": "example-run-id",
    "run_number": "10",
    "runner_environment": "github-hosted",
    "ref_type": "branch",
    "iss": GITHUB,
}

KUBERNETES_CLAIMS: Mapping[str, object] = {
    "aud": ["https://kubernetes.default.svc", "entrepot"],
    "iss": "https://kubernetes.default.svc",
    "kubernetes.io": {
        "namespace": "builds",
        "pod": {"name": "builder-1", "uid": "5e0bd49b"},
        "serviceaccount": {"name": "builder", "uid": "14ee3fa4"},
    },
    "sub": "system:serviceaccount:builds:builder",
}


def rule(**changes: object) -> TrustRule:
    made = TrustRule(
        id=1,
        name="gh",
        issuer=GITHUB,
        audience="entrepot",
        claims={"repository": "acme/app"},
        role=Role.WRITER,
        pattern=RepositoryPattern.parse("acme/app"),
    )
    return made._replace(**changes)  # type: ignore[arg-type]


def token_of(
    claims: Mapping[str, object], key: SigningKey = KEY, changes: Mapping[str, object] = MappingProxyType({})
) -> str:
    now = int(time.time())
    members = {**claims, "iat": now, "nbf": now, "exp": now + 300, **changes}
    kept = {name: value for name, value in members.items() if value is not ...}
    return assemble(header_of(key), kept, key)


def verify(token: str, issuer: str = GITHUB, key: SigningKey = KEY) -> IdentityToken:
    return verify_identity_token(token, issuer, {"entrepot", "another"}, parse_jwks(jwks([key.public])))


def identity(claims: Mapping[str, object]) -> IdentityToken:
    return IdentityToken(str(claims["iss"]), str(claims["sub"]), claims, 0)


class TestVerifying:
    @pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
    def test_a_good_token(self, algorithm: str) -> None:
        key = SigningKey.generate(algorithm)

        verified = verify(token_of(GITHUB_CLAIMS, key), key=key)

        assert verified.issuer == GITHUB
        assert verified.subject == "repo:acme/app:ref:refs/heads/main"
        assert verified.claims["repository"] == "acme/app"
        assert time.time() < verified.expires_at <= time.time() + 300

    def test_rs256_as_the_issuers_of_ci_have_it(self, rsa_key: RSAPrivateKey) -> None:
        public = jwt.get_algorithm_by_name("RS256").to_jwk(rsa_key.public_key(), as_dict=True)
        keys = parse_jwks({"keys": [{**public, "use": "sig", "kid": "a"}]})
        payload = {**GITHUB_CLAIMS, "exp": int(time.time()) + 300}
        # GitHub's header has a fingerprint of a certificate, which is no key.
        token = jwt.encode(payload, rsa_key, "RS256", headers={"kid": "a", "x5t": "fingerprint"})
        assert verify_identity_token(token, GITHUB, ["entrepot"], keys).claims == payload
        wrong = jwt.encode(payload, rsa_key, "RS512", headers={"kid": "a"})
        with pytest.raises(IdentityTokenInvalid, match="algorithm of its key"):
            verify_identity_token(wrong, GITHUB, ["entrepot"], keys)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"iss": "https://evil.example"}, "another issuer"),
            ({"iss": ...}, "another issuer"),
            ({"iss": GITHUB + "/"}, "another issuer"),
            ({"aud": "https://github.com/acme"}, "another audience"),
            ({"aud": ...}, "another audience"),
            ({"aud": []}, "another audience"),
            ({"exp": 1}, "expired"),
            ({"exp": ...}, "does not say when it expires"),
            ({"nbf": 9_999_999_999}, "not valid yet"),
            ({"iat": 9_999_999_999}, "issued in the future"),
            ({"sub": ...}, "sub of the token"),
            ({"sub": ""}, "sub of the token"),
            ({"sub": 1}, "sub of the token"),
            ({"sub": "x" * 256}, "sub of the token"),
            ({"sub": "a\nb"}, "sub of the token"),
        ],
    )
    def test_what_is_refused(self, changes: dict[str, object], message: str) -> None:
        with pytest.raises(IdentityTokenInvalid, match=message):
            verify(token_of(GITHUB_CLAIMS, changes=changes))

    def test_a_key_that_the_issuer_does_not_have(self) -> None:
        with pytest.raises(IdentityTokenInvalid, match="not known here"):
            verify(token_of(GITHUB_CLAIMS, SigningKey.generate("ES256")))
        with pytest.raises(IdentityTokenInvalid, match="not known here"):
            verify_identity_token(token_of(GITHUB_CLAIMS), GITHUB, ["entrepot"], ())

    def test_a_long_subject(self) -> None:
        assert verify(token_of({**GITHUB_CLAIMS, "sub": "x" * 255})).subject == "x" * 255

    def test_what_is_read_before_anything_is_known(self) -> None:
        token = token_of(GITHUB_CLAIMS)
        assert (unverified_issuer(token), unverified_key_id(token)) == (GITHUB, KEY.kid)
        for other in ("", "password", "eyJ.eyJ.x", token[:-1] + "\n", "x" * 2**20):
            assert (unverified_issuer(other), unverified_key_id(other)) == (None, None)


class TestMatching:
    def test_every_claim_that_the_rule_names_decides(self) -> None:
        token = verify(token_of(GITHUB_CLAIMS))
        exact = rule(claims={"repository": "acme/app", "ref": "refs/heads/main"})
        other_branch = rule(claims={"repository": "acme/app", "ref": "refs/heads/next"})
        missing = rule(claims={"repository": "acme/app", "workflow": "*"})
        assert matching([rule(), exact, other_branch, missing], token) == (rule(), exact)

    def test_issuer_and_audience_decide_too(self) -> None:
        token = verify(token_of(GITHUB_CLAIMS))
        assert matching([rule(issuer="https://gitlab.com"), rule(audience="another")], token) == ()
        both = verify(token_of({**GITHUB_CLAIMS, "aud": ["entrepot", "another"]}))
        assert len(matching([rule(), rule(audience="another")], both)) == 2

    def test_a_rule_that_is_disabled_or_says_nothing_trusts_nobody(self) -> None:
        assert matching([rule(disabled=True), rule(claims={})], verify(token_of(GITHUB_CLAIMS))) == ()

    @pytest.mark.parametrize(
        ("wanted", "value", "expected"),
        [
            ("acme/app", "acme/app", True),
            ("acme/app", "acme/app2", False),
            ("acme/app", "evil/acme/app", False),
            ("acme/app", "Acme/App", False),
            ("acme/app", "acme/app\n", False),
            ("acme.app", "acmexapp", False),
            ("refs/heads/*", "refs/heads/main", True),
            ("refs/heads/*", "refs/heads/feature/x", True),
            ("refs/heads/*", "refs/heads/", True),
            ("refs/heads/*", "refs/tags/v1", False),
            ("*/main", "refs/heads/main", True),
            ("*a*b*", "xaxbx", True),
            ("*a*b*", "xbxax", False),
            ("a*a", "a", False),
            ("a*a", "aa", True),
            ("v*.*", "v1.2", True),
            ("[a-z]", "[a-z]", True),
            ("[a-z]", "b", False),
            ("?", "a", False),
            ("true", True, True),
            ("false", False, True),
            ("1", True, False),
            ("True", True, False),
            ("12", 12, True),
            ("12", 12.0, False),
            ("None", None, False),
            ("*", None, False),
            ("*", ["a"], False),
            ("a", ["a"], False),
            ("*", {"a": "b"}, False),
            ("", "", True),
        ],
    )
    def test_values(self, wanted: str, value: object, expected: bool) -> None:
        token = identity({**GITHUB_CLAIMS, "tried": value})
        assert bool(matching([rule(claims={"tried": wanted})], token)) == expected

    @pytest.mark.parametrize(
        ("path", "value", "expected"),
        [
            ("kubernetes.io/namespace", "builds", True),
            ("kubernetes.io/serviceaccount/name", "builder", True),
            ("kubernetes.io/pod/name", "builder-*", True),
            ("kubernetes.io/namespace", "default", False),
            ("kubernetes.io/missing", "*", False),
            ("kubernetes.io", "*", False),
            ("kubernetes.io/namespace/more", "*", False),
            ("namespace", "builds", False),
            ("sub", "system:serviceaccount:builds:builder", True),
        ],
    )
    def test_claims_within_claims(self, path: str, value: str, expected: bool) -> None:
        kubernetes = rule(issuer="https://kubernetes.default.svc", claims={path: value})
        assert bool(matching([kubernetes], identity(KUBERNETES_CLAIMS))) == expected

    def test_a_name_with_slashes_goes_before_a_path(self) -> None:
        claims = {**GITHUB_CLAIMS, "a": {"b": "inner"}, "a/b": "outer", "https://x.example/c": {"d": "e"}}
        assert matching([rule(claims={"a/b": "outer"})], identity(claims))
        assert not matching([rule(claims={"a/b": "inner"})], identity(claims))
        assert matching([rule(claims={"https://x.example/c/d": "e"})], identity(claims))
        twice = {**GITHUB_CLAIMS, "a": {"b": {"x": "y"}}, "a/b": {"c": "d"}}
        for path, value in (("a/b/c", "d"), ("a/b/x", "y")):
            assert matching([rule(claims={path: value})], identity(twice))

    @given(st.text(alphabet="ab*", max_size=12), st.text(alphabet="ab\n", max_size=12))
    def test_wildcards_are_what_one_thinks(self, wanted: str, value: str) -> None:
        token = identity({**GITHUB_CLAIMS, "tried": value})
        assert bool(matching([rule(claims={"tried": wanted})], token)) == globs(wanted, value)

    def test_many_wildcards_take_no_long_time(self) -> None:
        token = identity({**GITHUB_CLAIMS, "tried": "a" * 10_000})
        assert not matching([rule(claims={"tried": "*a" * 100 + "*b"})], token)


def globs(wanted: str, value: str) -> bool:
    """Wildcards once more, in the plainest way: the set of places where the pattern so far may end."""
    places = {0}
    for character in wanted:
        if character == "*":
            places = set(range(min(places), len(value) + 1)) if places else set()
        else:
            places = {place + 1 for place in places if value[place : place + 1] == character}
    return len(value) in places


class TestRules:
    @pytest.mark.parametrize(
        "made",
        [
            rule(),
            rule(claims={"repository": "acme/*", "iss": GITHUB}),
            rule(issuer="http://127.0.0.1:9000"),
            rule(issuer="http://[::1]:9000/issuer"),
            rule(issuer="http://localhost:9000"),
            rule(issuer="http://gitlab.lan", jwks=jwks([KEY.public])),
            rule(issuer="https://kubernetes.default.svc", claims={"kubernetes.io/namespace": "builds"}),
        ],
    )
    def test_what_may_be_made(self, made: TrustRule) -> None:
        assert check_rule(made) is made

    @pytest.mark.parametrize(
        ("made", "message"),
        [
            (rule(claims={}), f"everybody who can get a token from {GITHUB}"),
            (rule(claims={"repository": "*"}), "at least one claim"),
            (rule(claims={"repository": "**"}), "at least one claim"),
            (rule(claims={"repository": ""}), "at least one claim"),
            (rule(claims={"iss": GITHUB, "aud": "entrepot"}), "at least one claim"),
            (rule(claims={"": "x", "repository": "acme/app"}), "name of 1 to 255"),
            (rule(claims={"x" * 256: "x", "repository": "acme/app"}), "name of 1 to 255"),
            (rule(audience=""), "names the audience"),
            (rule(issuer=""), "should be a URL"),
            (rule(issuer="token.actions.githubusercontent.com"), "should be a URL"),
            (rule(issuer="ftp://gitlab.com"), "should be a URL"),
            (rule(issuer="https://"), "should be a URL"),
            (rule(issuer="https://[gitlab"), "should be a URL"),
            (rule(issuer="https://me:secret@gitlab.com"), "should be a URL"),
            (rule(issuer="https://gitlab.com?x=1"), "should be a URL"),
            (rule(issuer="https://gitlab.com#x"), "should be a URL"),
            (rule(issuer="http://gitlab.lan"), "https"),
            (rule(issuer="http://127.0.0.1.evil.example"), "https"),
            (rule(jwks={"keys": []}), "none of the keys"),
            (rule(jwks={"keys": [{"kty": "oct", "k": "AAAA"}]}), "none of the keys"),
            (rule(jwks={}), "JWK Set"),
        ],
    )
    def test_what_may_not_be_made(self, made: TrustRule, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            check_rule(made)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5), st.text())
def test_no_claim_crashes(value: object, path: str) -> None:
    token = verify(token_of({**GITHUB_CLAIMS, "tried": {"inner": value}}))
    for name in (path, f"tried/{path}", "tried/inner", f"tried/inner/{path}"):
        assert isinstance(matching([rule(claims={name: "a*"})], token), tuple)
