"""The scrub: compares what is stored with what the index says, and puts right what can be put right.

Five stages, each over all there is: blobs (their objects are read and hashed), copies (so are backups and
the journal), objects (does a row know them?), marks (is what nothing holds left to the collector?) and
manifests (are their bytes in the index right?). It goes on where the last one ended, in whichever process:
see `Progress`.
"""

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from registry.gc.jobs import Job
from registry.gc.pace import Pace
from registry.gc.scrub_blobs import BlobScrub
from registry.gc.scrub_copies import CopyScrub
from registry.gc.scrub_objects import ObjectScrub
from registry.gc.scrub_progress import Finding, Progress, Stage
from registry.index import Connection, Index, scrub
from registry.index.scrub import ManifestToCheck
from registry.oci.digest import Digest
from registry.services.quarantine import Quarantine
from registry.services.storage_errors import translated_errors
from storage_drivers import StorageDriver

log = logging.getLogger(__name__)

JOB = "scrub"

ROWS_AT_ONCE = 500

BLOBS_AT_ONCE = 100
"""Whose links are looked at in one statement: each may be in thousands of repositories."""


class Scrub:
    """`bytes_per_second` bounds what is read from the storage; 0: nothing does. `upload_seconds` is how long
    an upload session lives without a byte.

    `quarantine_many` and `discard_unknown` insist on what is refused otherwise, because it looks like the
    wrong storage or index. `found` is told of each finding, `watch` from time to time how far it is.
    """

    def __init__(
        self,
        index: Index,
        driver: StorageDriver,
        quarantine: Quarantine,
        *,
        bytes_per_second: float,
        upload_seconds: float,
        quarantine_many: bool = False,
        discard_unknown: bool = False,
        found: Callable[[Finding], object] = lambda _finding: None,
        watch: Callable[[Progress], object] = lambda _progress: None,
    ) -> None:
        self._index = index
        self._found = found
        self._watch = watch
        pace = Pace(bytes_per_second)
        self._blobs = BlobScrub(index, quarantine, pace, insist=quarantine_many)
        self._copies = CopyScrub(index, driver, pace)
        self._objects = ObjectScrub(index, driver, upload_seconds, insist=discard_unknown)

    async def run(self, job: Job) -> dict[str, Any]:
        """Do all that is left to do, and answer the report.

        Raises Unavailable when storage or index don't answer, and Conflict when so many blobs are wrong that
        it is more likely the wrong storage. Then it may go on from there.
        """
        progress = await self._begin(job)
        while progress.stage is not Stage.DONE:
            self._watch(progress)
            progress = await self._step(job, progress)
        self._watch(progress)
        return progress.report(time.time())

    async def _begin(self, job: Job) -> Progress:
        if job.state:
            return Progress.from_state(job.state)
        blobs, size = await self._index.read(scrub.totals)
        return Progress(time.time(), blobs, size)

    async def _step(self, job: Job, progress: Progress) -> Progress:
        """Look at some more: how far it is then."""
        if progress.stage is Stage.MARKS:
            return await self._mark(job, progress)
        if progress.stage is Stage.MANIFESTS:
            return await self._check_manifests(job, progress)
        stages: dict[Stage, BlobScrub | CopyScrub | ObjectScrub] = {
            Stage.BLOBS: self._blobs,
            Stage.COPIES: self._copies,
            Stage.OBJECTS: self._objects,
        }
        with translated_errors():
            return await stages[progress.stage].step(job, progress, self._found, self._watch)

    async def _mark(self, job: Job, progress: Progress) -> Progress:
        look = partial(scrub.unmarked, after=progress.after, limit=BLOBS_AT_ONCE)
        last, ids = await self._index.read(look)

        def change(connection: Connection) -> Progress:
            after = progress.copy()
            after.marked += scrub.mark(connection, ids, time.time())
            if last is None:
                after.next_stage()
            else:
                after.after = last
            job.save(connection, after.state())
            return after

        return await job.write(change)

    async def _check_manifests(self, job: Job, progress: Progress) -> Progress:
        """Such a manifest is not served (see `services.manifests`), so there is nothing to do but say so."""

        def query(connection: Connection) -> tuple[int, int | None, list[ManifestToCheck]]:
            rows = scrub.manifests_after(connection, progress.after, ROWS_AT_ONCE)
            wrong = [row for row in rows if not is_right(row, scrub.body(connection, row.id))]
            return len(rows), rows[-1].id if rows else None, wrong

        count, last, wrong = await self._index.read(query)
        after = progress.copy()
        after.manifests += count
        after.wrong_manifests += len(wrong)
        for row in wrong:
            after.note(Finding("manifest", row.digest, repository=row.repository))
        if last is None:
            after.next_stage()
        else:
            after.after = last
        await job.write(lambda connection: job.save(connection, after.state()))
        for row in wrong:
            log.error("%s@%s is not served: the index holds other bytes for it", row.repository, row.digest)
            self._found(Finding("manifest", row.digest, repository=row.repository))
        return after


def is_right(row: ManifestToCheck, body: bytes | None) -> bool:
    """Whether a manifest's bytes have its digest; one that was deleted meanwhile is right, too."""
    return body is None or Digest.of(body, Digest(row.digest).algorithm) == row.digest
