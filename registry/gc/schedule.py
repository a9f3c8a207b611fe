"""The schedule: each job runs when it is due, in one of all processes. All of them look."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from registry.gc.jobs import HOLD_SECONDS, Job, JobBusy, JobRow, Jobs, LostJob
from registry.oci.errors import RegistryError

log = logging.getLogger(__name__)

LOOK_SECONDS = 30.0
"""How long a process waits, at most, until it looks whether a job is due: another one may have failed."""

Run = Callable[[Job], Awaitable[Mapping[str, Any]]]
"""Does a job to its end, and answers its report."""


class Scheduled(NamedTuple):
    """A job, and how many seconds lie between the end of one run and the next; 0: it never runs by itself."""

    name: str
    every_seconds: float
    run: Run


class Schedule:
    """Runs jobs."""

    def __init__(self, jobs: Jobs, works: Sequence[Scheduled]) -> None:
        self._jobs = jobs
        self._works = [work for work in works if work.every_seconds > 0]

    async def run(self) -> None:
        """Work until cancelled. Jobs don't wait for each other."""
        await asyncio.gather(*(self._repeat(work) for work in self._works))

    async def _repeat(self, work: Scheduled) -> None:
        while True:
            try:
                wait = seconds_until(work, await self._jobs.get(work.name), time.time())
                if wait <= 0:
                    await self._do(work)
                    continue
            except (JobBusy, LostJob):
                wait = work.every_seconds
            except RegistryError as error:
                log.warning("the job %s did not finish: %s", work.name, error.message)
                wait = LOOK_SECONDS
            except Exception:
                log.exception("the job %s failed", work.name)
                wait = LOOK_SECONDS
            # Not all at the same moment: one of them gets it, and the others ask in vain.
            await asyncio.sleep(min(wait, LOOK_SECONDS) * random.uniform(1, 1.2))  # noqa: S311

    async def _do(self, work: Scheduled) -> None:
        async with self._jobs.hold(work.name, time.time() - work.every_seconds) as job:
            report = await work.run(job)
            await job.finish(report)
        if told := said(report):
            log.info("the job %s is done: %s", work.name, told)


def seconds_until(work: Scheduled, row: JobRow | None, now: float) -> float:
    """How long until a job is due; 0 or less: it is."""
    if row is None:
        return 0
    finished_at = row.finished_at
    if finished_at is None or finished_at > now + HOLD_SECONDS:  # the latter by a clock that was wrong
        return row.held_until - now
    return max(row.held_until, finished_at + work.every_seconds) - now


def said(report: Mapping[str, Any]) -> str:
    """The counts of a report that are not 0, on a line."""
    numbers = {key: value for key, value in report.items() if isinstance(value, int) and value}
    return ", ".join(f"{key} {value}" for key, value in numbers.items())
