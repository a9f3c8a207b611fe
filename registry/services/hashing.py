"""Digests of uploads, made while the bytes pass by, and of what is stored."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence

from registry.oci.digest import Digest, digest_from_hash, new_hash
from storage_drivers import StorageDriver


class RunningHash:
    """The hash of all bytes of an upload so far; `count` is their number."""

    def __init__(self, algorithm: str) -> None:
        self.algorithm = algorithm
        self.count = 0
        self._hash = new_hash(algorithm)

    def update(self, run: Sequence[bytes]) -> None:
        """Add buffers. It is called in a storage thread: hashlib lets others run meanwhile."""
        for buffer in run:
            self._hash.update(buffer)
            self.count += len(buffer)

    def digest(self) -> Digest:
        return digest_from_hash(self._hash, self.algorithm)


class HashMemory:
    """Hashes of uploads that may go on in this process.

    A hash can't be stored, so this is a memory and nothing depends on it: an upload that goes on
    elsewhere, or is forgotten here, is read again when it ends.
    """

    def __init__(self, limit: int = 4096) -> None:
        self._limit = limit
        self._hashes: OrderedDict[str, RunningHash] = OrderedDict()

    def keep(self, upload_id: str, running: RunningHash) -> None:
        self._hashes[upload_id] = running
        self._hashes.move_to_end(upload_id)
        if len(self._hashes) > self._limit:
            self._hashes.popitem(last=False)

    def take(self, upload_id: str, algorithm: str, offset: int) -> RunningHash | None:
        """The hash of the first `offset` bytes, if it is known; the caller owns it then."""
        if offset == 0:
            return RunningHash(algorithm)
        running = self._hashes.pop(upload_id, None)
        fits = running is not None and running.count == offset and running.algorithm == algorithm
        return running if fits else None

    def forget(self, upload_id: str) -> None:
        self._hashes.pop(upload_id, None)


async def stored_digest(
    driver: StorageDriver,
    location: str,
    size: int,
    algorithm: str,
    spend: Callable[[int], Awaitable[None]] | None = None,
) -> Digest:
    """The digest of an object's first `size` bytes, read piece by piece. `spend` is told of each piece's
    length, and may wait. Raises a StorageError."""
    running = RunningHash(algorithm)
    loop = asyncio.get_running_loop()
    async for part in driver.read(location, 0, size):
        await loop.run_in_executor(None, running.update, [part])
        if spend is not None:
            await spend(len(part))
    return running.digest()
