"""Signed tokens in general (RFC 7515 and RFC 7519): read strictly, checked in one place.

The algorithm comes from the key, and the key from its owner's list; nothing that a token says about
itself chooses more than one name on that list. What may be wrong is told by a sentence of our own,
which never holds anything of the token.
"""

import base64
import json
import math
import re
import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from auth.keys import Algorithm, Lookup

LONGEST_TOKEN = 16 * 1024
"""Characters. A longer one is not even looked at."""
LEEWAY_SECONDS = 60
"""How far clocks may differ, as distribution has it."""

_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")

# Each brings a key of its own, or demands what is not understood here.
_REFUSED_HEADERS = ("jwk", "jku", "x5u", "x5c", "crit")

_END_OF_TIME = 253_402_300_800
"""The year 10000: more than any clock or database column takes."""


class TokenInvalid(Exception):
    """The token counts for nothing. `reason` is a sentence to show and to log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UnverifiedToken(NamedTuple):
    """What a token says, with its signature and what that is of. None of it is to be believed."""

    header: dict[str, object]
    claims: dict[str, object]
    signed: bytes
    signature: bytes

    @property
    def issuer(self) -> str | None:
        return text_or_none(self.claims.get("iss"))

    @property
    def kid(self) -> str | None:
        return text_or_none(self.header.get("kid"))


class Lifetime(NamedTuple):
    """Seconds since the epoch; `issued_at` is 0 if the token does not say it."""

    issued_at: int
    expires_at: int


def looks_like_jwt(text: str) -> bool:
    """Whether a text has the form of a signed token: three parts, the first an object that JSON writes."""
    return len(text) <= LONGEST_TOKEN and text.startswith("eyJ") and _COMPACT.fullmatch(text) is not None


def read(token: str) -> UnverifiedToken:
    """Take a token apart. Raises TokenInvalid."""
    if len(token) > LONGEST_TOKEN:
        raise TokenInvalid("the token is too long")
    matched = _COMPACT.fullmatch(token)
    if matched is None:
        raise TokenInvalid("the token is not signed, or it is no JWT at all")
    header, claims, signature = (_decoded(part) for part in matched.groups())
    signed = token.rpartition(".")[0].encode("ascii")
    return UnverifiedToken(_object(header), _object(claims), signed, signature)


def unverified_issuer(token: str) -> str | None:
    """Who a token says it is of; None if it is no token or does not say so."""
    unverified = _read_or_none(token)
    return None if unverified is None else unverified.issuer


def unverified_key_id(token: str) -> str | None:
    """The key that a token says it is signed with; None if it is no token or does not say so."""
    unverified = _read_or_none(token)
    return None if unverified is None else unverified.kid


def check_signature(token: UnverifiedToken, keys: Lookup, algorithms: Iterable[Algorithm]) -> None:
    """Verify with the key that the token names, by that key's algorithm. Raises TokenInvalid."""
    for name in _REFUSED_HEADERS:
        if name in token.header:
            raise TokenInvalid(f"the token has the header {name}, which is not accepted here")
    if token.kid is None:
        raise TokenInvalid("the token does not name the key that signed it")
    key = keys(token.kid)
    if key is None:
        raise TokenInvalid("the token is signed with a key that is not known here")
    if key.algorithm not in algorithms or token.header.get("alg") != key.algorithm:
        raise TokenInvalid("the token is not signed with the algorithm of its key")
    from jwt import get_algorithm_by_name  # see auth.keys

    if not get_algorithm_by_name(key.algorithm).verify(token.signed, key.key, token.signature):
        raise TokenInvalid("the signature of the token is wrong")


def check_audience(token: UnverifiedToken, accepted: Iterable[str]) -> None:
    """At least one audience of the token must be accepted (RFC 7519 section 4.1.3). Raises TokenInvalid."""
    if not set(audiences(token.claims)).intersection(accepted):
        raise TokenInvalid("the token is for another audience")


def audiences(claims: Mapping[str, object]) -> tuple[str, ...]:
    """The audiences of a token: `aud` is one or a list."""
    value = claims.get("aud")
    entries = value if isinstance(value, list) else [value]
    return tuple(entry for entry in entries if isinstance(entry, str))


def check_lifetime(token: UnverifiedToken) -> Lifetime:
    """That now is between a token's beginning and end. Raises TokenInvalid."""
    now = time.time()
    expires_at = _time(token.claims, "exp")
    if expires_at is None:
        raise TokenInvalid("the token does not say when it expires")
    if now >= expires_at + LEEWAY_SECONDS:
        raise TokenInvalid("the token has expired")
    if (_time(token.claims, "nbf") or 0) > now + LEEWAY_SECONDS:
        raise TokenInvalid("the token is not valid yet")
    issued_at = _time(token.claims, "iat") or 0
    if issued_at > now + LEEWAY_SECONDS:
        raise TokenInvalid("the token was issued in the future: a clock is wrong")
    return Lifetime(int(issued_at), int(expires_at))


def text_or_none(value: object, longest: int = 512) -> str | None:
    """A value that is safe to compare, to store and to log; None for any other."""
    return value if isinstance(value, str) and len(value) <= longest and value.isprintable() else None


def _read_or_none(token: str) -> UnverifiedToken | None:
    try:
        return read(token)
    except TokenInvalid:
        return None


def _time(claims: dict[str, object], name: str) -> float | None:
    """A NumericDate (RFC 7519 section 2), None if absent. Raises TokenInvalid."""
    if name not in claims:
        return None
    value = claims[name]
    # bool is an int to Python; true is no time.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TokenInvalid(f"{name} of the token is not a number")
    if not 0 <= value < _END_OF_TIME or not math.isfinite(value):
        raise TokenInvalid(f"{name} of the token is not a time")
    return value


def _decoded(part: str) -> bytes:
    """base64url without padding, in the one way that it can be written."""
    try:
        data = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        raise TokenInvalid("the token is not base64url") from None
    if base64.urlsafe_b64encode(data).rstrip(b"=") != part.encode("ascii"):
        raise TokenInvalid("the token is not base64url")
    return data


def _object(data: bytes) -> dict[str, object]:
    """A JSON object without doubled members, NaN and whatever else is read differently elsewhere."""
    try:
        value = json.loads(data.decode(), object_pairs_hook=_members, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise TokenInvalid("the token is not made of JSON objects") from None
    if not isinstance(value, dict):
        raise TokenInvalid("the token is not made of JSON objects")
    return value


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("doubled members")
    return members


def _no_number(name: str) -> object:
    raise ValueError(f"{name} is no JSON")
