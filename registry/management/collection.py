"""Operations on collection: what there is to take, taking it, and how it went."""

import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from registry.gc import collector
from registry.gc.collector import Collector
from registry.gc.jobs import JobBusy, Jobs
from registry.gc.tally import Tally
from registry.management.fields import Answer, Input, Time
from registry.management.operation import Call, Needs, Operation
from registry.management.units import moment

LONGEST_SECONDS = 30


def _flag(value: object) -> object:
    """What a query says; what is neither is left for pydantic to refuse."""
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


class Collected(Answer):
    """What a collection did, as far as it came."""

    expired: int = Field(description="deleted manifests and repositories that can't be restored any more")
    uploads: int = Field(description="upload sessions that nobody continued")
    links: int = Field(description="blobs that were taken out of a repository")
    blobs: int = Field(description="blobs that nothing needs: their bytes are deleted a while later")
    bytes: int = Field(description="of these blobs")
    needed: int = Field(description="links and blobs that were looked at and stay")
    leased: int = Field(description="those that stay for now, because a client was promised them")
    objects: int = Field(description="objects that were deleted from the storage")
    freed: int = Field(description="bytes of these objects")
    seconds: dict[str, float] = Field(description="for each step")


class CollectionRun(Answer):
    """How far a collection is. `elsewhere`: another process is at it. Ask again until it is `finished`."""

    finished: bool
    elsewhere: bool
    collected: Collected


class Waiting(Answer):
    """What there is to look at and to delete. Nothing is known yet of whether what is marked is needed."""

    links: int = Field(description="blobs in repositories, marked to be looked at")
    blobs: int = Field(description="blobs, marked to be looked at")
    removed: int = Field(description="deleted manifests and repositories that can be restored")
    objects: int = Field(description="objects to be deleted from the storage")
    bytes: int = Field(description="of these objects, as far as known")
    delete_at: Time | None = Field(description="when the first of them may be deleted")


class CollectionStatus(Answer):
    """Whether a collection is under way, how the last one went, and when the next one is due."""

    running_since: Time | None
    running: Collected | None
    finished_at: Time | None
    last: Collected | None
    ever: dict[str, int] = Field(description="blobs and bytes that were taken since the index was made")
    next_at: Time | None = Field(description="null: only when it is asked for")
    waiting: Waiting


class CollectionWish(Input):
    """How to collect."""

    purge_removed: bool = Field(False, description="nothing that was deleted can be restored any more")
    seconds: float = Field(10, gt=0, le=LONGEST_SECONDS, description="after which it is enough for now")


class PreviewWish(Input):
    """What to assume."""

    purge_removed: Annotated[bool, BeforeValidator(_flag)] = Field(
        False, description="that nothing which was deleted could be restored"
    )


class Share(Answer):
    """Blobs that a collection would look at, by what becomes of them.

    `garbage` would go. Others stay: what a manifest needs; what a manifest needs that was removed and can be
    restored until then; what is leased to a client until then.
    """

    kind: Literal["garbage", "needed", "removed", "leased"]
    blobs: int
    bytes: int
    until: Time | None


class CollectionPreview(Answer):
    """What a collection would take now, and why it would leave the rest. Objects that wait for their deletion
    are in the status."""

    shares: list[Share]


class CollectionOperations:
    """Everything about collection. `every_seconds` lie between two that run by themselves; 0: none does."""

    def __init__(self, collector: Collector, jobs: Jobs, every_seconds: float) -> None:
        self._collector = collector
        self._jobs = jobs
        self._every_seconds = every_seconds

    def operations(self) -> Sequence[Operation]:
        needs = Needs.ADMINISTRATOR
        return [
            Operation(
                "gc.status",
                "GET",
                "/gc",
                "Tell how collection is going",
                needs,
                self.status,
                answer=CollectionStatus,
            ),
            Operation(
                "gc.preview",
                "GET",
                "/gc/preview",
                "Tell what a collection would take, and why the rest stays",
                needs,
                self.preview,
                query=PreviewWish,
                answer=CollectionPreview,
            ),
            Operation(
                "gc.run",
                "POST",
                "/gc/run",
                "Collect for some seconds",
                needs,
                self.run,
                body=CollectionWish,
                answer=CollectionRun,
            ),
        ]

    async def status(self, call: Call) -> CollectionStatus:
        row = await self._jobs.get(collector.JOB)
        waiting = await self._collector.waiting()
        running = row is not None and row.holder is not None and row.held_until > time.time()
        report = {} if row is None else row.report or {}
        finished_at = None if row is None else row.finished_at
        since = waiting.discarded_since
        next_at = None if not self._every_seconds else (finished_at or time.time()) + self._every_seconds
        return CollectionStatus(
            running_since=moment(row.started_at) if row is not None and running else None,
            running=collected(row.state) if row is not None and running else None,
            finished_at=moment(finished_at),
            last=collected(report) if report else None,
            ever=report.get("ever", {}),
            next_at=moment(next_at),
            waiting=Waiting(
                links=waiting.links,
                blobs=waiting.blobs,
                removed=waiting.removed,
                objects=waiting.objects,
                bytes=waiting.bytes,
                delete_at=None if since is None else moment(since + self._collector.delay_seconds),
            ),
        )

    async def preview(self, call: Call) -> CollectionPreview:
        query: PreviewWish = call.query
        shares = await self._collector.preview(purge_removed=query.purge_removed)
        return CollectionPreview(
            shares=[Share(**{**share._asdict(), "until": moment(share.until)}) for share in shares]
        )

    async def run(self, call: Call) -> CollectionRun:
        body: CollectionWish = call.body
        try:
            async with self._jobs.hold(collector.JOB) as job:
                report = await self._collector.collect(
                    job, actor=call.actor, purge_removed=body.purge_removed, seconds=body.seconds
                )
                if report is not None:
                    await job.finish(report)
                return CollectionRun(
                    finished=report is not None, elsewhere=False, collected=collected(report or job.state)
                )
        except JobBusy:
            row = await self._jobs.get(collector.JOB)
            state = {} if row is None else row.state
            return CollectionRun(finished=False, elsewhere=True, collected=collected(state))


def collected(state: Mapping[str, Any]) -> Collected:
    """The counts of a report, or of a collection under way."""
    tally = Tally.of_state(state)
    return Collected(**{name: getattr(tally, name) for name in Collected.model_fields})
