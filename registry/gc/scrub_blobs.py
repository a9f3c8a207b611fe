"""The scrub's first stage: each blob's object is read and hashed, and a wrong one quarantined."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from registry.gc.jobs import Job
from registry.gc.pace import Pace
from registry.gc.scrub_progress import Finding, Progress
from registry.index import Connection, Index, quarantine, scrub
from registry.index.blobs import BlobRow
from registry.oci.errors import Conflict, Unavailable
from registry.services.audit import AuditRow
from registry.services.quarantine import Fault, Quarantine
from storage_drivers import Defective, StorageError

log = logging.getLogger(__name__)

UNAVAILABLE = "unavailable"
"""The kind of finding that is an object which could not be read, while others could."""

AT_ONCE = 4
"""Blobs that are read at the same time; a piece of each is in memory."""

ROWS = 200
BATCH_BYTES = 256 * 1024 * 1024
"""Blobs and bytes of one step. After each it is noted how far the scrub is, so that is what a killed process
has to read again, or one blob."""

FEW = 10
"""Wrong blobs that are quarantined whatever the number of right ones."""


class Looked(NamedTuple):
    """A blob, and what is wrong with its object. A StorageError: it could not be read."""

    row: BlobRow
    quarantined: bool
    fault: Fault | StorageError | None


class BlobScrub:
    """`insist`: however many blobs are wrong."""

    def __init__(self, index: Index, keeper: Quarantine, pace: Pace, *, insist: bool) -> None:
        self._index = index
        self._quarantine = keeper
        self._pace = pace
        self._insist = insist

    async def step(
        self,
        job: Job,
        progress: Progress,
        tell: Callable[[Finding], object],
        watch: Callable[[Progress], object],
    ) -> Progress:
        """Look at some more blobs. Raises a StorageError, Unavailable and Conflict: then nothing is noted."""
        page = await self._index.read(partial(scrub.page, after=progress.after, limit=ROWS))
        if not page:
            after = progress.copy()
            after.next_stage()
            await job.write(lambda connection: job.save(connection, after.state()))
            return after
        rows = batch_of(page)
        looked = [await self._made_sure(one) for one in await self._read(rows, progress, watch)]
        self._check_many(progress, looked)
        after, findings, told = await job.write(
            partial(self._note, job=job, progress=progress, looked=looked)
        )
        for row, fault, entry in told:
            self._quarantine.tell(row, fault, entry)
        for finding in findings:
            if finding.kind == UNAVAILABLE:
                log.warning("the object of %s can't be read now: %s", finding.digest, finding.location)
            tell(finding)
        return after

    async def _read(
        self,
        rows: Sequence[tuple[BlobRow, bool]],
        progress: Progress,
        watch: Callable[[Progress], object],
    ) -> list[Looked]:
        left = iter(rows)
        looked: list[Looked] = []
        seen = progress.copy()

        async def spend(count: int) -> None:
            seen.bytes += count
            watch(seen)
            await self._pace.spend(count)

        async def read_those_left() -> None:
            for row, quarantined in left:
                fault: Fault | StorageError | None
                try:
                    fault = await self._quarantine.inspect(row, spend=spend)
                except StorageError as error:
                    fault = error
                seen.blobs += 1
                looked.append(Looked(row, quarantined, fault))

        async with asyncio.TaskGroup() as reading:
            for _ in range(min(AT_ONCE, len(rows))):
                reading.create_task(read_those_left())
        return looked

    async def _made_sure(self, looked: Looked) -> Looked:
        """Look twice at what is wrong, and whether the storage can be believed: nobody shall lose a blob to a
        network that hiccuped, or to a volume that is not mounted. Raises StorageError and Unavailable."""
        row, fault = looked.row, looked.fault
        if fault is None or (looked.quarantined and isinstance(fault, Fault)):
            return looked
        if isinstance(fault, StorageError) or fault is Fault.MISSING:
            believed = await self._quarantine.others_are_there(row)
            if not believed and isinstance(fault, StorageError):
                raise fault
            if not believed:
                raise Unavailable(
                    f"the object of {row.digest} is missing, and no other blob can be read: is this the "
                    "storage that the index was written for, and is it mounted?"
                )
        try:
            fault = await self._quarantine.inspect(row, spend=self._pace.spend)
        except Defective:
            fault = Fault.UNREADABLE
        except StorageError as error:
            fault = error
        return looked._replace(fault=fault)

    def _check_many(self, progress: Progress, looked: Sequence[Looked]) -> None:
        wrong = progress.quarantined + sum(
            isinstance(one.fault, Fault) and not one.quarantined for one in looked
        )
        count = progress.blobs + len(looked)
        if wrong > FEW and wrong * 2 > count and not self._insist:
            raise Conflict(
                f"{wrong} of the first {count} blobs are missing or wrong in the storage: is it the one that "
                "the index was written for? If it is, and they are lost, `entrepot scrub --quarantine-many` "
                "goes on"
            )

    def _note(
        self, connection: Connection, job: Job, progress: Progress, looked: Sequence[Looked]
    ) -> tuple[Progress, list[Finding], list[tuple[BlobRow, Fault, AuditRow]]]:
        """The transaction of a step."""
        after = progress.copy()
        findings = []
        told = []
        for row, quarantined, fault in looked:
            after.blobs += 1
            after.bytes += row.size
            after.after = max(after.after, row.id)
            if fault is None:
                if quarantined and quarantine.end(connection, row.id, row.location):
                    after.released += 1
                continue
            if isinstance(fault, Fault):
                if not quarantined:
                    entry = self._quarantine.begin(connection, row, fault)
                    if entry is None:
                        continue  # pushed anew, or collected, since the row was read
                    told.append((row, fault, entry))
                    after.quarantined += 1
                after.wrong += 1
            else:
                after.unavailable += 1
            kind = fault.value if isinstance(fault, Fault) else UNAVAILABLE
            findings.append(Finding(kind, row.digest, row.location, row.size))
        for finding in findings:
            after.note(finding)
        job.save(connection, after.state())
        return after, findings, told


def batch_of(page: Sequence[tuple[BlobRow, bool]]) -> Sequence[tuple[BlobRow, bool]]:
    """The first blobs, so many that they are few enough bytes; one at least."""
    size = 0
    for number, (row, _) in enumerate(page):
        size += row.size
        if size > BATCH_BYTES:
            return page[: max(number, 1)]
    return page
