"""Blobs that the journal's manifests need and that a reading of all objects did not give.

Those that lie where docker-registry left them, which no scan lists, and those with another digest than
SHA-256: every object was hashed once, by that one.
"""

import base64
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from registry.gc.jobs import Job
from registry.index import Connection, Index, rebuilding
from registry.index.blobs import BlobRow
from registry.oci.digest import Digest
from registry.oci.errors import ManifestInvalid
from registry.oci.manifest import parse_manifest
from registry.services.adoption.layout import blob_location
from registry.services.hashing import stored_digest
from registry.services.storage_errors import translated_errors
from storage_drivers import NotFound, StorageDriver
from storage_drivers.adoptable import Adoptable

HASHED = "sha256"
"""The digest that every object was entered under."""


class Lacking:
    """Looks for blobs. Each is looked for once. `kept_seconds`: how long one stays that nothing needs."""

    def __init__(self, index: Index, driver: StorageDriver, kept_seconds: float) -> None:
        self._index = index
        self._driver = driver
        self._kept_seconds = kept_seconds
        self._tried: set[str] = set()

    async def find(self, job: Job, lines: Sequence[Mapping[str, Any]]) -> int:
        """Enter what manifests among these lines need and can be had; how many blobs. Raises Unavailable."""
        wanted: dict[str, int] = {}
        for line in lines:
            if "manifest" in line:
                wanted |= _needs(line)
        wanted = {digest: size for digest, size in wanted.items() if digest not in self._tried}
        known = await self._index.read(partial(rebuilding.blob_ids, digests=wanted))
        count = 0
        with translated_errors():
            for digest in sorted(wanted.keys() - known.keys()):
                self._tried.add(digest)
                count += await self._find(job, Digest(digest), wanted[digest])
        return count

    async def _find(self, job: Job, digest: Digest, size: int) -> bool:
        if isinstance(self._driver, Adoptable):
            location = blob_location(digest)
            if await self._has(location, digest, size):
                return await job.write(partial(self._enter, digest=digest, size=size, location=location))
        if digest.algorithm != HASHED:
            for row in await self._index.read(partial(rebuilding.unlinked_blobs, size=size)):
                if await self._has(row.location, digest, size):
                    return await job.write(partial(_rename, row=row, digest=digest))
        return False

    async def _has(self, location: str, digest: Digest, size: int) -> bool:
        try:
            if (await self._driver.stat(location)).size != size:
                return False
            return await stored_digest(self._driver, location, size, digest.algorithm) == digest
        except NotFound:
            return False

    def _enter(self, connection: Connection, digest: str, size: int, location: str) -> bool:
        if rebuilding.is_discarded(connection, location):
            return False
        now = time.time()
        return rebuilding.enter_blob(connection, digest, size, location, now + self._kept_seconds, now, None)


def _needs(line: Mapping[str, Any]) -> dict[str, int]:
    """The digests and sizes of what a manifest cites, but for what was not there when it came."""
    try:
        manifest = parse_manifest(base64.b64decode(line["body"]), line["media_type"])
    except ManifestInvalid:
        return {}  # the replay says so
    missing = set(line["missing"])
    needed = (*manifest.blobs, *manifest.children)
    return {one.digest: one.size for one in needed if one.digest not in missing}


def _rename(connection: Connection, row: BlobRow, digest: str) -> bool:
    rebuilding.rename_blob(connection, row.id, digest)
    return True
