"""Jobs: work in the background that one process of all does, elected in the index.

A job is held for a while, which is renewed as long as its holder works. A process that dies loses it when
that time is over. One that was paused for longer has lost it, too, and may not know: so each of its changes
goes through `Job.write`, which looks in the same transaction whether the job is still its own.
"""

import asyncio
import logging
import math
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar

from registry.index import Connection, Index, jobs
from registry.index.jobs import JobRow
from registry.oci.errors import Conflict, RegistryError

__all__ = ["Job", "JobBusy", "JobRow", "Jobs", "LostJob"]

Result = TypeVar("Result")

log = logging.getLogger(__name__)

HOLD_SECONDS = 60.0
"""How long a job is held without being renewed. Clocks of machines may differ by half of it: that costs at
most the work of a batch."""

AGAIN_SECONDS = 300.0
"""When a job that failed is due again."""


class JobBusy(Conflict):
    """Another process is doing this job now."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the job {name} is being done by another process; it will end by itself")


class LostJob(Conflict):
    """Another process has taken this job over: what this one was about to change is not changed."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the job {name} was taken over by another process")


class Job:
    """A job that this process holds. `state` is where the work goes on: at first where
    the holder before left off."""

    def __init__(self, index: Index, row: JobRow, hold_seconds: float) -> None:
        self.name = row.name
        self.state = row.state
        self.previous_report = row.report
        self._index = index
        self._fence = row.fence
        self._hold_seconds = hold_seconds
        self.ended = self.lost = False
        self.stopped_by: Exception | None = None
        """Why its holder is cancelled."""

    async def write(self, change: Callable[[Connection], Result], *, durable: bool = True) -> Result:
        """Run a change as `Index.write` does, if the job is still held by this process: neither before it nor
        beside it does another holder change anything. Raises LostJob, and what the change raises."""

        def fenced(connection: Connection) -> Result:
            if not jobs.keep(connection, self.name, self._fence, time.time() + self._hold_seconds):
                raise LostJob(self.name)
            return change(connection)

        return await self._index.write(fenced, durable=durable)

    def save(self, connection: Connection, state: Mapping[str, Any]) -> None:
        """Note, within a change, where the work goes on if it ends here. `state` is a JSON object."""
        self.state = state
        jobs.save(connection, self.name, self._fence, state)

    async def renew(self) -> None:
        """Hold on to the job without changing anything. Raises LostJob."""
        await self.write(lambda _connection: None, durable=False)

    async def finish(self, report: Mapping[str, Any]) -> None:
        """End the job: it is done, and there is nothing to go on with. `report` is a JSON object.
        Raises LostJob."""
        finish = partial(jobs.finish, name=self.name, fence=self._fence, report=report, now=time.time())
        if not await self._index.write(finish):
            raise LostJob(self.name)
        self.ended = True

    async def release(self, until: float) -> None:
        """Let go of the job before it is done; what is due waits until then."""
        self.ended = True
        try:
            await self._index.write(partial(jobs.release, name=self.name, fence=self._fence, until=until))
        except RegistryError as error:  # it lapses by itself
            log.warning("could not let go of the job %s: %s", self.name, error.message)


class Jobs:
    """The jobs of a registry."""

    def __init__(self, index: Index, *, hold_seconds: float = HOLD_SECONDS) -> None:
        self._index = index
        self._hold_seconds = hold_seconds

    @asynccontextmanager
    async def hold(self, name: str, finished_before: float | None = None) -> AsyncIterator[Job]:
        """Hold a job for the length of the block, which ends it with `finish` or leaves it for a next time.

        Raises JobBusy when another process holds it, or when it was finished since `finished_before`. When
        the job is lost all the same, or a defect ends its renewal, the block is cancelled, and LostJob raised
        or what the renewal raised.
        """
        now = time.time()
        take = partial(
            jobs.take,
            name=name,
            holder=str(uuid.uuid4()),
            now=now,
            until=now + self._hold_seconds,
            finished_before=math.inf if finished_before is None else finished_before,
        )
        row = await self._index.write(take, durable=False)
        if row is None:
            raise JobBusy(name)
        job = Job(self._index, row, self._hold_seconds)
        holder = asyncio.current_task()
        assert holder is not None
        renewing = asyncio.create_task(self._renew(job, holder))
        left_until = 0.0
        try:
            yield job
        except asyncio.CancelledError:
            if job.stopped_by is None or holder.uncancel() > 0:
                raise
            left_until = time.time() + AGAIN_SECONDS
            raise job.stopped_by from None
        except LostJob:
            job.lost = True
            raise
        except Exception:
            left_until = time.time() + AGAIN_SECONDS
            raise
        finally:
            renewing.cancel()
            if not (job.ended or job.lost):
                await asyncio.shield(job.release(left_until))

    async def status(self) -> Sequence[JobRow]:
        """Every job that was held at least once."""
        return await self._index.read(jobs.everything)

    async def get(self, name: str) -> JobRow | None:
        """A job that was held at least once."""
        return await self._index.read(partial(jobs.get, name=name))

    async def _renew(self, job: Job, holder: "asyncio.Task[object]") -> None:
        """Ends only when the job can't be held any more; then its holder is stopped."""
        while True:
            await asyncio.sleep(self._hold_seconds / 3)
            try:
                await job.renew()
            except LostJob as error:
                if job.ended:
                    return
                log.warning("lost the job %s to another process", job.name)
                job.lost = True
                stopped_by: Exception = error
            except RegistryError as error:  # the next turn may succeed
                log.warning("could not renew the job %s: %s", job.name, error.message)
                continue
            except Exception as error:
                log.exception("the job %s can't be renewed, so it is stopped", job.name)
                stopped_by = error
            else:
                continue
            job.stopped_by = stopped_by
            holder.cancel()
            return
