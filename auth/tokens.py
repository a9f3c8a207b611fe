"""Registry tokens: what Docker's token protocol calls the Bearer token, a JWT with a claim `access`."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from auth.jws import (
    LONGEST_TOKEN,
    TokenInvalid,
    UnverifiedToken,
    check_audience,
    check_lifetime,
    check_signature,
    read,
    text_or_none,
)
from auth.keys import Algorithm, Lookup, SigningKey

__all__ = ["Access", "Claims", "OutsideIssuer", "TokenInvalid", "Verifier", "sign"]

_PRIVATE = "entrepot"
"""The claim that holds what is nobody's business but ours."""

_LONGEST_SUBJECT = 264
"""Characters: a kind of principal, a colon and the 255 that an OIDC issuer may give to a job."""


class Access(NamedTuple):
    """An entry of the claim `access`. `uid` is the identity of the repository when the token was issued, None
    if there was none: a repository that is made anew under an old name is another one."""

    type: str
    name: str
    actions: tuple[str, ...]
    uid: str | None = None


class Claims(NamedTuple):
    """What a token says. Times in seconds since the epoch; the subject of the anonymous is empty.

    `principal_id`, `credential_id` and `rules` are rows. Tokens of outside issuers have none of these.
    """

    subject: str
    access: tuple[Access, ...]
    issued_at: int
    expires_at: int
    token_id: str
    principal_id: int | None = None
    credential_id: int | None = None
    rules: tuple[int, ...] = ()
    issuer: str = ""


class OutsideIssuer(NamedTuple):
    """Another token server that is believed, with the audience of its tokens for us."""

    issuer: str
    audience: str
    keys: Lookup


def sign(claims: Claims, key: SigningKey, issuer: str, audience: str) -> str:
    """The token. `issuer` stands in place of the claims' own.

    Raises ValueError if it would be longer than what `Verifier` reads: too much access for one token.
    """
    payload = {
        "iss": issuer,
        "sub": claims.subject,
        "aud": audience,
        "exp": claims.expires_at,
        "nbf": claims.issued_at,
        "iat": claims.issued_at,
        "jti": claims.token_id,
        "access": [_entry(access) for access in claims.access],
        _PRIVATE: {
            "principal": claims.principal_id,
            "credential": claims.credential_id,
            "rules": claims.rules,
        },
    }
    import jwt  # see auth.keys

    token = jwt.encode(payload, key.private_key, key.algorithm, headers={"kid": key.kid})
    if len(token) > LONGEST_TOKEN:
        raise ValueError("one token can't hold so many scopes; ask for fewer at once")
    return token


class Verifier:
    """Verifies our tokens, and those of outside issuers, each with the keys of its own issuer alone.

    `issuer` is our own. Raises ValueError if two issuers have one name.
    """

    def __init__(
        self, issuer: str, audience: str, keys: Lookup, outside: Iterable[OutsideIssuer] = ()
    ) -> None:
        self.issuer = issuer
        self._own = OutsideIssuer(issuer, audience, keys)
        self._issuers = {issuer: self._own}
        for other in outside:
            if other.issuer in self._issuers:
                raise ValueError(f"two issuers of tokens are called {other.issuer!r}")
            self._issuers[other.issuer] = other

    def verify(self, token: str) -> Claims:
        """Raises TokenInvalid."""
        unverified = read(token)
        issuer = self._issuers.get(unverified.issuer or "")
        if issuer is None:
            raise TokenInvalid("the token is of an issuer that is not trusted here")
        if issuer is not self._own:
            check_signature(unverified, issuer.keys, Algorithm)
            return _claims(unverified, issuer)
        check_signature(unverified, issuer.keys, (Algorithm.ES256, Algorithm.EDDSA))
        return _with_private(_claims(unverified, issuer), unverified.claims.get(_PRIVATE))


def _entry(access: Access) -> dict[str, object]:
    entry: dict[str, object] = {"type": access.type, "name": access.name, "actions": access.actions}
    return entry if access.uid is None else {**entry, "uid": access.uid}


def _claims(token: UnverifiedToken, issuer: OutsideIssuer) -> Claims:
    check_audience(token, (issuer.audience,))
    lifetime = check_lifetime(token)
    subject = text_or_none(token.claims.get("sub", ""), longest=_LONGEST_SUBJECT)
    token_id = text_or_none(token.claims.get("jti", ""))
    if subject is None or token_id is None:
        raise TokenInvalid("sub and jti of the token should be short printable strings")
    return Claims(
        subject=subject,
        access=_access(token.claims.get("access")),
        issued_at=lifetime.issued_at,
        expires_at=lifetime.expires_at,
        token_id=token_id,
        issuer=issuer.issuer,
    )


def _access(value: object) -> tuple[Access, ...]:
    """Null is what Go writes for an empty list."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise TokenInvalid("access of the token should be a list")
    return tuple(_parse_entry(entry) for entry in value)


def _parse_entry(entry: object) -> Access:
    if not isinstance(entry, dict):
        raise TokenInvalid("each entry of access of the token should be an object")
    type, name, uid = (text_or_none(entry.get(member)) for member in ("type", "name", "uid"))
    actions = _texts(entry.get("actions"))
    if type is None or name is None or actions is None or (uid is None and entry.get("uid") is not None):
        raise TokenInvalid("an entry of access of the token should have a type, a name and a list of actions")
    return Access(type, name, actions, uid)


def _with_private(claims: Claims, private: object) -> Claims:
    if not isinstance(private, Mapping):
        raise TokenInvalid("the token was not made by this registry")
    ids = (private.get("principal"), private.get("credential"))
    rules = private.get("rules", [])
    if not isinstance(rules, list) or not all(map(_is_row, rules)):
        raise TokenInvalid("the token was not made by this registry")
    principal_id, credential_id = (row if _is_row(row) else None for row in ids)
    if (principal_id, credential_id) != ids:
        raise TokenInvalid("the token was not made by this registry")
    return claims._replace(principal_id=principal_id, credential_id=credential_id, rules=tuple(rules))


def _is_row(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _texts(value: object) -> tuple[str, ...] | None:
    """A list of short printable strings as a tuple, None for anything else."""
    if not isinstance(value, list):
        return None
    texts = tuple(text for text in map(text_or_none, value) if text is not None)
    return texts if len(texts) == len(value) else None
