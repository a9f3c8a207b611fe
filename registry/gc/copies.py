"""Objects in the storage that are no blobs: backups, and the journal. They hold rows of the index.

Anybody who may push can store bytes that look like a backup. So the first line of such an object names its
place: the token that the driver drew when the upload began, which is part of the location and which nobody
learns who pushes.
"""

import asyncio
import hashlib
import json
import re
import tempfile
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import IO, Any, NamedTuple

from registry.services.storage_errors import translated_errors
from storage_drivers import StorageDriver, StorageError, Upload

KINDS = ("backup", "journal")

PIECE = 512 * 1024

FIRST_BYTES = 8192
"""In which the first line ends, and much more."""

SHORTEST_TOKEN = 16
"""Letters, of what nobody can guess."""

PART = re.compile(r"[0-9A-Za-z_-]+")
"""Of a location: what is between slashes and dots."""

SPOOLED = 8 * 1024 * 1024
"""Bytes that need no file on the disk."""


class Stored(NamedTuple):
    """An object that is durable; `size` in bytes."""

    location: str
    size: int


def scratch() -> IO[bytes]:
    """A file that is gone when it is closed."""
    return tempfile.SpooledTemporaryFile(SPOOLED)


def places_of(upload: Upload) -> list[str]:
    """What an object that begins as this upload says of itself."""
    return [
        value for value in upload.state.values() if isinstance(value, str) and len(value) >= SHORTEST_TOKEN
    ]


async def store(driver: StorageDriver, kind: str, write: Callable[[IO[bytes], list[str]], Any]) -> Stored:
    """Store what `write`, called in a thread with a file and the places, writes. Raises Unavailable and
    StorageFull."""
    with translated_errors():
        upload = await driver.begin()
    with scratch() as file:
        await asyncio.to_thread(write, file, places_of(upload))
        return await store_file(driver, kind, upload, file)


async def store_file(driver: StorageDriver, kind: str, upload: Upload, file: IO[bytes]) -> Stored:
    """Store a file as the object that began as `upload`. Raises Unavailable and StorageFull."""

    def measure() -> tuple[str, int]:
        file.seek(0)
        digest = hashlib.sha256()
        while piece := file.read(PIECE):
            digest.update(piece)
        size = file.tell()
        file.seek(0)
        return digest.hexdigest(), size

    async def runs() -> AsyncIterator[Sequence[bytes]]:
        while piece := await asyncio.to_thread(file.read, PIECE):
            yield [piece]

    encoded, size = await asyncio.to_thread(measure)
    with translated_errors():
        try:
            upload = await driver.append(upload, runs(), durable=False)
            location = await driver.commit(upload, f"{kind}:{encoded}")
        except BaseException:
            with suppress(StorageError):  # else it is swept
                await driver.abort(upload)
            raise
    return Stored(location, size)


async def fetch(
    driver: StorageDriver,
    location: str,
    file: IO[bytes],
    spend: Callable[[int], Awaitable[None]] | None = None,
) -> None:
    """Write an object's bytes to a file, and go to its beginning. `spend` is told of each number of bytes
    read, and may wait. Raises a StorageError."""
    async for piece in driver.read(location):
        await asyncio.to_thread(file.write, piece)
        if spend is not None:
            await spend(len(piece))
    await asyncio.to_thread(file.seek, 0)


async def recognised(driver: StorageDriver, location: str, size: int) -> Mapping[str, Any] | None:
    """The first line of a backup or journal; None for any other object. Raises a StorageError."""
    found = b""
    async for piece in driver.read(location, 0, min(size, FIRST_BYTES)):
        found += piece
    return beginning_of(found, location)


def beginning_of(first_bytes: bytes, location: str) -> Mapping[str, Any] | None:
    """As `recognised`, of the first bytes of an object."""
    if not first_bytes.startswith(b"\x1f\x8b") or b"entrepot-" not in first_bytes[:32]:
        return None
    try:
        line = zlib.decompressobj(31).decompress(first_bytes, FIRST_BYTES).partition(b"\n")[0]
        beginning = json.loads(line)
    except (zlib.error, ValueError):
        return None
    if not isinstance(beginning, dict) or beginning.get("entrepot") not in KINDS:
        return None
    places = beginning.get("places")
    # Whole: folders can be guessed, and so can the first digits of anything.
    parts = {part for part in PART.findall(location) if len(part) >= SHORTEST_TOKEN}
    is_here = isinstance(places, list) and any(isinstance(place, str) and place in parts for place in places)
    return beginning if is_here else None
