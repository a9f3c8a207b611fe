"""Jobs that sign in with the token of their own OIDC issuer, and the rules that trust them."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Protocol, TypeVar
from urllib.parse import urlsplit

from auth import wildcards
from auth.addresses import is_loopback
from auth.jws import TokenInvalid as IdentityTokenInvalid
from auth.jws import (
    audiences,
    check_audience,
    check_lifetime,
    check_signature,
    read,
)
from auth.keys import Algorithm, PublicKey, by_kid, parse_jwks
from auth.patterns import RepositoryPattern
from auth.principals import check_subject
from auth.roles import Role

__all__ = [
    "IdentityToken",
    "IdentityTokenInvalid",
    "IssuerUnavailable",
    "KeySource",
    "TrustRule",
    "check_rule",
    "matching",
    "verify_identity_token",
]

# All tokens of an issuer for one audience agree in some of these, and the others say nothing of who it is.
_COMMON_CLAIMS = frozenset({"iss", "aud", "azp", "exp", "nbf", "iat", "jti"})


class IssuerUnavailable(Exception):
    """The issuer can't be asked for its keys now. The message says why."""


class KeySource(Protocol):
    """Where the keys of issuers come from."""

    async def keys(self, issuer: str, kid: str | None) -> tuple[PublicKey, ...]:
        """The issuer's keys, as new as it takes to know `kid`. Raises IssuerUnavailable."""
        ...


class IdentityToken(NamedTuple):
    """A token whose signature, audience and times are right. `expires_at` in seconds since the epoch."""

    issuer: str
    subject: str
    claims: Mapping[str, object]
    expires_at: int


class TrustRule(NamedTuple):
    """Whose tokens are trusted, for which claims, and the role that they give.

    `claims` maps a claim to the value that it must have, in which `*` stands for any run of characters. A
    claim within a claim is written `kubernetes.io/namespace`. `jwks` are the issuer's keys, a JWK Set, if it
    is not to be asked for them.
    """

    id: int
    name: str
    issuer: str
    audience: str
    claims: Mapping[str, str]
    role: Role
    pattern: RepositoryPattern
    jwks: Mapping[str, object] | None = None
    disabled: bool = False


class Condition(Protocol):
    """What of a trust rule decides whom it trusts."""

    @property
    def issuer(self) -> str: ...
    @property
    def audience(self) -> str: ...
    @property
    def claims(self) -> Mapping[str, str]: ...
    @property
    def disabled(self) -> bool: ...


Rule = TypeVar("Rule", bound=Condition)


def check_rule(rule: TrustRule) -> TrustRule:
    """The rule as it is, if it may be made. Raises ValueError, with a message fit to show."""
    _check_issuer(rule.issuer, asked=rule.jwks is None)
    if not rule.audience:
        raise ValueError("a trust rule names the audience that tokens are made for, such as entrepot")
    if not all(0 < len(name) <= 255 for name in rule.claims):
        raise ValueError("a claim of a trust rule has a name of 1 to 255 characters")
    telling = [name for name, value in rule.claims.items() if name not in _COMMON_CLAIMS and value.strip("*")]
    if not telling:
        raise ValueError(
            "a trust rule names at least one claim that tells whose token it is, such as "
            "repository=acme/app; without one, everybody who can get a token from "
            f"{rule.issuer} may sign in"
        )
    if rule.jwks is not None and not parse_jwks(rule.jwks):
        raise ValueError("none of the keys given can be used: RS256 from 2048 bits, ES256 and EdDSA can be")
    return rule


def verify_identity_token(
    token: str, issuer: str, accepted_audiences: Iterable[str], keys: Iterable[PublicKey]
) -> IdentityToken:
    """What an issuer's token says, verified with its keys. Raises IdentityTokenInvalid.

    The audience is one of those that the issuer's rules name; which rule it fits is for `matching`.
    """
    unverified = read(token)
    if unverified.issuer != issuer:
        raise IdentityTokenInvalid("the token is of another issuer")
    check_signature(unverified, by_kid(keys).get, Algorithm)
    check_audience(unverified, accepted_audiences)
    lifetime = check_lifetime(unverified)
    subject = unverified.claims.get("sub")
    try:
        checked = check_subject(subject if isinstance(subject, str) else "")
    except ValueError:
        raise IdentityTokenInvalid("sub of the token should be 1 to 255 printable characters") from None
    return IdentityToken(issuer, checked, unverified.claims, lifetime.expires_at)


def matching(rules: Iterable[Rule], token: IdentityToken) -> tuple[Rule, ...]:
    """The rules that trust a token: issuer, audience and every claim that they name are its own."""
    return tuple(rule for rule in rules if _trusts(rule, token))


def _trusts(rule: Condition, token: IdentityToken) -> bool:
    if rule.disabled or rule.issuer != token.issuer or rule.audience not in audiences(token.claims):
        return False
    # A rule without claims can't be made; one that is there all the same trusts nobody.
    return bool(rule.claims) and all(
        _equal(wanted, _claim(token.claims, path)) for path, wanted in rule.claims.items()
    )


def _claim(claims: Mapping[str, object], path: str) -> object:
    """The claim at a path. A name may hold slashes itself, as those that are URLs do: it goes first."""
    if path in claims:
        return claims[path]
    found = (
        _claim(inner, path[len(name) + 1 :])
        for name, inner in claims.items()
        if isinstance(inner, dict) and path.startswith(f"{name}/")
    )
    return next((value for value in found if value is not None), None)


def _equal(wanted: str, value: object) -> bool:
    """Compare as text. Lists, objects, fractions and null equal nothing."""
    if isinstance(value, bool):
        value = "true" if value else "false"
    elif isinstance(value, int):
        value = str(value)
    return isinstance(value, str) and wildcards.matches(wanted, value)


def _check_issuer(issuer: str, *, asked: bool) -> None:
    """An issuer is a URL (OpenID Connect Core section 2) and is compared letter by letter.

    One that is asked for its keys is asked by TLS, except on this machine: whoever is in between could give
    out his own.
    """
    try:
        url = urlsplit(issuer)
        host = url.hostname
    except ValueError:
        host = None
    if not host or url.scheme not in ("https", "http") or url.query or url.fragment or url.username:
        raise ValueError(f"the issuer {issuer[:200]!r} should be a URL like https://gitlab.example.com")
    if asked and url.scheme == "http" and not is_loopback(host):
        raise ValueError(
            f"the issuer {issuer[:200]} should have a URL with https, or give its keys with the rule"
        )
