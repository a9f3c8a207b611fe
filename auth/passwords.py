"""Passwords: hashed with argon2id; hashes of bcrypt, as htpasswd writes them, are understood too."""

import re
import secrets
from functools import cache
from typing import NamedTuple

import argon2
import bcrypt

SHORTEST = 8
"""Characters (NIST SP 800-63B section 3.1.1.2)."""
LONGEST = 1024
"""Bytes in UTF-8."""
BCRYPT_LONGEST = 72
"""Bytes; bcrypt knows no more of a password."""

_NO_PASSWORD = f"a password should be UTF-8 of at most {LONGEST} bytes, without NUL"

# What OWASP asks for at least: 19 MiB and one thread for each sign-in, so that many at once do no harm.
_HASHER = argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)

# The costs that htpasswd makes. One of 31 would keep a processor busy for days.
_BCRYPT = re.compile(r"\$2[aby]\$(?:0[4-9]|1[0-7])\$[./A-Za-z0-9]{53}")

# Without 0 O 1 I l, and nothing that a shell or a command line's parser takes for its own.
_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


class Verified(NamedTuple):
    """`needs_rehash`: the password is right, and `hash_password` would make a better hash of it."""

    ok: bool
    needs_rehash: bool = False


def hash_password(password: str) -> str:
    """The argon2id hash in its own text form. Raises ValueError for what no password may be."""
    data = _bytes(password)
    if data is None:
        raise ValueError(_NO_PASSWORD)
    return _HASHER.hash(data)


def verify_password(hashed: str | None, password: str) -> Verified:
    """Whether the password is the one that was hashed. None stands for a user that does not exist.

    Each refusal costs one argon2 hash at least, so that nobody can tell by the time who exists. bcrypt
    compares the first 72 bytes of a password. A longer one that is right there is right, as everywhere
    else, but is not to be hashed anew: the rest of it was not compared.

    Raises ValueError if `hashed` is no hash of argon2 or bcrypt.
    """
    data = _bytes(password)
    if hashed is None or data is None:
        return _refused(b"")
    if not _BCRYPT.fullmatch(hashed):
        return _verify_argon2(hashed, data)
    if not bcrypt.checkpw(data[:BCRYPT_LONGEST], hashed.encode("ascii")):
        return _refused(data)
    return Verified(ok=True, needs_rehash=len(data) <= BCRYPT_LONGEST)


def check_password_strength(password: str) -> str:
    """The password as it is. Raises ValueError, with a message that may be shown."""
    if len(password) < SHORTEST:
        raise ValueError(f"a password should have at least {SHORTEST} characters")
    if _bytes(password) is None:
        raise ValueError(_NO_PASSWORD)
    return password


def random_password() -> str:
    """24 letters and digits: 140 random bits."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(24))


def parse_htpasswd(text: str) -> list[tuple[str, str]]:
    """Names and bcrypt hashes of an htpasswd file, in its order.

    Raises ValueError, naming the line and what to do, for every other kind of hash: they can be guessed
    too fast to be kept.
    """
    entries: list[tuple[str, str]] = []
    first_line: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, _, hashed = line.partition(":")
        if not name or not hashed:
            raise ValueError(f"line {number} should be NAME:HASH, as `htpasswd -B` writes it")
        if not _BCRYPT.fullmatch(hashed):
            raise ValueError(
                f"line {number}: the hash is not bcrypt with a cost of 4 to 17; "
                "set the password of this user again with `htpasswd -B`"
            )
        if name in first_line:
            raise ValueError(f"line {number}: the name of line {first_line[name]} again; remove one of them")
        first_line[name] = number
        entries.append((name, hashed))
    return entries


def _bytes(password: str) -> bytes | None:
    """UTF-8; None for what can't be a password, which nobody has then. bcrypt ends at a NUL."""
    try:
        data = password.encode()
    except UnicodeEncodeError:
        return None
    return data if len(data) <= LONGEST and 0 not in data else None


def _verify_argon2(hashed: str, data: bytes) -> Verified:
    try:
        _HASHER.verify(hashed, data)
    except argon2.exceptions.VerifyMismatchError:
        return Verified(ok=False)
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        raise ValueError("the stored hash is neither of argon2 nor of bcrypt") from None
    return Verified(ok=True, needs_rehash=_HASHER.check_needs_rehash(hashed))


def _refused(data: bytes) -> Verified:
    """No, after the time that an argon2 hash takes."""
    _verify_argon2(_somebody(), data)
    return Verified(ok=False)


@cache
def _somebody() -> str:
    """The hash of a password that nobody knows."""
    return _HASHER.hash(secrets.token_bytes(32))
