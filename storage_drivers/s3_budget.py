"""One budget of memory for all uploads of a process."""

import asyncio
from asyncio import CancelledError
from collections import deque


class Budget:
    """`size` bytes. Who asks first is served first, whatever he asks for, so that nobody waits for ever.

    Nobody can starve the others either, as long as each holds to this: reserve a whole part before its bytes
    come, and wait for no second reservation while a part is being filled. Then whatever is reserved
    can be sent and given back without any more memory.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.used = 0
        self.peak = 0
        self._waiting: deque[tuple[int, asyncio.Future[Reservation]]] = deque()
        self._loop = asyncio.get_running_loop()

    @property
    def scarce(self) -> bool:
        """Whether somebody waits."""
        return bool(self._waiting)

    async def reserve(self, size: int) -> "Reservation":
        """Wait for `size` bytes. Raises ValueError for more than there will ever be."""
        if size > self.size:
            raise ValueError(f"{size} bytes are more than the whole budget of {self.size}")
        if not self._waiting and self.used + size <= self.size:
            return self._grant(size)
        future: asyncio.Future[Reservation] = self._loop.create_future()
        entry = (size, future)
        self._waiting.append(entry)
        try:
            return await future
        except CancelledError:
            if entry in self._waiting:
                self._waiting.remove(entry)
                self._serve()
            elif not future.cancelled():  # granted and cancelled at once
                future.result().release()
            raise

    def _grant(self, size: int) -> "Reservation":
        self.used += size
        self.peak = max(self.peak, self.used)
        return Reservation(self, size)

    def give_back(self, size: int) -> None:
        self.used -= size
        self._serve()

    def give_back_from_anywhere(self, size: int) -> None:
        """For finalizers, which run in any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.give_back, size)

    def _serve(self) -> None:
        while self._waiting:
            size, future = self._waiting[0]
            if not future.cancelled():
                if self.used + size > self.size:
                    return
                future.set_result(self._grant(size))
            self._waiting.popleft()


class Reservation:
    """Bytes of the budget. Given back by `release`, or when nobody refers to it any more."""

    def __init__(self, budget: Budget, size: int) -> None:
        self._budget = budget
        self.size = size

    def shrink(self, size: int) -> None:
        """Keep `size` bytes."""
        surplus = self.size - size
        self.size = size
        if surplus > 0:
            self._budget.give_back(surplus)

    def release(self) -> None:
        self.shrink(0)

    def __del__(self) -> None:
        if self.size:
            self._budget.give_back_from_anywhere(self.size)
