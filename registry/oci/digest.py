"""Digests: the address of content by its hash (image-spec descriptor.md, "Digests")."""

import hashlib
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol, Self

from registry.oci.errors import DigestInvalid
from registry.oci.quoting import quoted

ALGORITHMS: Mapping[str, int] = MappingProxyType({"sha256": 64, "sha512": 128})
"""The supported algorithms, each with the length of its digests in hexadecimal digits."""

_GRAMMAR = re.compile(r"[a-z0-9]+(?:[+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+")
_SUPPORTED = re.compile("|".join(f"{name}:[0-9a-f]{{{length}}}" for name, length in ALGORITHMS.items()))


class Hash(Protocol):
    """What of a hashlib object the registry uses."""

    def update(self, data: bytes | bytearray | memoryview, /) -> None: ...
    def digest(self) -> bytes: ...
    def hexdigest(self) -> str: ...
    def copy(self) -> Self: ...


_CONSTRUCTORS: Mapping[str, Callable[[], Hash]] = {"sha256": hashlib.sha256, "sha512": hashlib.sha512}


class Digest(str):
    """A valid digest of a supported algorithm, `algorithm:encoded`. Made by `parse` and `of`."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> "Digest":
        """Check `text`. Raises DigestInvalid, saying what is wrong with it."""
        if _SUPPORTED.fullmatch(text) is None:
            raise DigestInvalid(_objection(text))
        return cls(text)

    @classmethod
    def of(cls, data: bytes, algorithm: str = "sha256") -> "Digest":
        """The digest of `data`. Raises DigestInvalid for an algorithm that is not supported."""
        hash_object = new_hash(algorithm)
        hash_object.update(data)
        return digest_from_hash(hash_object, algorithm)

    @property
    def algorithm(self) -> str:
        """The part before the colon, a key of ALGORITHMS."""
        return self.partition(":")[0]

    @property
    def encoded(self) -> str:
        """The part behind the colon: lower-case hexadecimal digits."""
        return self.partition(":")[2]


def parse_algorithm(text: str) -> str:
    """`text` if it names a supported algorithm. Raises DigestInvalid otherwise."""
    if text not in ALGORITHMS:
        raise DigestInvalid(
            f"the digest algorithm {quoted(text)} is not supported; use {' or '.join(ALGORITHMS)}"
        )
    return text


def new_hash(algorithm: str) -> Hash:
    """A fresh hashlib object. Raises DigestInvalid for an algorithm that is not supported."""
    return _CONSTRUCTORS[parse_algorithm(algorithm)]()


def digest_from_hash(hash_object: Hash, algorithm: str) -> Digest:
    """The digest of all that `hash_object`, made by `new_hash(algorithm)`, has seen so far."""
    return Digest(f"{algorithm}:{hash_object.hexdigest()}")


def _objection(text: str) -> str:
    """Why `text`, which is no supported digest, is none."""
    if _GRAMMAR.fullmatch(text) is None:
        return f"{quoted(text)} is not a digest; one looks like sha256:<64 lower-case hexadecimal digits>"
    algorithm, _, encoded = text.partition(":")
    length = ALGORITHMS[parse_algorithm(algorithm)]
    if len(encoded) != length:
        return f"a {algorithm} digest has {length} hexadecimal digits, not {len(encoded)}: {quoted(text)}"
    return f"a {algorithm} digest has the digits 0-9 and a-f only, in lower case: {quoted(text)}"
