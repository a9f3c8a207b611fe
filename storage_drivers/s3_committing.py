"""`commit`: a staged object becomes a readable one, once, however often it is tried."""

import asyncio
from collections.abc import Sequence

from storage_drivers.base import NotFound, Object, Unavailable
from storage_drivers.s3_appending import load
from storage_drivers.s3_bucket import Bucket, Part
from storage_drivers.s3_budget import Budget
from storage_drivers.s3_buffers import Buffer
from storage_drivers.s3_parts import Staged, chained, new_location, place_of

COMPARED = 1 << 20


class Committing:
    """`buffer` holds the bytes behind those that are stored."""

    def __init__(self, bucket: Bucket, budget: Budget, staged: Staged, buffer: Buffer) -> None:
        self._bucket = bucket
        self._budget = budget
        self._staged = staged
        self._buffer = buffer

    @property
    def _size(self) -> int:
        return self._staged.offset + self._buffer.count

    async def commit(self, *, first: bool) -> str:
        """The location. `first`: nobody can have committed it before."""
        if self._staged.multipart:
            if found := await objects_of(self._bucket, self._staged.token):
                return await self._again(found, await self._rest_if_there())
            return await self._complete()
        body = await self._rest_if_there() if first else None
        if not first:
            looking = objects_of(self._bucket, self._staged.token)
            found, body = await asyncio.gather(looking, self._rest_if_there())
            if found:
                return await self._again(found, body)
        if body is None:
            raise NotFound("there is no such staged object")
        location = new_location(self._staged.token)
        await self._bucket.put(location, body, lasting=True)
        return location

    async def _rest_if_there(self) -> bytearray | None:
        try:
            return await self._rest()
        except NotFound:
            return None

    async def _rest(self) -> bytearray:
        """What is in no part yet: the tail and the buffer, as one block."""
        buffer, front = self._buffer, sum(self._staged.tail)
        if front > buffer.front:
            reservation = await self._budget.reserve(front + buffer.count)
            buffer.grow(front, buffer.count, reservation)
        await load(self._bucket, self._staged.token, tuple(self._staged.segments()), buffer)
        return buffer.cut(front)

    async def _complete(self) -> str:
        staged = self._staged
        number, size, chain = staged.parts, staged.sent, staged.chain
        if staged.tail or self._buffer.count:
            body = await self._rest()
            number += 1
            etag = await self._bucket.put_part(staged.key, staged.multipart, number, body)
            size, chain = size + len(body), chained(chain, [etag])
        parts = [
            part for part in await self._bucket.parts(staged.key, staged.multipart) if part.number <= number
        ]
        check(parts, number, size, chain)
        try:
            await self._bucket.complete(staged.key, staged.multipart, parts)
        except (NotFound, Unavailable):
            if not await self._is_there(staged.key):
                raise
        return staged.key

    async def _is_there(self, location: str) -> bool:
        """Whether a completion was carried out, and its answer lost."""
        try:
            return (await self._bucket.stat(location)).size == self._size
        except NotFound:
            return False

    async def _again(self, found: Sequence[Object], rest: bytearray | None) -> str:
        """The object that an earlier commit made, if it holds these very bytes.

        Those that are in no part are compared. Parts can't have changed since: they ended with that commit.
        Nor can segments that are gone: it was the commit that took them in.
        """
        mine = self._buffer.cut(0) if rest is None else rest
        for entry in found:
            if entry.size == self._size and await self._ends_with(entry.location, mine):
                return entry.location
        raise NotFound("this upload was committed with other bytes")

    async def _ends_with(self, location: str, mine: bytearray) -> bool:
        position = self._size - len(mine)
        with memoryview(mine) as view:
            for start in range(0, len(mine), COMPARED):
                piece = bytearray(min(COMPARED, len(mine) - start))
                with memoryview(piece) as into:
                    await self._bucket.get(location, position + start, into)
                with view[start : start + len(piece)] as own:
                    if own != piece:
                        return False
        return True


def check(parts: Sequence[Part], count: int, size: int, chain: str) -> None:
    """Raise NotFound unless these are the parts that were acknowledged."""
    whole = [part.number for part in parts] == list(range(1, count + 1))
    etags = chained("", [part.etag for part in parts])
    if not whole or sum(part.size for part in parts) != size or etags != chain:
        raise NotFound("the parts of this upload are not the ones that were sent")


async def objects_of(bucket: Bucket, token: str) -> list[Object]:
    """What commits of an upload have made."""
    return [found async for found in bucket.objects(f"{place_of(token)}.")]
