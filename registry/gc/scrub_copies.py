"""The scrub's look at objects that are no blobs: each backup and journal is read, and its own sum compared.

The index has what a journal holds, so a wrong one is written anew. A wrong backup is told: take another one.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from registry.gc.archive import BadArchive, verify
from registry.gc.compaction import out_of_reach, write_all_again
from registry.gc.copies import KINDS, fetch, scratch
from registry.gc.jobs import Job
from registry.gc.pace import Pace
from registry.gc.scrub_blobs import UNAVAILABLE
from registry.gc.scrub_progress import Finding, Progress
from registry.index import Index, index_copies, journal
from registry.index.index_copies import CopyRow
from registry.services.quarantine import check_storage, others_can_be_read
from storage_drivers import Defective, NotFound, StorageDriver, StorageError

log = logging.getLogger(__name__)


class CopyScrub:
    """Reads as fast as `pace` lets it."""

    def __init__(self, index: Index, driver: StorageDriver, pace: Pace) -> None:
        self._index = index
        self._driver = driver
        self._pace = pace

    async def step(
        self,
        job: Job,
        progress: Progress,
        tell: Callable[[Finding], object],
        watch: Callable[[Progress], object],
    ) -> Progress:
        """The whole stage: there are few of them. One that can't be read now holds up nothing, unless no blob
        can be read either. Raises a StorageError, OSError, Unavailable and LostJob."""
        seen = progress.copy()
        for row in await self._known():
            seen.copies += 1
            watch(seen)
            kind = row.kind
            try:
                reason = await self._fault(row)
            except (StorageError, OSError) as error:  # the latter: there is no room for it in our own folder
                if await others_can_be_read(self._index, self._driver) is False:
                    raise
                kind, reason = UNAVAILABLE, str(error)
                log.warning("the %s %s can't be read now: %s", row.kind, row.location, reason)
            if reason is None or row not in await self._known():  # merged since
                continue
            if kind == journal.KIND:
                await write_all_again(job, row.location, reason)
            if kind == UNAVAILABLE:
                seen.unavailable += 1
            else:
                seen.wrong_copies += 1
            finding = Finding(kind, location=row.location, size=row.size)
            seen.note(finding)
            tell(finding)
        seen.next_stage()
        await job.write(lambda connection: job.save(connection, seen.state()))
        return seen

    async def _known(self) -> list[CopyRow]:
        return [
            row for kind in KINDS for row in await self._index.read(partial(index_copies.of_kind, kind=kind))
        ]

    async def _fault(self, row: CopyRow) -> str | None:
        """What is wrong with an object, None if nothing is. Raises Unavailable where no blob can be read
        either, and a StorageError when the storage does not answer."""
        with scratch() as file:
            try:
                await fetch(self._driver, row.location, file, self._pace.spend)
                await asyncio.to_thread(verify, file, row.kind)
            except BadArchive as error:
                return error.message
            except (NotFound, Defective) as error:
                await check_storage(self._index, self._driver, out_of_reach(row))
                return str(error)
        return None
