"""One process does a job at a time, and whoever lost it changes nothing any more."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest

from registry.gc.jobs import JobBusy, Jobs, LostJob
from registry.index import Connection, Index, jobs, open_index, repositories
from registry.oci.errors import Unavailable
from tests.unit.gc.holder import HOLD_SECONDS


@pytest.fixture
async def other(index_url: str) -> AsyncIterator[Index]:
    """The index as another process has it."""
    opened = open_index(index_url, pool_size=2)
    yield opened
    await asyncio.to_thread(opened.close)


async def steal(index: Index) -> None:
    """What another process does once the time of the holder is over."""
    later = time.time() + 1000
    take = partial(jobs.take, name="gc", holder="thief", now=later, until=later, finished_before=later)
    assert await index.write(take) is not None


async def test_of_two_processes_one_holds_it(index: Index, other: Index) -> None:
    async with Jobs(index).hold("gc"):
        with pytest.raises(JobBusy):
            async with Jobs(other).hold("gc"):
                raise AssertionError("it is held")
        async with Jobs(other).hold("retention"):
            pass
    async with Jobs(other).hold("gc"):
        pass


async def test_of_many_at_once_one_holds_it(index: Index, other: Index) -> None:
    holding = most = held = 0

    async def one(own: Index) -> None:
        nonlocal holding, most, held
        try:
            async with Jobs(own).hold("gc") as job:
                holding += 1
                held += 1
                most = max(most, holding)
                await job.renew()
                holding -= 1
        except JobBusy:
            pass

    await asyncio.gather(*(one(own) for own in (index, other) * 4))
    assert most == 1
    assert held >= 1


async def test_it_goes_on_where_the_one_before_left_off(index: Index, other: Index) -> None:
    async with Jobs(index).hold("gc") as job:
        assert (job.state, job.previous_report) == ({}, None)
        await job.write(partial(job.save, state={"cursor": 7}))
    async with Jobs(other).hold("gc") as job:
        assert job.state == {"cursor": 7}
        await job.finish({"links": 3})
    (row,) = await Jobs(index).status()
    assert (row.name, row.holder, row.state, row.report) == ("gc", None, {}, {"links": 3})
    assert row.finished_at is not None
    async with Jobs(index).hold("gc") as job:
        assert (job.state, job.previous_report) == ({}, {"links": 3})


async def test_what_was_just_finished_is_not_done_again(index: Index, other: Index) -> None:
    async with Jobs(index).hold("gc") as job:
        await job.finish({})
    with pytest.raises(JobBusy):
        async with Jobs(other).hold("gc", finished_before=time.time() - 1000):
            raise AssertionError("it is not due")
    async with Jobs(other).hold("gc"):
        pass


async def test_a_clock_that_was_wrong_once_stops_nothing(index: Index, other: Index) -> None:
    async with Jobs(index).hold("gc") as job:
        ahead = partial(jobs.finish, name="gc", fence=1, report={}, now=time.time() + 1_000_000)
        assert await index.write(ahead)
        job.ended = True
    async with Jobs(other).hold("gc", finished_before=time.time() - 1000) as job:
        await job.finish({})
    # Whoever asks for it gets it, also where his clock is behind that of the one who finished it.
    behind = partial(jobs.finish, name="gc", fence=3, report={}, now=time.time() + 30)
    async with Jobs(index).hold("gc") as job:
        assert await index.write(behind)
        job.ended = True
    async with Jobs(other).hold("gc"):
        pass


async def test_who_is_paused_loses_it_and_changes_nothing(index_url: str, index: Index) -> None:
    paused = subprocess.Popen(
        [sys.executable, "-m", "tests.unit.gc.holder", index_url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert paused.stdin is not None
    assert paused.stdout is not None
    try:
        assert paused.stdout.readline() == "held\n"
        paused.stdin.write("\n")
        paused.stdin.flush()
        assert paused.stdout.readline() == "done\n"
        paused.send_signal(signal.SIGSTOP)
        async with asyncio.timeout(10 * HOLD_SECONDS):
            while (row := await Jobs(index).get("gc")) is None or row.held_until > time.time():
                await asyncio.sleep(0.05)
        async with Jobs(index).hold("gc") as job:
            assert job.state == {"by": "paused"}
            await job.write(partial(job.save, state={"by": "other"}))
            paused.stdin.write("\n")
            paused.stdin.flush()
            paused.send_signal(signal.SIGCONT)
            assert await asyncio.to_thread(paused.stdout.readline) == "lost\n"
            row = await Jobs(index).get("gc")
            assert row is not None
            assert (row.state, row.held_until > time.time()) == ({"by": "other"}, True)
            await job.finish({})
    finally:
        paused.kill()
        paused.communicate()


async def test_changes_of_who_lost_it_are_undone(index: Index, other: Index) -> None:
    async with Jobs(index).hold("gc") as job:
        await steal(other)
        with pytest.raises(LostJob):
            await job.write(partial(repositories.ensure, name="late", now=1.0))
    assert await index.read(partial(repositories.find, name="late")) is None
    row = await Jobs(index).get("gc")
    assert row is not None
    assert row.holder == "thief", "who lost it does not let go of it either"
    with pytest.raises(LostJob):
        await job.finish({})
    with pytest.raises(LostJob):
        await job.renew()


async def test_who_loses_it_in_the_middle_of_other_work_is_stopped(index: Index, other: Index) -> None:
    async def work() -> None:
        async with Jobs(index, hold_seconds=0.3).hold("gc"):
            await steal(other)
            await asyncio.sleep(100)

    with pytest.raises(LostJob):
        await work()


async def test_a_change_keeps_another_holder_out_until_it_is_committed(index: Index, other: Index) -> None:
    """On PostgreSQL transactions run side by side; on SQLite this is how it is anyway."""
    order: list[str] = []

    async with Jobs(index, hold_seconds=1000).hold("gc") as job:

        def slowly(connection: Connection) -> None:
            time.sleep(0.3)  # holds the row, or SQLite's lock
            repositories.ensure(connection, "slow", 1.0)
            order.append("changed")

        async def take() -> None:
            await asyncio.sleep(0.1)
            await steal(other)
            order.append("taken")

        await asyncio.gather(job.write(slowly), take())
        assert order == ["changed", "taken"]
        with pytest.raises(LostJob):
            await job.renew()


async def test_an_index_that_fails_for_a_moment_does_not_cost_the_job(
    index: Index, caplog: pytest.LogCaptureFixture
) -> None:
    write = index.write
    failures = iter([True])

    async def sometimes(change: Any, *, durable: bool = True) -> Any:
        if next(failures, False):
            raise Unavailable("not now")
        return await write(change, durable=durable)

    async with Jobs(index, hold_seconds=0.6).hold("gc") as job:
        with patch.object(index, "write", sometimes):
            await asyncio.sleep(0.7)
        await job.finish({})
    assert "could not renew the job gc: not now" in caplog.text


async def test_a_defect_of_the_renewal_ends_the_job_and_is_told(
    index: Index, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        async with Jobs(index, hold_seconds=0.3).hold("gc") as job:
            with patch.object(job, "renew", side_effect=LookupError("a defect")):
                await asyncio.sleep(100)

    with pytest.raises(LookupError, match="a defect"):
        await work()
    assert "the job gc can't be renewed, so it is stopped" in caplog.text
    row = await Jobs(index).get("gc")
    assert row is not None
    assert row.holder is None, "it is let go of, and not left to lapse"


async def test_the_end_of_the_process_leaves_it_to_another_at_once(index: Index, other: Index) -> None:
    begun = asyncio.Event()

    async def work() -> None:
        async with Jobs(index).hold("gc"):
            begun.set()
            await asyncio.sleep(100)

    working = asyncio.create_task(work())
    await begun.wait()
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    async with Jobs(other).hold("gc"):
        pass


async def test_one_that_failed_is_due_later_but_may_be_asked_for(index: Index) -> None:
    report: Mapping[str, Any]
    with pytest.raises(LookupError):
        async with Jobs(index).hold("gc"):
            raise LookupError("a defect")
    row = await Jobs(index).get("gc")
    assert row is not None
    assert row.holder is None
    assert row.held_until > time.time() + 100
    async with Jobs(index).hold("gc") as job:
        await job.finish(report := {"links": 1})
    row = await Jobs(index).get("gc")
    assert row is not None
    assert (row.report, row.held_until <= time.time()) == (report, True)
