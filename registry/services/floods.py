"""Floods: more of the same from one address than anybody would want to read one by one."""

import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from auth.throttle import source

ROOM = 100
"""What an address may cause at once."""

PER_SECOND = 1.0
"""And then for each second."""

TELL_EVERY = 60.0
"""Seconds between two mentions of what was left out."""

MOST_ADDRESSES = 10_000
"""Remembered; whoever was quiet for longest is forgotten first."""


@dataclass(slots=True)
class Bucket:
    """`room` as of a monotonic time; `left_out` since `told_at`."""

    room: float
    at: float
    left_out: int = 0
    told_at: float = 0.0


class Floods:
    """Counts by address; those of one IPv6 network are one."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def has_room(self, address: str) -> bool:
        """Whether one more is to be told. If not, it is counted."""
        key, now = source(address), time.monotonic()
        bucket = self._buckets.setdefault(key, Bucket(ROOM, now))
        self._buckets.move_to_end(key)
        while len(self._buckets) > MOST_ADDRESSES:
            self._buckets.popitem(last=False)
        bucket.room = min(ROOM, bucket.room + (now - bucket.at) * PER_SECOND)
        bucket.at = now
        if bucket.room < 1:
            bucket.left_out += 1
            return False
        bucket.room -= 1
        return True

    def left_out(self) -> Sequence[tuple[str, int]]:
        """Addresses with how many were not told since the last time; each once in a while."""
        now = time.monotonic()
        due = [
            (address, bucket)
            for address, bucket in self._buckets.items()
            if bucket.left_out and now - bucket.told_at >= TELL_EVERY
        ]
        counts = [(address, bucket.left_out) for address, bucket in due]
        for _, bucket in due:
            bucket.left_out, bucket.told_at = 0, now
        return counts
