"""Bytes of an upload that are not stored yet."""

from collections.abc import Iterator, Sequence
from typing import overload

from storage_drivers.base import Observer
from storage_drivers.s3_budget import Reservation

GATHERED = 256 * 1024
"""Bytes that are worth a thread's attention, and those that an upload may hold beside the budget."""

PEEKED = 4096
"""Of a lazy run, instead: enough to see that it has not ended."""


class Buffer:
    """Bytes that are not stored yet, behind `front` bytes of room for those of the tail before them."""

    def __init__(self, room: int) -> None:
        """`room`: how many bytes it takes without a reservation."""
        self.content = bytearray()
        self.front = 0
        self.count = 0
        self.capacity = room
        self.reservation: Reservation | None = None

    @property
    def full(self) -> bool:
        return self.count == self.capacity

    def grow(self, front: int, capacity: int, reservation: Reservation) -> None:
        """Make room for `capacity` bytes behind `front`. The system gives memory only to what is filled."""
        content = bytearray(front + capacity)
        content[front : front + self.count] = self.content
        self.content, self.front, self.capacity, self.reservation = content, front, capacity, reservation

    def fill(self, buffers: Iterator[bytes], observe: Observer | None) -> tuple[bool, bytes]:
        """Take buffers until it is full: (False, what was left of the last one). Else, at their end: True.

        Called in a thread: a lazy run receives its bytes here.
        """
        while self.count < self.capacity:
            buffer = next(buffers, None)
            if buffer is None:
                return True, b""
            room = self.capacity - self.count
            taken, rest = (buffer, b"") if len(buffer) <= room else (buffer[:room], buffer[room:])
            if not taken:
                continue
            start = self.front + self.count
            self.content[start : start + len(taken)] = taken
            self.count += len(taken)
            if observe is not None:
                observe((taken,))
            if rest:
                return False, rest
        return False, b""

    def cut(self, front: int) -> bytearray:
        """The bytes with the last `front` of the room before them, as one block."""
        del self.content[self.front + self.count :]
        del self.content[: self.front - front]
        self.front = front
        return self.content

    def release(self) -> None:
        if self.reservation is not None:
            self.reservation.release()


class Unwritten(Sequence[bytes]):
    """Bytes that wait for the commit, with the memory reserved for them."""

    def __init__(self, buffer: Buffer) -> None:
        self.buffer = buffer

    def __len__(self) -> int:
        return 1

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | Sequence[bytes]:
        buffer = self.buffer
        content = bytes(memoryview(buffer.content)[buffer.front : buffer.front + buffer.count])
        return (content,)[index]
