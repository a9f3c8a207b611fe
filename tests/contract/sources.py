"""What the contract's tests send to a driver, and how they get it back."""

import json
import random
from collections.abc import AsyncIterator, Sequence

from storage_drivers import StorageDriver, Upload

DIGEST = "sha256:" + "5e" * 32
"""Drivers do not verify digests, so most tests take this one for whatever they store."""

MEBIBYTE = 1 << 20


class SourceError(Exception):
    """Stands for whatever may go wrong with a client."""


def content_of(size: int, seed: int = 0) -> bytes:
    """Random bytes, the same ones each time."""
    return random.Random(seed).randbytes(size)


async def runs_of(content: bytes, buffer: int = 65_536, buffers: int = 4) -> AsyncIterator[Sequence[bytes]]:
    """`content` as it comes from a socket: runs of at most `buffers` buffers of `buffer` bytes."""
    pieces = [content[start : start + buffer] for start in range(0, len(content), buffer)]
    for first in range(0, len(pieces), buffers):
        yield pieces[first : first + buffers]


async def breaking_after(content: bytes, error: BaseException) -> AsyncIterator[Sequence[bytes]]:
    """All of `content`, and then the error."""
    async for run in runs_of(content):
        yield run
    raise error


def through_json(upload: Upload) -> Upload:
    """As the index keeps it."""
    offset, state = json.loads(json.dumps([upload.offset, dict(upload.state)]))
    return Upload(offset, state)


async def put(driver: StorageDriver, content: bytes, digest: str = DIGEST) -> str:
    """Store an object, and return its location."""
    return await driver.commit(await driver.append(await driver.begin(), runs_of(content)), digest)


async def get(driver: StorageDriver, location: str, start: int = 0, stop: int | None = None) -> bytes:
    """The bytes of an object."""
    return b"".join([piece async for piece in driver.read(location, start, stop)])


async def locations(driver: StorageDriver) -> set[str]:
    """What `scan` finds, each once."""
    found = [entry.location async for entry in driver.scan()]
    assert len(found) == len(set(found))
    return set(found)
