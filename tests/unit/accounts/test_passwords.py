import subprocess
from collections.abc import Iterator
from typing import Literal

import argon2
import bcrypt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auth import passwords
from auth.passwords import (
    Verified,
    check_password_strength,
    hash_password,
    parse_htpasswd,
    random_password,
    verify_password,
)
from tests.support.tools import tool

PASSWORD = "correct horse battery stapleé"


def bcrypt_hash(password: bytes, prefix: bytes = b"2b") -> str:
    hashed = bcrypt.hashpw(password, bcrypt.gensalt(4))
    return hashed.replace(b"$2b$", b"$" + prefix + b"$", 1).decode()


@pytest.fixture
def hashes_made(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The argon2 hashes that passwords are compared with from now on."""
    made: list[str] = []

    class Counting(argon2.PasswordHasher):
        def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
            made.append(str(hash))
            return super().verify(hash, password)

    cheap = Counting(time_cost=1, memory_cost=64, parallelism=1)
    monkeypatch.setattr(passwords, "_HASHER", cheap)
    passwords._somebody.cache_clear()
    yield made
    passwords._somebody.cache_clear()


def test_a_password_is_verified_against_its_hash() -> None:
    hashed = hash_password(PASSWORD)
    assert hashed.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert hash_password(PASSWORD) != hashed
    assert verify_password(hashed, PASSWORD) == Verified(ok=True, needs_rehash=False)
    for wrong in ("", PASSWORD[:-1], PASSWORD + " ", PASSWORD.upper(), PASSWORD + "\0"):
        assert verify_password(hashed, wrong) == Verified(ok=False)


def test_a_hash_of_other_costs_is_to_be_made_anew() -> None:
    weak = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(PASSWORD)
    assert verify_password(weak, PASSWORD) == Verified(ok=True, needs_rehash=True)
    assert verify_password(weak, "wrong") == Verified(ok=False)


@pytest.mark.parametrize("prefix", [b"2a", b"2b", b"2y"])
def test_bcrypt_is_verified_and_to_be_replaced(prefix: bytes) -> None:
    hashed = bcrypt_hash(PASSWORD.encode(), prefix)
    assert verify_password(hashed, PASSWORD) == Verified(ok=True, needs_rehash=True)
    assert verify_password(hashed, PASSWORD[:-1]) == Verified(ok=False)


def test_of_a_long_password_bcrypt_compares_72_bytes() -> None:
    """What is not compared is not made the password by hashing it anew."""
    hashed = bcrypt_hash(b"x" * 72)
    assert verify_password(hashed, "x" * 72) == Verified(ok=True, needs_rehash=True)
    assert verify_password(hashed, "x" * 100) == Verified(ok=True, needs_rehash=False)
    assert verify_password(hashed, "x" * 71) == Verified(ok=False)
    assert verify_password(hashed, "x" * 71 + "y" * 20) == Verified(ok=False)


@pytest.mark.parametrize("hashed", ["", "secret123", "$1$abc$def", "$2b$31$" + "a" * 53, "$argon2id$broken"])
def test_a_stored_hash_that_is_none_is_an_error_and_no_password(hashed: str) -> None:
    with pytest.raises(ValueError, match="neither of argon2 nor of bcrypt"):
        verify_password(hashed, PASSWORD)


def test_each_refusal_costs_one_argon2_hash(hashes_made: list[str]) -> None:
    """So known and unknown users take the same time; counted, since times say little on a loaded machine."""
    somebody = hash_password("somebody's")
    in_bcrypt = bcrypt_hash(b"somebody's")
    for hashed, password in (
        (None, "x"),
        (None, "x" * 5000),
        (somebody, "wrong"),
        (somebody, "x" * 5000),
        (somebody, "with\0NUL"),
        (somebody, "\ud800"),
        (in_bcrypt, "wrong"),
    ):
        hashes_made.clear()
        assert verify_password(hashed, password) == Verified(ok=False)
        assert len(hashes_made) == 1
    hashes_made.clear()
    assert verify_password(somebody, "somebody's").ok
    assert hashes_made == [somebody]


def test_the_dummy_costs_what_a_real_hash_costs() -> None:
    passwords._somebody.cache_clear()  # a test with cheaper hashes may have asked for it
    real, dummy = map(argon2.extract_parameters, (hash_password(PASSWORD), passwords._somebody()))
    assert real == dummy


@settings(max_examples=20)
@given(st.text(max_size=20))
def test_any_text_is_a_password_or_is_not(password: str) -> None:
    if "\0" in password:
        with pytest.raises(ValueError, match="NUL"):
            hash_password(password)
    else:
        assert verify_password(hash_password(password), password).ok


def test_what_no_password_may_be() -> None:
    assert check_password_strength("12345678") == "12345678"
    assert check_password_strength("é" * 512)
    for password, message in (
        ("", "at least 8 characters"),
        ("1234567", "at least 8 characters"),
        ("é" * 513, "at most 1024 bytes"),
        ("1234567\0", "NUL"),
        ("1234567\ud800", "UTF-8"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            check_password_strength(password)
        assert not password or password not in str(caught.value)


def test_random_passwords() -> None:
    made = {random_password() for _ in range(200)}
    assert len(made) == 200
    assert all(len(password) == 24 and password.isalnum() and password.isascii() for password in made)
    assert all(check_password_strength(password) for password in made)


def test_htpasswd_files() -> None:
    first, second = bcrypt_hash(b"one", b"2y"), bcrypt_hash(b"two")
    text = f"# users\n\nalice:{first}\r\n  bob@example.com:{second}  \n"
    assert parse_htpasswd(text) == [("alice", first), ("bob@example.com", second)]
    assert parse_htpasswd("") == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("bob:$apr1$lZL6V/ci$eIMz/iKDkbtys/uU7LEK00", "line 2: .* `htpasswd -B`"),
        ("bob:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", "line 2: .* `htpasswd -B`"),
        ("bob:rqXexS6ZhobKA", "line 2: .* `htpasswd -B`"),
        ("bob:secret", "line 2: .* `htpasswd -B`"),
        ("bob:$2y$31$" + "a" * 53, "line 2: .* cost of 4 to 17"),
        ("bob:$2y$05$short", "line 2: .* `htpasswd -B`"),
        ("bob", "line 2 should be NAME:HASH"),
        (":$2y$05$" + "a" * 53, "line 2 should be NAME:HASH"),
        ("bob:", "line 2 should be NAME:HASH"),
        ("alice:$2y$05$" + "a" * 53, "line 2: the name of line 1 again"),
    ],
)
def test_what_is_refused_in_htpasswd_files(line: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        parse_htpasswd(f"alice:{bcrypt_hash(b'one')}\n{line}\n")
    assert "$2" not in str(caught.value), "hashes are nobody's business"
    assert "secret" not in str(caught.value)


def test_what_htpasswd_itself_writes() -> None:
    program = tool("htpasswd", "apt-get install apache2-utils")
    written = subprocess.run(
        [program, "-n", "-b", "-B", "alice", PASSWORD], check=True, capture_output=True, text=True
    )
    ((name, hashed),) = parse_htpasswd(written.stdout)
    assert name == "alice"
    assert verify_password(hashed, PASSWORD) == Verified(ok=True, needs_rehash=True)
