"""Doing no more than so many bytes a second."""

import asyncio
import time
from collections.abc import Awaitable, Callable


class Pace:
    """Holds whoever spends bytes back; nothing is saved up for later. `bytes_per_second` 0: no bound."""

    def __init__(
        self,
        bytes_per_second: float,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rate = bytes_per_second
        self._sleep = sleep
        self._clock = clock
        self._due = 0.0

    async def spend(self, count: int) -> None:
        """Come back when `count` bytes more are allowed."""
        if not self._rate:
            return
        now = self._clock()
        self._due = max(self._due, now) + count / self._rate
        await self._sleep(self._due - now)
