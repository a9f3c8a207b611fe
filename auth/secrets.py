"""Opaque secrets: refresh tokens, personal access tokens, secrets of robots. Shown once, kept hashed."""

import hashlib
import re
import secrets
from dataclasses import dataclass, field
from enum import StrEnum


class SecretKind(StrEnum):
    REFRESH = "refresh"
    """What docker keeps instead of a password, and trades for tokens."""
    PERSONAL = "personal"
    ROBOT = "robot"


# The prefix is for scanners that look for secrets in sources and logs; 43 characters are 32 random bytes.
_RANDOM = "[A-Za-z0-9_-]{43}"
_GRAMMAR = re.compile(rf"entrepot_({'|'.join(SecretKind)})_{_RANDOM}")
_WITHIN = re.compile(rf"(entrepot_[a-z]+_){_RANDOM}|(eyJ[A-Za-z0-9_-]+\.eyJ[A-Za-z0-9_-]+\.)[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Secret:
    """`text` is for its owner alone, `hash` is what the index keeps."""

    text: str = field(repr=False)
    hash: str


def new_secret(kind: SecretKind) -> Secret:
    text = f"entrepot_{kind}_{secrets.token_urlsafe(32)}"
    return Secret(text, hash_secret(text))


def hash_secret(text: str) -> str:
    """SHA-256 in hexadecimal digits. 256 random bits can't be guessed, however fast the hash is."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def kind_of(text: str) -> SecretKind | None:
    """The kind of secret that a text has the form of. That it exists is for the index to say."""
    matched = _GRAMMAR.fullmatch(text)
    return SecretKind(matched[1]) if matched else None


def redacted(text: str) -> str:
    """The text without what makes our secrets and signed tokens in it of use."""
    return _WITHIN.sub(r"\1\2...", text)
