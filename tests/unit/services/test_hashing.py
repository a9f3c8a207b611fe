"""Hashes that go on: only with exactly the bytes that they have seen."""

from registry.oci.digest import Digest
from registry.services.hashing import HashMemory, RunningHash


def hash_of(content: bytes, algorithm: str = "sha256") -> RunningHash:
    running = RunningHash(algorithm)
    running.update([content[:3], b"", content[3:]])
    return running


def test_the_digest_is_of_all_buffers_in_order() -> None:
    for algorithm in ("sha256", "sha512"):
        running = hash_of(b"some bytes", algorithm)
        assert running.count == 10
        assert running.digest() == Digest.of(b"some bytes", algorithm)
        running.update([b" more"])
        assert running.digest() == Digest.of(b"some bytes more", algorithm)


def test_a_beginning_is_always_known() -> None:
    taken = HashMemory().take("u", "sha512", 0)

    assert taken is not None
    assert (taken.count, taken.algorithm) == (0, "sha512")


def test_a_hash_is_handed_over_once() -> None:
    memory = HashMemory()
    memory.keep("u", hash_of(b"some bytes"))

    taken = memory.take("u", "sha256", 10)

    assert taken is not None
    assert taken.digest() == Digest.of(b"some bytes")
    assert memory.take("u", "sha256", 10) is None


def test_a_hash_of_other_bytes_is_of_no_use() -> None:
    for algorithm, offset, upload in (
        ("sha256", 9, "u"),
        ("sha256", 11, "u"),
        ("sha512", 10, "u"),
        ("sha256", 10, "v"),
    ):
        memory = HashMemory()
        memory.keep("u", hash_of(b"some bytes"))
        assert memory.take(upload, algorithm, offset) is None


def test_a_session_that_begins_anew_forgets() -> None:
    memory = HashMemory()
    memory.keep("u", hash_of(b"some bytes"))
    memory.forget("u")
    memory.forget("u")

    assert memory.take("u", "sha256", 10) is None


def test_the_oldest_hashes_are_forgotten() -> None:
    memory = HashMemory(limit=3)
    for number in range(5):
        memory.keep(str(number), hash_of(b"some bytes"))

    assert [memory.take(str(number), "sha256", 10) is not None for number in range(5)] == [False] * 2 + [
        True
    ] * 3
