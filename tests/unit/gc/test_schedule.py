"""Each job runs when it is due, in one of all processes, whatever fails."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from registry.gc import jobs as gc_jobs
from registry.gc import schedule
from registry.gc.jobs import Job, JobRow, Jobs
from registry.gc.schedule import Schedule, Scheduled, seconds_until
from registry.index import Index
from registry.oci.errors import Unavailable


class Work:
    """Counts how often it ran and how often at once; fails as told."""

    def __init__(self) -> None:
        self.count = self.running = self.most = 0
        self.failures: list[Exception] = []

    async def __call__(self, job: Job) -> dict[str, Any]:
        self.running += 1
        self.most = max(self.most, self.running)
        await job.renew()
        self.running -= 1
        self.count += 1
        if self.failures:
            raise self.failures.pop()
        return {"links": self.count}


@contextlib.asynccontextmanager
async def running(*schedules: Schedule) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(one.run()) for one in schedules]
    yield
    assert not any(task.done() for task in tasks), "one ended by itself"
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


async def test_it_runs_again_and_again_in_one_of_all(index: Index) -> None:
    work, other = Work(), Work()
    works = [Scheduled("gc", 0.02, work), Scheduled("retention", 0.02, other)]
    async with running(*(Schedule(Jobs(index), works) for _ in range(3))):
        await until(lambda: work.count >= 5 and other.count >= 5)
    assert (work.most, other.most) == (1, 1)
    row = await Jobs(index).get("gc")
    assert row is not None
    assert row.report is not None
    assert row.report["links"] >= 4


async def test_what_is_switched_off_never_runs(index: Index) -> None:
    work, other = Work(), Work()
    async with running(Schedule(Jobs(index), [Scheduled("gc", 0, work), Scheduled("scrub", 0.01, other)])):
        await until(lambda: other.count >= 3)
    assert work.count == 0


@pytest.mark.parametrize("failure", [Unavailable("not now"), LookupError("a defect")])
async def test_what_fails_is_done_again(
    index: Index, failure: Exception, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(gc_jobs, "AGAIN_SECONDS", 0.02)
    work = Work()
    work.failures = [failure, failure]
    async with running(Schedule(Jobs(index), [Scheduled("gc", 1000, work)])):
        await until(lambda: work.count >= 3)
        await until(lambda: not work.running)
    assert work.count == 3
    told = [record for record in caplog.records if record.name == schedule.log.name and record.levelno >= 30]
    assert len(told) == 2
    assert (told[0].exc_info is not None) == isinstance(failure, LookupError)


def test_when_it_is_due() -> None:
    row = JobRow("gc", None, 1, 0.0, {}, 40.0, 50.0, {})
    work = Scheduled("gc", 60, Work())
    assert seconds_until(work, None, 100) == 0
    assert seconds_until(work, row, 100) == 10
    assert seconds_until(work, row._replace(holder="other", held_until=130.0), 120) == 10
    assert seconds_until(work, row._replace(finished_at=None), 120) <= 0
    assert seconds_until(work, row._replace(finished_at=100_000.0), 120) <= 0
