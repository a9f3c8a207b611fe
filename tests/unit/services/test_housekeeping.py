"""Housekeeping goes on whatever fails, and pull times outlive a write that fails."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from registry.index import Index
from registry.oci.errors import Unavailable
from registry.services import housekeeping
from registry.services.audit import Audit
from registry.services.housekeeping import Housekeeping
from registry.services.manifests import ManifestRow, Manifests


class Work:
    """Stands for one piece of work: counts how often it was asked for, and fails as told."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.count = 0

    async def __call__(self) -> int:
        self.count += 1
        if self.failure is not None:
            raise self.failure
        return 0


@asynccontextmanager
async def at_work(expire: Work, save: Work) -> AsyncIterator[None]:
    keeping = Housekeeping({"saving": save}, {"expiring": expire})
    running = asyncio.create_task(keeping.run())
    yield
    assert not running.done(), "it ended by itself"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "SAVE_EVERY", 0.01)
    monkeypatch.setattr(housekeeping, "EXPIRE_EVERY", 0.02)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("failure", [Unavailable("not now"), LookupError("a defect")])
@pytest.mark.parametrize("which", ["expire", "save"])
async def test_what_fails_is_tried_again_and_hinders_nothing(
    which: str, failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    works = {"expire": Work(), "save": Work()}
    works[which].failure = failure

    async with at_work(**works):
        await until(lambda: all(work.count >= 3 for work in works.values()))

    told = [record for record in caplog.records if record.name == housekeeping.log.name]
    assert len(told) >= 2
    if isinstance(failure, Unavailable):
        assert {record.levelno for record in told} == {logging.WARNING}
        assert "not now" in told[0].getMessage()
    else:
        assert {record.levelno for record in told} == {logging.ERROR}
        assert told[0].exc_info is not None, "a defect is told with its traceback"
        assert told[0].exc_info[1] is failure


@pytest.mark.parametrize("failure", [Unavailable("not now"), LookupError("a defect")])
async def test_the_end_of_the_process_goes_on_when_something_is_not_saved(failure: Exception) -> None:
    failing, other, expire = Work(failure), Work(), Work()

    await Housekeeping({"failing": failing, "other": other}, {"expiring": expire}).finish()

    assert (failing.count, other.count, expire.count) == (1, 1, 0)


class RecordingIndex:
    """Stands for the index: keeps the pulls that it was given, and can be told to fail or to take time."""

    def __init__(self) -> None:
        self.saved: list[dict[int, float]] = []
        self.failure: Exception | None = None
        self.answering = asyncio.Event()
        self.answering.set()
        self.asked = asyncio.Event()

    def generation(self) -> None:
        return None

    async def write(self, change: Any, *, durable: bool = True) -> None:
        self.asked.set()
        await self.answering.wait()
        if self.failure is not None:
            raise self.failure
        self.saved.append(change.keywords["pulls"])


def row(manifest_id: int) -> ManifestRow:
    return cast(ManifestRow, SimpleNamespace(id=manifest_id))


def manifests_on(index: RecordingIndex) -> Manifests:
    audit = cast(Audit, None)  # pulls are not audited
    return Manifests(cast(Index, index), audit, sparse=False, deletion=True, tag_deletion=True)


async def test_pulls_that_could_not_be_written_are_written_the_next_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    index = RecordingIndex()
    manifests = Manifests(
        cast(Index, index), cast(Audit, None), sparse=False, deletion=True, tag_deletion=True
    )
    now = 1.0
    monkeypatch.setattr(time, "time", lambda: now)
    manifests.note_pull(row(1))
    manifests.note_pull(row(2))
    index.failure = Unavailable("not now")
    index.answering.clear()

    saving = asyncio.ensure_future(manifests.save_pulls())
    await index.asked.wait()
    now = 2.0
    manifests.note_pull(row(2))
    manifests.note_pull(row(3))
    index.answering.set()
    with pytest.raises(Unavailable):
        await saving
    index.failure = None
    await manifests.save_pulls()
    await manifests.save_pulls()

    assert index.saved == [{1: 1.0, 2: 2.0, 3: 2.0}]


async def test_pulls_are_kept_when_saving_them_is_cancelled() -> None:
    index = RecordingIndex()
    manifests = Manifests(
        cast(Index, index), cast(Audit, None), sparse=False, deletion=True, tag_deletion=True
    )
    manifests.note_pull(row(1))
    index.answering.clear()

    saving = asyncio.ensure_future(manifests.save_pulls())
    await index.asked.wait()
    saving.cancel()
    await asyncio.gather(saving, return_exceptions=True)
    index.answering.set()
    await manifests.save_pulls()

    assert [set(pulls) for pulls in index.saved] == [{1}]
