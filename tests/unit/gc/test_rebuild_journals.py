"""What an index is rebuilt from may be merged, damaged or lost, or written while others write."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from registry.gc import compaction
from registry.gc.journal import Journal
from registry.index import (
    Index,
    identity,
    index_copies,
)
from storage_drivers.filesystem import FilesystemDriver
from storage_drivers.memory import _Committed
from tests.unit.gc.rebuilding import configure, content, push, rebuild, write_journal
from tests.unit.gc.store import APP, Store


async def test_nobody_pushes_a_journal(store: Store, new: Index) -> None:
    """A copy of a real one, pushed as a blob, is a blob."""
    digest = await push(store, "image")
    await write_journal(store)
    await store.delete_image(digest)
    (copy,) = await store.index.read(partial(index_copies.of_kind, kind="journal"))
    forged = b"".join([piece async for piece in store.driver.read(copy.location)])
    await store.push(forged, "mallory/app")
    await store.driver.delete(copy.location)
    report = await rebuild(new, store.driver)
    assert (report["journal_objects"], report["blobs"], report["manifests"]) == (0, 3, 0)


async def test_a_damaged_journal_is_not_believed(store: Store, new: Index, tmp_path: Path) -> None:
    """And the others are."""
    store.driver = FilesystemDriver(str(tmp_path / "storage"))  # type: ignore[assignment]
    await push(store, "one", tag="one")
    await write_journal(store)
    await push(store, "two", tag="two")
    await write_journal(store)
    copy, _ = await store.index.read(partial(index_copies.of_kind, kind="journal"))
    file = tmp_path / "storage" / copy.location
    file.chmod(0o600)
    file.write_bytes(file.read_bytes()[:-30] + bytes(30))
    report = await rebuild(new, store.driver)
    await store.driver.aclose()
    assert (report["journal_objects"], report["bad_journal_objects"]) == (2, 1)
    assert not report["all_right"]
    assert report["manifests"] == 0, "its repository is in the damaged one"


async def test_merged_objects_tell_the_same(
    store: Store, new: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no longer what is gone for good."""
    monkeypatch.setattr(compaction, "MOST_OBJECTS", 3)
    monkeypatch.setattr(compaction, "FEWEST_MERGED", 2)
    for number in range(5):
        gone = await push(store, f"gone {number}", tag=f"gone-{number}")
        await push(store, f"kept {number}", tag=f"kept-{number}")
        await write_journal(store)
        await store.delete_image(gone)
        await write_journal(store)
    copies = await store.index.read(partial(index_copies.of_kind, kind="journal"))
    assert len(copies) <= 3
    assert [copy.since for copy in copies] == sorted(copy.since for copy in copies)
    report = await rebuild(new, store.driver)  # what was merged lies there, too, until it is collected
    assert await new.read(identity.name) == await store.index.read(identity.name) is not None
    assert report["all_right"], report
    assert await new.read(content) == await store.index.read(content)
    assert report["journal_objects"] > len(copies)


@pytest.mark.parametrize("harm", ["missing", "damaged"])
async def test_a_lost_object_is_made_up_for(
    store: Store, new: Index, monkeypatch: pytest.MonkeyPatch, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What was in it is in the index still."""
    monkeypatch.setattr(compaction, "MOST_OBJECTS", 1)
    await push(store, "one", tag="one")
    await write_journal(store)
    (copy,) = await store.index.read(partial(index_copies.of_kind, kind="journal"))
    if harm == "missing":
        await store.driver.delete(copy.location)
    else:
        store.driver._committed[copy.location] = _Committed(b"nonsense", 0.0)
    await push(store, "two", tag="two")
    await write_journal(store)
    assert "all is written again" in caplog.text
    await write_journal(store)
    report = await rebuild(new, store.driver)
    assert report["all_right"], report
    assert await new.read(content) == await store.index.read(content)


async def test_settings_and_what_came_later_are_written_again(store: Store, new: Index) -> None:
    await store.push(b"config", APP)
    await store.push_image(b"config", b"comes later")
    await configure(store.index, public=True, updated_at=3.0)
    await write_journal(store)
    await configure(store.index, public=False, updated_at=4.0)
    await store.push(b"comes later", APP)
    await store.collect()
    await write_journal(store)
    before = await store.index.read(content)
    assert not before["missing"]
    assert (await rebuild(new, store.driver))["all_right"]
    assert await new.read(content) == before


async def test_a_change_beside_the_journal_is_not_lost(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repository that becomes private while it is written as a public one is written again."""
    await push(store, "image")
    await configure(store.index, public=True, updated_at=3.0)
    stored = Journal._write

    async def change_first(self: Journal, job: Any, batch: Any) -> None:
        await configure(store.index, public=False, updated_at=4.0)
        await stored(self, job, batch)

    with monkeypatch.context() as beside:
        beside.setattr(Journal, "_write", change_first)
        await write_journal(store)
    assert (await write_journal(store))["lines"] == 1
