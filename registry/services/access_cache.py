"""What is known of rights, for as long as it may be believed.

A counter in the index goes up with every change of accounts, grants, tokens, keys and settings. A process
reads it once a second at most, and believes nothing that was read under another count. So a right that was
taken away is gone a second later everywhere. Only when the index does not answer are rights believed for
longer, and never longer than `believed_seconds`.
"""

import logging
import time
from collections.abc import Hashable
from typing import Generic, NamedTuple, TypeVar

from registry.index import Index, access
from registry.oci.errors import Unavailable

log = logging.getLogger(__name__)

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

READ_EVERY = 1.0
"""Seconds."""


class Epoch:
    """The counter, as this process read it last."""

    def __init__(self, index: Index, believed_seconds: float) -> None:
        self._index = index
        self._read_every = min(READ_EVERY, believed_seconds)
        self.believed_seconds = believed_seconds
        self.value = -1
        self._read_at = float("-inf")

    def is_current(self) -> bool:
        """Whether `value` was read a moment ago."""
        return time.monotonic() - self._read_at < self._read_every

    async def read(self) -> None:
        """Read the counter. Raises Unavailable when that fails and what is known is too old."""
        began = time.monotonic()
        try:
            self.value = await self._index.read(access.epoch)
        except Unavailable as error:
            if began - self._read_at > self.believed_seconds:
                raise
            log.warning("rights can't be read now; those of before still count: %s", error.message)
        else:
            self._read_at = began

    def outdate(self) -> None:
        """Read again before anything is believed: this process has changed something."""
        self._read_at = min(self._read_at, time.monotonic() - self._read_every)


class Believed(NamedTuple, Generic[Value]):
    """A fact, the count under which it was read, and the monotonic time up to which it may count."""

    value: Value
    epoch: int
    until: float


class AccessCache(Generic[Key, Value]):
    """Facts of one epoch; `limit` of them at most."""

    def __init__(self, epoch: Epoch, limit: int) -> None:
        self._epoch = epoch
        self._limit = limit
        self._facts: dict[Key, Believed[Value]] = {}

    def get(self, key: Key) -> Value | None:
        """A fact that may still be believed; ask only while the epoch is current."""
        found = self._facts.get(key)
        if found is None or found.epoch != self._epoch.value or found.until < time.monotonic():
            return None
        return found.value

    def put(self, key: Key, value: Value, epoch: int, seconds: float | None = None) -> None:
        """Keep what was read under this epoch, for `seconds` at most."""
        if epoch != self._epoch.value:
            return
        if len(self._facts) >= self._limit:
            self._facts.clear()  # cheaper than an order of use, and rare
        lives = self._epoch.believed_seconds
        if seconds is not None:
            lives = min(lives, seconds)
        self._facts[key] = Believed(value, epoch, time.monotonic() + lives)
