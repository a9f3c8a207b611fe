"""The scrub beside objects that the index does not know: what is old goes, and no storage is believed that
looks like the wrong one."""

import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import delete

from registry.gc.jobs import Jobs
from registry.gc.scrub_progress import Progress, Stage
from registry.index import open_index
from registry.index.migrations import upgrade
from registry.index.tables import discarded
from registry.index.upkeep_tables import index_copies as index_copies_table
from registry.oci.errors import Conflict, Unavailable
from storage_drivers import Unavailable as StorageUnavailable
from tests.unit.gc.scrub.store import DAY, WEEK, Store
from tests.unit.index import rows


async def test_a_storage_that_is_not_mounted_is_not_believed(store: Store) -> None:
    locations = await store.fill(4)
    for location in locations:
        store.file(location).unlink()

    with pytest.raises(Unavailable, match="is it mounted"):
        await store.run()

    assert all([await store.there(b"content %d" % number) for number in range(4)])


async def test_another_storage_is_not_believed_unless_somebody_insists(store: Store) -> None:
    locations = await store.fill(20)
    for location in locations[6:]:
        store.file(location).unlink()

    with pytest.raises(Conflict, match=r"14 of the first 20 .* --quarantine-many"):
        await store.run()
    assert await store.there(b"content 19")

    report = await store.run(quarantine_many=True)
    assert report["quarantined"] == 14


async def test_unknown_objects_are_discarded_when_they_are_old(store: Store) -> None:
    await store.fill(12)
    old, young = await store.object(b"nobody's"), await store.object(b"being pushed")
    known = await store.object(b"to be deleted")
    store.make_old(old, WEEK + 60)
    store.make_old(known, WEEK + 60)
    store.make_old(young, WEEK - 60)
    await store.index.write(
        lambda c: c.execute(discarded.insert().values(location=known, since=1.0, size=None))
    )

    report = await store.run()

    assert store.kinds() == {old: "unknown"}
    assert (report["objects"], report["unknown"], report["young"], report["discarded"]) == (15, 1, 1, 1)
    assert set(await store.discarded()) == {old, known}
    assert (await store.run())["unknown"] == 0


async def test_what_a_long_upload_may_be_about_to_enter_is_not_old(store: Store) -> None:
    """A session may live for longer than it lives without a byte."""
    await store.fill(12)
    location = await store.object(b"of a session of two weeks")
    store.make_old(location, 13 * DAY)
    begun = time.time() - 14 * DAY
    await store.index.write(
        lambda c: rows.uploads.create(
            c, "id", "acme/app", "sha256", {"token": "x"}, by="x", now=begun, expires_at=begun + 30 * DAY
        )
    )

    report = await store.run()

    assert (report["unknown"], report["young"]) == (0, 1)
    assert await store.discarded() == []


async def test_too_many_unknown_objects_are_not_discarded_unless_somebody_insists(store: Store) -> None:
    """As with two registries on one bucket, or the wrong database."""
    await store.fill(8)
    other = await store.object(b"of another registry")
    store.make_old(other, 365 * DAY)

    report = await store.run()
    assert "1 of 9 objects are unknown" in report["refused"]
    assert (report["unknown"], report["discarded"]) == (1, 0)
    assert await store.discarded() == []

    report = await store.run(discard_unknown=True)
    assert (report["refused"], report["discarded"]) == (None, 1)
    assert await store.discarded() == [other]


async def test_two_registries_on_one_storage_are_told_apart(store: Store, tmp_path: Path) -> None:
    """However few objects the other one has, and whether its journal is old or new."""
    await store.fill(20)
    upgrade(url := f"sqlite:///{tmp_path / 'other.sqlite'}")
    other = Store(open_index(url, pool_size=1), store.driver, store.root)
    try:
        for each, digest in ((store, "sha256:aa"), (other, "sha256:bb")):
            await each.index.write(partial(rows.manifest, repository="r", digest=digest, size=2, tag="v1"))
            await each.journal()
        theirs = await other.push(b"of the other registry")
        store.make_old(theirs, WEEK + 60)
        report = await store.run()
        assert "another registry keeps its journal or backups here" in report["refused"]
        assert (report["unknown"], report["discarded"]) == (1, 0)
        assert (await store.run(discard_unknown=True))["discarded"] == 1, "who says so means it"
    finally:
        other.index.close()


async def test_an_unknown_object_that_can_t_be_read_now_ends_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.fill(12)
    archived = await store.object(b"by a rule of the bucket")
    store.make_old(archived, WEEK + 60)
    read = store.driver.read

    def refuse(location: str, *span: int) -> AsyncIterator[bytes]:
        if location == archived:
            raise StorageUnavailable("it is archived")
        return read(location, *span)

    monkeypatch.setattr(store.driver, "read", refuse)
    assert (await store.run())["discarded"] == 1


async def test_what_a_dead_process_left_of_the_journal_is_no_other_registry_s(store: Store) -> None:
    await store.fill(20)
    await store.index.write(partial(rows.manifest, repository="r", digest="sha256:aa", size=2, tag="v1"))
    await store.journal()
    await store.index.write(lambda c: c.execute(delete(index_copies_table)))
    left = [found.location async for found in store.driver.scan() if "/journal/" in found.location]
    store.make_old(left[0], WEEK + 60)
    assert (await store.run())["discarded"] == 1
    assert await store.discarded() == left


async def test_an_empty_index_beside_a_full_storage(store: Store) -> None:
    for number in range(3):
        store.make_old(await store.object(b"%d" % number), 30 * DAY)

    report = await store.run()

    assert "3 of 3 objects" in report["refused"]
    assert await store.discarded() == []


async def test_copies_in_a_storage_that_is_not_mounted_are_not_written_again(store: Store) -> None:
    await store.fill(2)
    await store.journal()
    before = await store.copies("journal")
    progress = Progress(1.0, 0, 0, Stage.COPIES)
    store.root.rename(store.root.with_name("away"))
    async with Jobs(store.index).hold("scrub") as job:
        await job.write(lambda connection: job.save(connection, progress.state()))
        with pytest.raises(Unavailable, match="nor any blob"):
            await store.scrub().run(job)
    assert await store.copies("journal") == before != []
