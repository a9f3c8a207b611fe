"""Operations on the scrub: how far it is, what it found, and which blobs are in quarantine."""

import time
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from registry.gc.jobs import JobRow, Jobs
from registry.gc.scrub import JOB
from registry.gc.scrub_progress import Progress
from registry.management.fields import Answer, RowPage, Time
from registry.management.operation import Call, Needs, Operation
from registry.management.units import moment
from registry.services.quarantine import Quarantine, QuarantinedRow


class ScrubFinding(Answer):
    """Something that is not as it should be."""

    kind: str = Field(
        description="of a blob's object: missing, size, digest, unreadable, or unavailable (it could not be "
        "read then); journal, backup: it is wrong or gone; unknown: an object that no row knows; manifest: "
        "its bytes in the index are wrong"
    )
    digest: str | None = None
    location: str | None = None
    size: int | None = None
    repository: str | None = None


class ScrubReport(Answer):
    """What a scrub looked at and found."""

    began_at: Time | None
    seconds: float
    all_right: bool = Field(description="nothing was found that somebody should look at")
    blobs: int
    bytes: int = Field(description="of blobs that were read")
    quarantined: int = Field(description="blobs that were put into quarantine")
    wrong: int = Field(description="blobs that were in quarantine at the end")
    released: int = Field(description="blobs whose bytes were found right again")
    unavailable: int = Field(description="blobs, backups and journals that could not be read then")
    copies: int = Field(0, description="backups and objects of the journal that were read")
    wrong_copies: int = Field(
        0, description="those that were wrong or gone: a journal is written again, a backup is not"
    )
    objects: int
    unknown: int = Field(description="old objects that no row knows")
    unknown_bytes: int
    young: int = Field(description="objects that no row knows and that may belong to a push")
    discarded: int = Field(description="unknown objects left to the collector")
    refused: str | None = Field(description="why unknown objects were not discarded")
    marked: int = Field(description="rows that nothing holds, left to the collector")
    manifests: int
    wrong_manifests: int
    found: list[ScrubFinding] = Field(description="the first of what was found")


class ScrubUnderWay(Answer):
    """How far a scrub is. `running`: a process works on it now; otherwise one will go on with it."""

    running: bool
    stage: str
    began_at: Time | None
    blobs: int
    total_blobs: int
    bytes: int
    total_bytes: int


class ScrubStatus(Answer):
    under_way: ScrubUnderWay | None
    ended_at: Time | None = Field(description="when the last one ended")
    report: ScrubReport | None = Field(description="of the last one that ended")
    in_quarantine: int = Field(description="blobs that are in quarantine now")


class QuarantinedBlob(Answer):
    """A blob that counts as not there until somebody pushes it."""

    digest: str
    bytes: int
    quarantined_at: Time | None
    location: str
    repository: str | None = Field(description="the first that holds it")
    repositories: int = Field(description="how many hold it")


class QuarantinedPage(Answer):
    """Blobs in the order in which they came first. `next`: give it as `last` for more; null at the end."""

    blobs: list[QuarantinedBlob]
    next: int | None


class ScrubOperations:
    """What can be asked; the scrub itself is started by the schedule or by `entrepot scrub`."""

    def __init__(self, jobs: Jobs, quarantine: Quarantine) -> None:
        self._jobs = jobs
        self._quarantine = quarantine

    def operations(self) -> Sequence[Operation]:
        return [
            Operation(
                "scrub.status",
                "GET",
                "/scrub",
                "How far the scrub is, and what the last one found",
                Needs.ADMINISTRATOR,
                self.status,
                answer=ScrubStatus,
            ),
            Operation(
                "scrub.quarantined",
                "GET",
                "/scrub/quarantined",
                "List blobs whose stored bytes are wrong or gone",
                Needs.ADMINISTRATOR,
                self.quarantined,
                query=RowPage,
                answer=QuarantinedPage,
            ),
        ]

    async def status(self, call: Call) -> ScrubStatus:
        row = await self._jobs.get(JOB)
        return ScrubStatus(
            under_way=None if row is None else under_way(row),
            ended_at=None if row is None else moment(row.finished_at),
            report=None if row is None or row.report is None else report(dict(row.report)),
            in_quarantine=await self._quarantine.count(),
        )

    async def quarantined(self, call: Call) -> QuarantinedPage:
        query: RowPage = call.query
        rows, more = await self._quarantine.page(query.last, query.n)
        return QuarantinedPage(blobs=[blob(row) for row in rows], next=rows[-1].id if more else None)


def under_way(row: JobRow) -> ScrubUnderWay | None:
    """None when there is nothing to go on with."""
    running = row.holder is not None and row.held_until > time.time()
    if not row.state:
        return None
    progress = Progress.from_state(row.state)
    return ScrubUnderWay(
        running=running,
        stage=progress.stage.value,
        began_at=moment(progress.began),
        blobs=progress.blobs,
        total_blobs=progress.total_blobs,
        bytes=progress.bytes,
        total_bytes=progress.total_bytes,
    )


def report(told: dict[str, Any]) -> ScrubReport:
    """What a job's report tells."""
    began = told.pop("began")
    return ScrubReport(**told, began_at=moment(began))


def blob(row: QuarantinedRow) -> QuarantinedBlob:
    return QuarantinedBlob(
        digest=row.digest,
        bytes=row.size,
        quarantined_at=moment(row.quarantined_at),
        location=row.location,
        repository=row.repository,
        repositories=row.repositories,
    )
