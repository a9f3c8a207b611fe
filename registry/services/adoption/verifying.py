"""Reading the blobs of the tree: none is entered whose bytes were not compared with its digest."""

import asyncio
from collections import defaultdict
from collections.abc import Callable

from registry.index import Index, adoption
from registry.oci.digest import Digest
from registry.services.adoption.layout import blob_location
from registry.services.adoption.source import Unfit
from registry.services.hashing import stored_digest
from storage_drivers import NotFound, StorageDriver

READ_AT_ONCE = 8
"""Objects: enough to keep the cores of a usual machine busy, or a line to S3."""


class Verifier:
    """The blobs of one repository, each read once. `told` hears of the bytes that were read."""

    def __init__(
        self, index: Index, driver: StorageDriver, slots: asyncio.Semaphore, told: Callable[[int], None]
    ) -> None:
        self._index = index
        self._driver = driver
        self._slots = slots
        self._told = told
        self._locks: defaultdict[Digest, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._sizes: dict[Digest, int] = {}
        self._unfit: dict[Digest, Unfit] = {}

    async def verified(self, digest: Digest) -> int | None:
        """The size of a blob of the tree, in bytes; None if the registry has the blob already.

        Raises Unfit for what can't be served, and StorageError.
        """
        async with self._locks[digest]:
            if digest in self._unfit:
                raise self._unfit[digest]
            if digest not in self._sizes:
                if await self._is_here(digest):
                    return None
                try:
                    self._sizes[digest] = await self._read(digest)
                except Unfit as unfit:
                    self._unfit[digest] = unfit
                    raise
            return self._sizes[digest]

    async def size(self, digest: Digest) -> int | None:
        """As `verified`, but nothing is read: for a dry run."""
        return None if await self._is_here(digest) else await self._stat(digest)

    async def _is_here(self, digest: Digest) -> bool:
        return await self._index.read(lambda connection: adoption.is_here(connection, digest))

    async def _read(self, digest: Digest) -> int:
        location = blob_location(digest)
        if await self._index.read(lambda connection: adoption.is_discarded(connection, location)):
            raise Unfit("it was deleted here, and its bytes are about to go")
        async with self._slots:
            size = await self._stat(digest)
            try:
                actual = await stored_digest(self._driver, location, size, digest.algorithm, self._tell)
            except NotFound:
                raise Unfit("its bytes are not there") from None
        if actual != digest:
            raise Unfit(f"its bytes have the digest {actual}")
        return size

    async def _stat(self, digest: Digest) -> int:
        try:
            return (await self._driver.stat(blob_location(digest))).size
        except NotFound:
            raise Unfit("its bytes are not there") from None

    async def _tell(self, count: int) -> None:
        self._told(count)
