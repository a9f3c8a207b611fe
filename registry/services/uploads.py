"""Uploads: sessions from POST to PUT, and the whole upload in one POST.

The order of durability: bytes staged, digest compared, object committed (synced, renamed, directories
synced), then one transaction for the blob, its link and the end of the session. Where the digest can't be
known without reading, the object is committed first and read back; until it has been, no row points to it.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from functools import partial

from registry.index import Connection, Index, blobs, quotas, repositories, uploads
from registry.index.uploads import UploadRow
from registry.oci.digest import Digest
from registry.oci.errors import DigestMismatch, QuotaExceeded, RegistryError, UploadUnknown, WrongOffset
from registry.oci.name import RepositoryName
from registry.services.hashing import HashMemory, RunningHash, stored_digest
from registry.services.policies import QuotaGate, check_quota
from registry.services.storage_errors import translated_errors
from registry.services.upload_claims import UploadClaims
from registry.services.upload_sessions import Body, Held, Session, StagedBytesGone
from storage_drivers import Interrupted, NotFound, StorageDriver, Upload
from storage_drivers.failpoints import declare, failpoint

log = logging.getLogger(__name__)

STARTED = declare("uploads.start.recorded")
CLAIMED = declare("uploads.append.claimed")
APPENDED = declare("uploads.append.durable")
ADVANCED = declare("uploads.append.recorded")
COMPARED = declare("uploads.finish.compared")
COMMITTED = declare("uploads.finish.committed")
RECORDED = declare("uploads.finish.recorded")


class Uploads:
    """Upload sessions. Times are in seconds."""

    def __init__(
        self,
        index: Index,
        driver: StorageDriver,
        quotas: QuotaGate,
        *,
        expire_seconds: float,
        tombstone_seconds: float,
        claim_seconds: float,
        blob_lease_seconds: float,
    ) -> None:
        self._index = index
        self._driver = driver
        self._quotas = quotas
        self._expire_seconds = expire_seconds
        self._tombstone_seconds = tombstone_seconds
        self._blob_lease_seconds = blob_lease_seconds
        self._claims = UploadClaims(index, claim_seconds)
        self._hashes = HashMemory()

    async def start(self, repository: RepositoryName, algorithm: str, by: str) -> Session:
        """Open a session whose bytes are hashed with `algorithm` as they come. Raises QuotaExceeded."""
        await self._quotas.check(repository, 0)
        with translated_errors():
            upload = await self._driver.begin()
        upload_id = str(uuid.uuid4())
        now = time.time()
        create = partial(
            uploads.create,
            upload_id=upload_id,
            repository=repository,
            algorithm=algorithm,
            state=upload.state,
            by=by,
            now=now,
            expires_at=now + self._expire_seconds,
        )
        # A power cut may take an empty session away: that costs its client one POST, and no bytes.
        await self._index.write(create, durable=False)
        failpoint(STARTED)
        return Session(upload_id, 0)

    async def status(self, repository: RepositoryName, upload_id: str) -> Session:
        """A running session. Raises UploadUnknown."""
        row = await self._index.read(partial(uploads.find, repository=repository, upload_id=upload_id))
        if row is None or row.finished is not None:
            raise UploadUnknown(upload_id)
        return Session(row.id, row.offset)

    async def append(self, repository: RepositoryName, upload_id: str, body: Body) -> Session:
        """Add bytes to a session. They are durable when this returns. So are those that came before the
        body broke off, if it did: `status` tells how many.

        Raises UploadUnknown, WrongOffset and SizeInvalid (nothing was taken), StorageFull, Unavailable,
        and what the body raises.
        """
        async with self._held(repository, upload_id) as held:
            if held.ended:
                raise UploadUnknown(upload_id)
            failpoint(CLAIMED)
            try:
                held.advance(await self._receive(held, body, durable=True))
            except StagedBytesGone:
                await self._refuse(repository, held)
                raise UploadUnknown(upload_id) from None
            failpoint(APPENDED)
        failpoint(ADVANCED)
        return Session(upload_id, held.row.offset)

    async def finish(
        self,
        repository: RepositoryName,
        upload_id: str,
        claimed: Digest,
        body: Body | None,
        coming: int = 0,
    ) -> None:
        """Close a session: its bytes become the blob `claimed` of the repository. May be repeated.

        `coming` bytes were announced. Raises as `append` does, QuotaExceeded, and DigestMismatch, which ends
        the session: its bytes can never become that blob.
        """
        if coming:
            await self._quotas.check(repository, coming)
        async with self._held(repository, upload_id) as held:
            if held.ended:
                await self._repeat(repository, held.row, claimed)
                return
            try:
                upload = held.upload
                if body is not None:
                    # The session stays as it is until the blob is entered: nothing durable is needed before.
                    upload = await self._receive(held, body, durable=False)
                await self._enter(repository, upload, held.digest_of(upload), claimed, held)
            except StagedBytesGone:
                await self._enter_recovered(repository, claimed, held)
        failpoint(RECORDED)

    async def whole(self, repository: RepositoryName, claimed: Digest, body: Body, coming: int = 0) -> None:
        """Take a blob in one request, without a session: nothing is kept of one that fails. Raises as
        `finish` does."""
        await self._quotas.check(repository, coming)
        running = RunningHash(claimed.algorithm)
        with translated_errors():
            upload = await self._driver.begin()
            try:
                async with aclosing(body.checked()) as runs:
                    upload = await self._driver.append(upload, runs, running.update, durable=False)
                await self._enter(repository, upload, running.digest(), claimed, None)
            except BaseException as error:
                # Without effect if the bytes became an object before the index failed: the scrub finds it.
                await asyncio.shield(self._driver.abort(upload))
                if isinstance(error, Interrupted) and error.__cause__ is not None:
                    raise error.__cause__ from None
                raise

    async def cancel(self, repository: RepositoryName, upload_id: str) -> None:
        """End a session and drop its bytes. Raises UploadUnknown."""
        remove = partial(uploads.remove, repository=repository, upload_id=upload_id)
        row = await self._index.write(remove)
        if row is None:
            raise UploadUnknown(upload_id)
        await self._drop(row)

    async def expire(self) -> int:
        """Drop sessions whose time is over; returns how many. Any number of processes may do it at once."""
        count = 0
        while rows := await self._index.write(partial(uploads.take_expired, now=time.time(), limit=100)):
            for row in rows:
                if row.finished is None:
                    try:
                        await self._drop(row)
                    except RegistryError as error:  # bytes that no row knows are the scrub's
                        log.warning("could not drop the bytes of upload %s: %s", row.id, error.message)
            count += len(rows)
        return count

    async def sweep(self) -> int:
        """Remove what a process that died left in the storage and no session knows; how many things.

        What is younger than a session without a byte gets, or than a day, is left alone: a blob that comes in
        one request has no session.
        """
        before = time.time() - max(self._expire_seconds, 86400)
        running = await self._index.read(uploads.states)
        with translated_errors():
            return await self._driver.sweep(before, [Upload(offset, state) for offset, state in running])

    @asynccontextmanager
    async def _held(self, repository: RepositoryName, upload_id: str) -> AsyncIterator[Held]:
        """Hold a session, and note in the index what became of it. One that has ended comes `ended`."""
        async with self._claims.claimed(repository, upload_id) as (row, taken_over):
            if row.finished is not None:
                yield Held(row, None, ended=True)
                return
            before = row.offset
            held = Held(row, self._hashes.take(row.id, row.algorithm, row.offset))
            if taken_over:
                # Whoever let his claim run out may yet wake up and write. So no hash is believed any more:
                # the end reads all again.
                held = Held(row._replace(prefix_digest=None), None)
            try:
                yield held
            except BaseException:
                if not held.ended:
                    # The client hears of what went wrong first, not of a session that is gone as well.
                    await asyncio.shield(self._give_back(held, before))
                raise
            if not held.ended and not await self._give_back(held, before):
                raise UploadUnknown(upload_id)

    async def _give_back(self, held: Held, before: int) -> bool:
        """Note what is durable, and let go. False: the session is not ours any more.

        Then its bytes are dropped if it was cancelled; if somebody else has taken it over, they are theirs.
        """
        row = held.row
        expires_at = time.time() + self._expire_seconds

        def change(connection: Connection) -> tuple[bool, bool]:
            digest = held.digest_of(held.upload)
            noted = uploads.advance(
                connection, row.id, str(row.claim), row.offset, row.state, digest, expires_at
            )
            return noted, noted or uploads.exists(connection, row.id)

        noted, exists = await self._index.write(change, durable=row.offset != before)
        if not exists:
            await self._drop(row)
        if not noted:
            return False
        if held.running is not None and held.running.count == row.offset:
            self._hashes.keep(row.id, held.running)
        return True

    async def _receive(self, held: Held, body: Body, *, durable: bool) -> Upload:
        """Take a body at the end of a session; when it breaks off, what came is kept, unless its length is
        not as announced."""
        if body.start is not None and body.start != held.row.offset:
            raise WrongOffset(
                held.row.id,
                held.row.offset,
                f"the upload holds {held.row.offset} bytes, so the next byte is number {held.row.offset}, "
                f"not {body.start}",
            )
        observe = None if held.running is None else held.running.update
        with translated_errors():
            try:
                async with aclosing(body.checked()) as runs:
                    return await self._driver.append(held.upload, runs, observe, durable=durable)
            except Interrupted as error:
                if not isinstance(error.__cause__, RegistryError):
                    held.advance(error.upload)
                raise (error.__cause__ or error) from None
            except NotFound as error:
                raise StagedBytesGone from error

    async def _enter(
        self,
        repository: RepositoryName,
        upload: Upload,
        known: str | None,
        claimed: Digest,
        held: Held | None,
    ) -> None:
        """Make staged bytes the blob `claimed`. `known` is their digest where no reading is needed."""
        verified = known is not None and Digest(known).algorithm == claimed.algorithm
        if verified and known != claimed:
            await self._refuse(repository, held)
            raise DigestMismatch(claimed, str(known))
        failpoint(COMPARED)
        with translated_errors():
            try:
                location = await self._driver.commit(upload, claimed if verified else unverified(claimed))
            except NotFound as error:
                raise StagedBytesGone from error
        await self._record(repository, location, upload.offset if verified else None, claimed, held)

    async def _enter_recovered(self, repository: RepositoryName, claimed: Digest, held: Held) -> None:
        """The object may be there: committed by a try that was killed before it could tell the index."""
        with translated_errors():
            try:
                location = await self._recover(held.upload, claimed)
            except NotFound:
                await self._refuse(repository, held)
                raise UploadUnknown(held.row.id) from None
        await self._record(repository, location, None, claimed, held)

    async def _recover(self, upload: Upload, claimed: Digest) -> str:
        try:
            return await self._driver.recover(upload, claimed)
        except NotFound:
            return await self._driver.recover(upload, unverified(claimed))

    async def _record(
        self,
        repository: RepositoryName,
        location: str,
        verified_size: int | None,
        claimed: Digest,
        held: Held | None,
    ) -> None:
        """Enter an object as the blob `claimed`, after reading it if it is not verified yet."""
        size = verified_size
        if size is None:
            with translated_errors():
                size = (await self._driver.stat(location)).size
                # Read again: its upload went through several processes, or is hashed otherwise.
                actual = await stored_digest(self._driver, location, size, claimed.algorithm)
            if actual != claimed:
                await self._refuse(repository, held, location)
                raise DigestMismatch(claimed, actual)
        failpoint(COMMITTED)
        now = time.time()

        def record(connection: Connection) -> str:
            limited = quotas.lock_of_repository(connection, repository)
            lease = now + self._blob_lease_seconds
            row = blobs.record(connection, claimed, size, location, lease, now)
            blobs.link(connection, repositories.ensure(connection, repository, now), row.id, now)
            if limited:
                check_quota(connection, repository)
            if held is not None:
                expires_at = now + self._tombstone_seconds
                if not uploads.finish(connection, held.row.id, str(held.row.claim), claimed, expires_at):
                    raise UploadUnknown(held.row.id)
            return row.location

        try:
            recorded = await self._index.write(record)
        except QuotaExceeded:
            await self._refuse(repository, held, location)
            raise
        if held is not None:
            held.ended = True
        if recorded != location:  # the blob was here already: its first bytes stay
            with translated_errors():
                await self._driver.delete(location)

    async def _refuse(
        self, repository: RepositoryName, held: Held | None, location: str | None = None
    ) -> None:
        """End a session whose bytes are not what they should be, or too many: first in the index, then the
        bytes, also those that are an object already."""
        try:
            if held is not None:
                await self.cancel(repository, held.row.id)
                held.ended = True
        finally:
            if location is not None:
                with translated_errors():
                    await self._driver.delete(location)

    async def _repeat(self, repository: RepositoryName, row: UploadRow, claimed: Digest) -> None:
        """Answer a PUT whose first answer was lost as the first one was: with the blob, and a promise of it.
        Raises UploadUnknown when the blob is gone, so that its client begins anew."""
        if row.finished != claimed:
            raise UploadUnknown(row.id)
        until = time.time() + self._blob_lease_seconds
        promise = partial(blobs.promise, repository=repository, digest=claimed, until=until)
        if not await self._index.write(promise):
            raise UploadUnknown(row.id)

    async def _drop(self, row: UploadRow) -> None:
        self._hashes.forget(row.id)
        with translated_errors():
            await self._driver.abort(Upload(row.offset, row.state))


def unverified(claimed: Digest) -> str:
    """What a driver is told of bytes whose digest is still to be read. An object that bears a digest in its
    name has been compared with it, so that whoever finds one there may believe it."""
    return f"{claimed.algorithm}:unverified"
