"""One `append`: bytes become parts, which are sent while others come; what is left becomes a segment."""

import asyncio
import logging
from asyncio import CancelledError
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain

from storage_drivers.base import NotFound, Observer, Run, StorageError
from storage_drivers.s3_bucket import Bucket
from storage_drivers.s3_budget import Budget
from storage_drivers.s3_buffers import GATHERED, PEEKED, Buffer
from storage_drivers.s3_client import forget_locals
from storage_drivers.s3_parts import PartPlan, Staged, new_location, segment_key
from storage_drivers.threads import finished, settled

log = logging.getLogger(__name__)

PARTS_AT_ONCE = 8
"""Of one upload, on their way."""

PATIENCE = 1.0
"""Seconds that a client may keep others waiting for memory while it sends nothing."""


class Stopped(Exception):
    """The bytes broke off, or the task was cancelled: the `__cause__`."""


class Appending:
    """`staged` is the upload as it was, and as it has become when `settle` or `flush` returns."""

    def __init__(
        self,
        bucket: Bucket,
        budget: Budget,
        plan: PartPlan,
        threads: ThreadPoolExecutor,
        staged: Staged,
        observe: Observer | None,
    ) -> None:
        self._bucket = bucket
        self._budget = budget
        self._plan = plan
        self._threads = threads
        self._observe = observe
        self._begun_here = ""
        self._known = not staged.tail and not staged.multipart
        self._flights: list[asyncio.Task[str]] = []
        self._sent = 0
        self._unreserved = GATHERED
        self.staged = staged
        self.buffer = self._new_buffer()

    @property
    def front(self) -> int:
        """How many stored bytes belong into the part that is being filled."""
        return 0 if self._flights else sum(self.staged.tail)

    @property
    def _part_size(self) -> int:
        return max(self._plan.size(self.staged.parts + len(self._flights) + 1), self.front + 1)

    def _new_buffer(self) -> Buffer:
        return Buffer(min(self._part_size - self.front, self._unreserved))

    async def take(self, runs: AsyncIterable[Run]) -> None:
        """Take all runs. Raises Stopped, and the storage's errors."""
        source = aiter(runs)
        gathered: list[bytes] = []
        size = 0
        try:
            while (run := await self._next(source)) is not None:
                lazy: Run = ()
                if isinstance(run, Sequence):
                    gathered += run
                    size += sum(map(len, run))
                    if size < GATHERED:
                        continue
                else:
                    lazy = run
                    self._wait_with_little()
                buffers, gathered, size = chain(gathered, lazy), [], 0
                await self._take(buffers)
        finally:
            if size:
                await self._take(iter(gathered))

    def _wait_with_little(self) -> None:
        """A lazy run leaves its bytes with the client until there is memory for them."""
        self._unreserved = PEEKED
        if self.buffer.reservation is None:
            self.buffer.capacity = max(self.buffer.count, min(self.buffer.capacity, PEEKED))

    async def _next(self, source: AsyncIterator[Run]) -> Run | None:
        """The next run, or None at the end. Who must wait for it keeps no memory that others wait for."""
        coming = asyncio.ensure_future(anext(source, None))
        try:
            while not coming.done():
                await asyncio.wait((coming,), timeout=PATIENCE)
                if not coming.done() and self._budget.scarce and self.buffer.reservation is not None:
                    await self._flush_whole()
        except BaseException as error:
            coming.cancel()
            cancelled = await settled(coming)
            if isinstance(error, CancelledError):
                raise Stopped from error
            if cancelled is not None:
                raise Stopped from cancelled
            raise
        try:
            return coming.result()
        except (Exception, CancelledError) as error:
            raise Stopped from error

    async def _flush_whole(self) -> None:
        _, cancelled = await finished(self.flush())
        if cancelled is not None:
            raise cancelled

    async def _take(self, buffers: Iterator[bytes]) -> None:
        """Take buffers to their end; a part that is full is sent on its way."""
        ended = False
        loop = asyncio.get_running_loop()
        while not ended:
            filling = loop.run_in_executor(self._threads, self.buffer.fill, buffers, self._observe)
            cancelled = await settled(filling)
            try:
                ended, rest = filling.result()
            except Exception as error:  # a run that breaks off in the middle
                raise Stopped from error
            if self.buffer.full:
                await self._make_room()
            if cancelled is not None:
                raise Stopped from cancelled
            if rest:
                buffers, rest = chain((rest,), buffers), b""

    async def _make_room(self) -> None:
        buffer = self.buffer
        try:
            if buffer.reservation is None:
                size = self._part_size
                reservation = await self._budget.reserve(size)
                buffer.grow(self.front, size - self.front, reservation)
            if buffer.full:
                while (
                    len(waiting := [flight for flight in self._flights if not flight.done()]) >= PARTS_AT_ONCE
                ):
                    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        except CancelledError as error:
            raise Stopped from error
        if buffer.full:
            _, cancelled = await finished(self._send())
            if cancelled is not None:
                raise Stopped from cancelled

    async def _send(self) -> None:
        """Send the buffer as a part, with the tail before it. Raises what the parts before it raised."""
        for flight in self._flights:
            if flight.done():
                flight.result()
        if not self.staged.multipart:
            key = new_location(self.staged.token)
            self._begun_here = await self._bucket.create(key)
            self.staged = replace(self.staged, multipart=self._begun_here, key=key)
        self._known = True
        number = self.staged.parts + len(self._flights) + 1
        segments = () if self._flights else tuple(self.staged.segments())
        self._sent += self.front + self.buffer.count
        self._flights.append(asyncio.create_task(self._part(self.buffer, number, segments)))
        self.buffer = self._new_buffer()

    async def _part(self, buffer: Buffer, number: int, segments: Sequence[tuple[int, int]]) -> str:
        staged = self.staged
        try:
            await load(self._bucket, staged.token, segments, buffer)
            front = sum(size for _, size in segments)
            return await self._bucket.put_part(staged.key, staged.multipart, number, buffer.cut(front))
        except BaseException as error:
            forget_locals(error)
            raise
        finally:
            buffer.content = bytearray()  # first: whose turn it is now takes as much
            buffer.release()

    async def settle(self) -> None:
        """Wait until every part that was sent is stored."""
        if self._flights:
            etags = await asyncio.gather(*self._flights)
            self.staged = self.staged.with_parts(etags, self._sent)
            self._flights, self._sent = [], 0

    async def flush(self) -> None:
        """Make everything durable that was taken: its end becomes a part if it is enough for one, or else a
        segment.

        Smaller segments before it are taken into it, so that a tail of n bytes has log n of them, and each
        byte is written log n times at most. The new segment begins like the old one under the same key:
        whoever still has the old state finds his bytes there.
        """
        await self.settle()
        buffer = self.buffer
        if not buffer.count:
            return
        size = self.front + buffer.count
        if size >= self._plan.least(self.staged.parts + 1):
            if buffer.reservation is None:
                buffer.grow(self.front, buffer.count, await self._budget.reserve(size))
            await self._send()
            await self.settle()
            return
        segments = list(self.staged.segments())
        merged: list[tuple[int, int]] = []
        size = buffer.count
        while segments and segments[-1][1] <= size:
            merged.insert(0, segments.pop())
            size += merged[0][1]
        front = size - buffer.count
        if front > buffer.front:
            buffer.grow(front, buffer.count, await self._budget.reserve(size))
        await load(self._bucket, self.staged.token, merged, buffer)
        start = self.staged.offset - front
        await asyncio.gather(
            self._bucket.put(segment_key(self.staged.token, start), buffer.cut(front), lasting=False),
            self._see_that_it_is_known(segments),
        )
        spent = {*self.staged.spent, *(begin for begin, _ in merged)} - {start}
        tail = (*(length for _, length in segments), size)
        self.staged = replace(self.staged, tail=tail, spent=tuple(sorted(spent)))
        buffer.release()
        self.buffer = self._new_buffer()

    async def _see_that_it_is_known(self, segments: Sequence[tuple[int, int]]) -> None:
        """Raise NotFound for an upload that was aborted or committed meanwhile."""
        if self._known:
            return
        if segments:
            start, size = segments[-1]
            found = await self._bucket.stat(segment_key(self.staged.token, start))
            if found.size < size:
                raise NotFound("there is no such staged object")
        elif self.staged.multipart:
            await self._bucket.see_multipart(self.staged.key, self.staged.multipart)
        self._known = True

    async def give_up(self) -> None:
        """Leave nothing on the way, and no multipart upload that nobody will know of."""
        for flight in self._flights:
            await settled(flight)
        self.buffer.release()
        if self._begun_here:
            try:
                await self._bucket.end(self.staged.key, self._begun_here)
            except StorageError as error:  # the sweep will
                log.warning("a multipart upload could not be ended: %s", error)


async def load(bucket: Bucket, token: str, segments: Sequence[tuple[int, int]], buffer: Buffer) -> None:
    """Put the segments into the room before a buffer's bytes. Raises NotFound if one of them is gone."""
    position = buffer.front - sum(size for _, size in segments)
    with memoryview(buffer.content) as view:
        for start, size in segments:
            with view[position : position + size] as into:
                await bucket.get(segment_key(token, start), 0, into)
            position += size
