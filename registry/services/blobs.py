"""Blobs: reading, promising, mounting and deleting them."""

import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from functools import partial

from auth.actor import Actor
from registry.index import Index, blobs, quotas, repositories
from registry.index.blobs import BlobRow
from registry.index.engine import Connection
from registry.oci.digest import Digest
from registry.oci.errors import BlobUnknown, Damaged, DeletionDisabled, StorageFull, Unavailable
from registry.oci.name import RepositoryName
from registry.services.audit import Audit, AuditRow
from registry.services.caches import ByteCache, FactCache
from registry.services.policies import check_quota
from registry.services.quarantine import Quarantine
from registry.services.storage_errors import translated_errors
from storage_drivers import LocalFile, NotFound, SignedUrl, StorageDriver

log = logging.getLogger(__name__)

__all__ = ["BlobRow", "Blobs", "LocalFile", "SignedUrl"]

SMALL_BLOB = 64 * 1024
"""Bytes up to which a blob is read whole, verified and kept in memory: configs, signatures, charts."""

SMALL_BLOBS_CAPACITY = 32 * 1024 * 1024


class Blobs:
    """Blobs as a client may see them: always through a repository."""

    def __init__(
        self,
        index: Index,
        driver: StorageDriver,
        audit: Audit,
        quarantine: Quarantine,
        *,
        lease_seconds: float,
        deletion: bool,
    ) -> None:
        self._index = index
        self._audit = audit
        self._driver = driver
        self._quarantine = quarantine
        self._lease_seconds = lease_seconds
        self._deletion = deletion
        self._rows: FactCache[tuple[str, str], BlobRow] = FactCache(index.generation, limit=50_000)
        self._small = ByteCache(SMALL_BLOBS_CAPACITY, largest=SMALL_BLOB)

    async def find(self, repository: RepositoryName, digest: Digest) -> BlobRow:
        """A blob that the repository may read. Raises BlobUnknown."""
        key = (repository, digest)
        generation = await self._rows.current()
        row = self._rows.get(key)
        if row is None:
            row = await self._index.read(partial(blobs.find, repository=repository, digest=digest))
            if row is None:
                raise BlobUnknown(repository, digest)
            self._rows.put(key, row, generation)
        return row

    async def promise(self, repository: RepositoryName, digest: Digest) -> BlobRow:
        """As `find`, for a client that will rely on it: the blob is leased, so that no collection takes it
        before the manifest comes."""
        row = await self.find(repository, digest)
        now = time.time()
        if row.lease_until - now < self._lease_seconds / 2:  # not on each HEAD: a write costs a sync
            until = now + self._lease_seconds
            promise = partial(blobs.promise, repository=repository, digest=digest, until=until)
            try:
                promised = await self._index.write(promise)
            except (StorageFull, Unavailable) as error:
                # Pulls go on when nothing can be written. A client that relies on a promise which could
                # not be kept is told so when the manifest comes.
                log.warning("could not extend the lease on %s: %s", digest, error.message)
            else:
                if not promised:
                    raise BlobUnknown(repository, digest)
        return row

    async def small(self, repository: RepositoryName, row: BlobRow) -> bytes | None:
        """The bytes of a small blob, verified; None for a large one. Raises BlobUnknown for wrong ones."""
        if row.size > SMALL_BLOB:
            return None
        content = self._small.get(row.digest)
        if content is None:
            content = await self._read_whole(repository, row)
            if Digest.of(content, Digest(row.digest).algorithm) != row.digest:
                await self.doubt(repository, row)
                raise Damaged(f"the stored bytes of {row.digest} are damaged")
            self._small.put(row.digest, content)
        return content

    async def _read_whole(self, repository: RepositoryName, row: BlobRow) -> bytes:
        """As many bytes as there are, but no more than one too many."""
        parts = []
        left = row.size + 1
        async with aclosing(self.read(repository, row, 0, None)) as stored:
            async for part in stored:
                parts.append(part[:left])
                left -= len(parts[-1])
                if not left:
                    break
        return b"".join(parts)

    async def doubt(self, repository: RepositoryName, row: BlobRow) -> None:
        """Look once more at a blob whose bytes are gone or wrong. Raises BlobUnknown if that is so: then it
        is in quarantine."""
        if await self._quarantine.doubt(row, whole=row.size <= SMALL_BLOB):
            raise BlobUnknown(repository, row.digest)

    async def locate(
        self, repository: RepositoryName, row: BlobRow, client: str
    ) -> LocalFile | SignedUrl | None:
        """The fast way to the bytes, if the driver has one for `client`, an address. Raises BlobUnknown if
        the object is known to be gone."""
        with translated_errors():
            try:
                return await self._driver.locate(row.location, client)
            except NotFound:
                await self.doubt(repository, row)
                raise

    async def read(
        self, repository: RepositoryName, row: BlobRow, start: int, stop: int | None
    ) -> AsyncGenerator[bytes]:
        """The bytes from `start` up to, not including, `stop` (None: to the end). Raises BlobUnknown if the
        object is gone."""
        with translated_errors():
            try:
                async for part in self._driver.read(row.location, start, stop):
                    yield part
            except NotFound:
                await self.doubt(repository, row)
                raise

    async def mount(
        self,
        repository: RepositoryName,
        digest: Digest,
        source: RepositoryName | None,
        may_see: Callable[[str, bool], bool],
    ) -> bool:
        """Let `repository` read what `source` may read or, for None, any repository of which `may_see` (name,
        public) says that the caller may know it. False: no such blob. Raises QuotaExceeded."""
        now = time.time()

        def change(connection: Connection) -> bool:
            limited = quotas.lock_of_repository(connection, repository)
            if source is None:
                holders = blobs.holders(connection, digest)
                holder = next((name for name, public in holders if may_see(name, public)), None)
            else:
                holder = source
            row = None if holder is None else blobs.find(connection, holder, digest)
            if row is None or not blobs.extend_lease(connection, digest, now + self._lease_seconds):
                return False
            blobs.link(connection, repositories.ensure(connection, repository, now), row.id, now)
            if limited:
                check_quota(connection, repository)
            return True

        return await self._index.write(change)

    async def delete(self, repository: RepositoryName, digest: Digest, actor: Actor) -> None:
        """Take a blob out of a repository. Raises DeletionDisabled, StillReferenced and BlobUnknown."""
        if not self._deletion:
            raise DeletionDisabled("deleting blobs is switched off on this registry (deletion.blobs)")
        now = time.time()

        def change(connection: Connection) -> AuditRow:
            quotas.lock_of_repository(connection, repository)
            if not blobs.unlink(connection, repository, digest, now):
                raise BlobUnknown(repository, digest)
            return self._audit.record(connection, actor, "delete", repository, {"blob": digest})

        self._audit.tell(await self._index.write(change))
