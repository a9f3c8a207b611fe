"""Two caches: of facts that can change, checked on each use, and of bytes that cannot."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class FactCache(Generic[Key, Value]):
    """Facts as of one generation of the index: a commit by anybody, anywhere, empties it."""

    def __init__(self, generation: Callable[[], Awaitable[Hashable]], limit: int) -> None:
        self._ask = generation
        self._limit = limit
        self._generation: Hashable = None
        self._facts: dict[Key, Value] = {}

    async def current(self) -> Hashable:
        """The generation of now. Ask before reading what is then `put`, so that it can't be older."""
        now = await self._ask()
        if now != self._generation:
            self._facts.clear()
            self._generation = now
        return now

    def get(self, key: Key) -> Value | None:
        """A fact of the generation that `current` answered last."""
        return self._facts.get(key)

    def put(self, key: Key, value: Value, generation: Hashable) -> None:
        """Keep what was read after `generation` was asked for."""
        if generation != self._generation:
            return
        if len(self._facts) >= self._limit:
            self._facts.clear()  # cheaper than an order of use, and rare
        self._facts[key] = value


class ByteCache:
    """Immutable bytes by their digest, verified by whoever puts them in; the least used go first.

    `capacity` and `largest` (of one entry) are in bytes.
    """

    def __init__(self, capacity: int, largest: int) -> None:
        self.largest = largest
        self._capacity = capacity
        self._held = 0
        self._entries: OrderedDict[str, bytes] = OrderedDict()

    def get(self, digest: str) -> bytes | None:
        found = self._entries.get(digest)
        if found is not None:
            self._entries.move_to_end(digest)
        return found

    def put(self, digest: str, content: bytes) -> None:
        if len(content) > self.largest or digest in self._entries:
            return
        self._entries[digest] = content
        self._held += len(content)
        while self._held > self._capacity:
            _, dropped = self._entries.popitem(last=False)
            self._held -= len(dropped)
