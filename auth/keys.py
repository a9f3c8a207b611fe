"""Keys: those that sign our tokens, and the public keys of anybody whose tokens we believe."""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.backends.openssl import backend as _backend  # noqa: F401 - or the first signature does
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey


class Algorithm(StrEnum):
    """The algorithms of RFC 7518 and RFC 8037 that count here. A key has exactly one."""

    ES256 = "ES256"
    EDDSA = "EdDSA"
    RS256 = "RS256"
    """For the tokens of others; no key of ours is one of RSA."""


RSA_SIZES = range(2048, 8192 + 1)
"""Bits. Larger ones would only cost time."""

PublicKeyObject = EllipticCurvePublicKey | Ed25519PublicKey | RSAPublicKey
PrivateKeyObject = EllipticCurvePrivateKey | Ed25519PrivateKey

# The members that make up each type of key, in the order of RFC 7638 section 3.2 and RFC 8037 appendix A.3.
_MEMBERS = {"EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x"), "RSA": ("e", "kty", "n")}
_ALGORITHMS = {"EC": Algorithm.ES256, "OKP": Algorithm.EDDSA, "RSA": Algorithm.RS256}
_LONGEST_MEMBER = 2048

_NO_SIGNING_KEY = "a key that signs is an elliptic curve key on P-256 (ES256) or Ed25519 (EdDSA)"

_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----\r?\n.*?-----END \1-----", re.DOTALL)


class PublicKey(NamedTuple):
    """`kid` is the id that tokens name it by; `aliases` are further ones, for keys of others only."""

    kid: str
    algorithm: Algorithm
    key: PublicKeyObject
    aliases: tuple[str, ...] = ()

    def jwk(self) -> dict[str, str]:
        """The key as RFC 7517 writes it."""
        return {**_members(self.key), "use": "sig", "alg": self.algorithm.value, "kid": self.kid}


Lookup = Callable[[str], PublicKey | None]
"""From a kid to the key: `by_kid(keys).get`, or anything that knows about rotation."""


class SigningKey:
    """A private key, ES256 or EdDSA. `public` is the other half; `kid` its thumbprint (RFC 7638)."""

    def __init__(self, private_key: PrivateKeyObject) -> None:
        key = private_key.public_key()
        algorithm = _algorithm_of(key)
        if algorithm is None:
            raise ValueError(_NO_SIGNING_KEY)
        self.private_key = private_key
        self.public = PublicKey(_thumbprint(_members(key)), algorithm, key)

    @classmethod
    def generate(cls, algorithm: str) -> "SigningKey":
        """A new key for ES256 or EdDSA. Raises ValueError for all else."""
        if algorithm == Algorithm.ES256:
            return cls(generate_private_key(SECP256R1()))
        if algorithm == Algorithm.EDDSA:
            return cls(Ed25519PrivateKey.generate())
        raise ValueError(f"tokens are signed with ES256 or EdDSA, not with {algorithm!r}")

    @classmethod
    def from_pem(cls, text: bytes | str) -> "SigningKey":
        """Read one private key without a passphrase. Raises ValueError, with a message fit to show."""
        data = text.encode() if isinstance(text, str) else text
        try:
            private_key = serialization.load_pem_private_key(data, password=None)
        except TypeError:
            raise ValueError("the private key needs a passphrase; store it without one") from None
        except (ValueError, UnsupportedAlgorithm):
            # The library's own message may say more about the key than a log should.
            raise ValueError("this is no private key in PEM form") from None
        if not isinstance(private_key, PrivateKeyObject):
            raise ValueError(_NO_SIGNING_KEY)  # noqa: TRY004  # the file is wrong, not the caller
        return cls(private_key)

    @property
    def kid(self) -> str:
        return self.public.kid

    @property
    def algorithm(self) -> Algorithm:
        return self.public.algorithm

    def to_pem(self) -> str:
        """PKCS #8, without a passphrase: a secret."""
        return self.private_key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode("ascii")


def jwks(keys: Iterable[PublicKey]) -> dict[str, object]:
    """The JWK Set that lets others verify our tokens (RFC 7517 section 5)."""
    return {"keys": [key.jwk() for key in keys]}


def by_kid(keys: Iterable[PublicKey]) -> dict[str, PublicKey]:
    """Keys by all their names. A kid goes before an alias, and the first key before a later one."""
    known = tuple(keys)
    aliases = {alias: key for key in reversed(known) for alias in key.aliases}
    return aliases | {key.kid: key for key in reversed(known)}


def parse_jwks(document: object) -> tuple[PublicKey, ...]:
    """The keys of another issuer's JWK Set that can verify tokens here.

    Left out: symmetric keys, keys for encryption, other algorithms, RSA below 2048 bits, what is malformed.
    Raises ValueError if the document is no JWK Set.
    """
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise ValueError('a JWK Set is an object with a list of "keys"')  # noqa: TRY004  # it is data
    keys = (_from_jwk(entry) for entry in entries if isinstance(entry, dict))
    return tuple(key for key in keys if key is not None)


def parse_pem_public(text: str) -> tuple[PublicKey, ...]:
    """The public keys and certificates of a PEM file. Of a certificate only its key counts: not its dates,
    not who signed it. Raises ValueError, with a message fit to show."""
    found: list[PublicKey] = []
    for number, block in enumerate(_PEM.finditer(text), start=1):
        key = _load_public(block[1], block[0].encode(), f"PEM block {number}")
        algorithm = _algorithm_of(key)
        if algorithm is None:
            raise ValueError(
                f"PEM block {number} should hold a key of RSA with 2048 to 8192 bits, of P-256 or of Ed25519"
            )
        found.append(_outside_key(None, algorithm, key))
    if not found:
        raise ValueError("there is no public key or certificate in PEM form")
    return tuple(found)


def _load_public(label: str, block: bytes, where: str) -> object:
    if label.endswith("PRIVATE KEY"):
        raise ValueError(f"{where} is a private key; keep it where it belongs and give its public key here")
    try:
        if label == "CERTIFICATE":
            from cryptography import x509  # here: it takes a while to import, and few have such files

            return x509.load_pem_x509_certificate(block).public_key()
        return serialization.load_pem_public_key(block)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError(f"{where} ({label}) can't be read as a public key or a certificate") from error


def _from_jwk(jwk: Mapping[str, object]) -> PublicKey | None:
    """None for a key that can't be used. Only public members are read, whatever else is there."""
    kind, kid, operations = jwk.get("kty"), jwk.get("kid"), jwk.get("key_ops", ["verify"])
    algorithm = _ALGORITHMS.get(kind) if isinstance(kind, str) else None
    if not isinstance(kind, str) or algorithm is None or not isinstance(kid, str | None):
        return None
    if jwk.get("use", "sig") != "sig" or jwk.get("alg", algorithm) != algorithm:
        return None
    if not isinstance(operations, list) or "verify" not in operations:
        return None
    members = {name: jwk.get(name) for name in _MEMBERS[kind]}
    if not all(isinstance(value, str) and len(value) <= _LONGEST_MEMBER for value in members.values()):
        return None
    from jwt import PyJWTError, get_algorithm_by_name

    try:
        key = get_algorithm_by_name(algorithm).from_jwk(members)
    except (PyJWTError, ValueError, UnsupportedAlgorithm):
        return None
    return _outside_key(kid, algorithm, key) if _algorithm_of(key) is algorithm else None


def _algorithm_of(key: object) -> Algorithm | None:
    """The algorithm that a public key is for; None for one that counts for nothing here."""
    if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
        return Algorithm.ES256
    if isinstance(key, Ed25519PublicKey):
        return Algorithm.EDDSA
    if isinstance(key, RSAPublicKey) and key.key_size in RSA_SIZES:
        return Algorithm.RS256
    return None


def _outside_key(kid: str | None, algorithm: Algorithm, key: object) -> PublicKey:
    """The key of another issuer, which may be named in any way that Docker's token servers know."""
    assert isinstance(key, PublicKeyObject)
    members = _members(key)
    thumbprint = _thumbprint(members)
    names = (thumbprint, _short_thumbprint(members), _libtrust_id(key))
    return PublicKey(kid or thumbprint, algorithm, key, names)


def _members(key: PublicKeyObject) -> dict[str, str]:
    """The members of a JWK that its thumbprint is made of, in its order."""
    from jwt import get_algorithm_by_name  # here: it takes a while to import, and most commands see no key

    jwk = get_algorithm_by_name(_algorithm_of(key) or Algorithm.RS256).to_jwk(key, as_dict=True)
    return {name: jwk[name] for name in _MEMBERS[jwk["kty"]]}


def _thumbprint(members: Mapping[str, str]) -> str:
    """RFC 7638 with SHA-256, in base64url."""
    return _base64url(hashlib.sha256(json.dumps(members, separators=(",", ":")).encode()).digest())


def _short_thumbprint(members: Mapping[str, str]) -> str:
    """The thumbprint of who writes coordinates without their leading zeros, as Go's big numbers have it."""
    if members["kty"] != "EC":
        return _thumbprint(members)
    short = {name: _base64url(_bytes(members[name]).lstrip(b"\0")) for name in ("x", "y")}
    return _thumbprint({**members, **short})


def _libtrust_id(key: PublicKeyObject) -> str:
    """The key id of libtrust: 240 bits of SHA-256 of the DER form, base32 in twelve groups of four."""
    der = key.public_bytes(
        serialization.Encoding.DER,
        serialization.PublicFormat.SubjectPublicKeyInfo,
    )
    text = base64.b32encode(hashlib.sha256(der).digest()[:30]).decode("ascii")
    return ":".join(text[position : position + 4] for position in range(0, len(text), 4))


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
