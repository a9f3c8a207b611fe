"""What may change is true as of now or not there; what can't change is kept within bounds."""

import pytest

from registry.services.caches import ByteCache, FactCache


class Generations:
    """A stand-in for the index: its generation, set by hand."""

    def __init__(self) -> None:
        self.now = 1

    async def __call__(self) -> int:
        return self.now


async def test_a_fact_is_kept_as_long_as_nobody_commits() -> None:
    generations = Generations()
    cache: FactCache[str, str] = FactCache(generations, limit=10)
    cache.put("tag", "digest", await cache.current())

    for _ in range(3):
        await cache.current()
        assert cache.get("tag") == "digest"


async def test_a_commit_empties_the_cache() -> None:
    generations = Generations()
    cache: FactCache[str, str] = FactCache(generations, limit=10)
    for key in "ab":
        cache.put(key, "digest", await cache.current())

    generations.now = 2
    await cache.current()

    assert (cache.get("a"), cache.get("b")) == (None, None)


async def test_what_was_read_before_a_commit_is_not_kept_after_it() -> None:
    """The read took its time; meanwhile somebody committed, and somebody else noticed."""
    generations = Generations()
    cache: FactCache[str, str] = FactCache(generations, limit=10)
    asked = await cache.current()
    generations.now = 2
    await cache.current()

    cache.put("tag", "read too early", asked)

    assert cache.get("tag") is None


async def test_what_was_read_before_a_commit_that_nobody_noticed_goes_at_the_next_look() -> None:
    generations = Generations()
    cache: FactCache[str, str] = FactCache(generations, limit=10)
    asked = await cache.current()
    generations.now = 2
    cache.put("tag", "read too early", asked)

    await cache.current()

    assert cache.get("tag") is None


async def test_a_generation_that_comes_back_is_not_the_old_one() -> None:
    generations = Generations()
    cache: FactCache[str, str] = FactCache(generations, limit=10)
    cache.put("tag", "digest", await cache.current())
    for generations.now in (2, 1):
        await cache.current()

    assert cache.get("tag") is None


async def test_the_number_of_facts_is_bounded() -> None:
    cache: FactCache[int, int] = FactCache(Generations(), limit=10)
    for number in range(1000):
        cache.put(number, number, await cache.current())

        assert sum(cache.get(key) is not None for key in range(number + 1)) <= 10
        assert cache.get(number) == number


@pytest.mark.parametrize("size", [1, 7, 50])
def test_bytes_are_kept_up_to_the_capacity(size: int) -> None:
    cache = ByteCache(capacity=100, largest=50)
    for number in range(1000):
        cache.put(str(number), size * b"x")

        held = [key for key in map(str, range(number + 1)) if cache.get(key) is not None]
        assert size * len(held) <= 100
        assert str(number) in held
    assert len(held) == 100 // size


def test_the_least_used_bytes_go_first() -> None:
    cache = ByteCache(capacity=3, largest=1)
    for key in "abc":
        cache.put(key, b"x")
    cache.get("a")
    cache.put("d", b"x")

    assert [key for key in "abcd" if cache.get(key)] == ["a", "c", "d"]


def test_bytes_that_are_too_large_are_not_kept() -> None:
    cache = ByteCache(capacity=100, largest=10)
    cache.put("small", 10 * b"x")
    cache.put("large", 11 * b"x")

    assert (cache.get("small"), cache.get("large")) == (10 * b"x", None)


def test_putting_again_does_not_count_twice() -> None:
    cache = ByteCache(capacity=10, largest=10)
    for _ in range(100):
        cache.put("a", 5 * b"x")
    cache.put("b", 5 * b"x")

    assert cache.get("a") == cache.get("b") == 5 * b"x"


def test_empty_bytes_are_bytes() -> None:
    cache = ByteCache(capacity=10, largest=10)
    cache.put("empty", b"")

    assert cache.get("empty") == b""
