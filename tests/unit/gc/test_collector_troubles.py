"""A collection that can't do its work, or should not, harms nothing and goes on later."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from typing import Any

import pytest
from sqlalchemy import text

from registry.gc import collector as gc_collector
from registry.gc.collector import JOB, IndexEmpty
from registry.gc.jobs import Jobs, LostJob
from registry.index import Index, collection
from registry.oci.digest import Digest
from registry.oci.errors import Conflict, Unavailable
from storage_drivers import NotFound
from storage_drivers import Unavailable as StorageUnavailable
from storage_drivers.memory import MemoryDriver
from tests.unit.gc.store import APP, Store, pieces
from tests.unit.gc.test_jobs import steal


async def test_a_manifest_that_can_t_be_read_stops_it(store: Store) -> None:
    await store.push(b"config")
    await store.push_image(b"config")
    await store.push(b"garbage")
    spoil = text("UPDATE manifests SET missing_recorded = false, body = :body")
    await store.index.write(lambda connection: connection.execute(spoil, {"body": b"{"}))
    with pytest.raises(Conflict, match=f"nothing is collected.*{APP}"):
        await store.collect()
    assert await store.count("blobs") == 2


async def test_it_refuses_an_index_that_lost_everything(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.push(b"config")
    await store.push_image(b"config")
    await store.collect()
    empty = [f"DELETE FROM {name}" for name in ("tags", "manifests", "repository_blobs", "blobs")]
    await store.index.write(lambda connection: [connection.execute(text(one)) for one in empty])
    monkeypatch.setattr(gc_collector, "YOUNG_SECONDS", 0.0)
    with pytest.raises(IndexEmpty, match="knows of no blob, but the storage holds objects"):
        await store.collect()
    assert await store.objects() == 1


async def test_it_does_not_refuse_beside_the_first_push(store: Store) -> None:
    upload = await store.driver.append(await store.driver.begin(), pieces(b"first"))
    await store.driver.commit(upload, Digest.of(b"first", "sha256"))
    await store.collect()
    assert await store.objects() == 1


async def test_it_does_not_refuse_where_all_was_deleted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.collect()
    monkeypatch.setattr(gc_collector, "YOUNG_SECONDS", 0.0)
    await store.push(b"garbage")
    assert (await store.collect())["objects"] == 1
    await store.push(b"another")
    orphan = text("DELETE FROM repository_blobs")
    await store.index.write(lambda connection: connection.execute(orphan))
    await store.index.write(lambda connection: connection.execute(text("DELETE FROM blobs")))
    await store.collect()
    assert await store.objects() == 1, "what no row knows is the scrub's"


async def test_it_goes_on_in_another_process_where_its_time_was_over(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gc_collector, "BATCH", 2)
    for number in range(9):
        await store.push(b"%d" % number)
    answers: list[Mapping[str, Any] | None] = []
    while not answers or answers[-1] is None:
        async with Jobs(store.index).hold(JOB) as job:
            answers.append(await store.collector().collect(job, seconds=1e-9))
            if answers[-1] is not None:
                await job.finish(answers[-1])
    assert len(answers) > 8
    assert answers[-1] is not None
    assert (answers[-1]["links"], answers[-1]["blobs"], answers[-1]["objects"]) == (9, 9, 9)
    assert await store.objects() == 0


class Stubborn(MemoryDriver):
    """Does not delete some objects."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: set[str] = set()
        self.deleted: list[Sequence[str]] = []

    async def delete(self, location: str) -> None:
        if location in self.refused:
            raise StorageUnavailable("not this one")
        await super().delete(location)


async def test_one_object_that_can_t_be_deleted_keeps_no_others(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gc_collector, "OBJECTS", 2)
    driver = Stubborn()
    store = Store(index, driver)
    for number in range(7):
        await store.push(b"%d" % number)
    driver.refused = {next(iter([one.location async for one in driver.scan()]))}
    with pytest.raises(Unavailable):
        await store.collect()
    assert await store.objects() == 1
    assert 1 <= await store.count("discarded") <= 2
    driver.refused.clear()
    assert (await store.collect())["objects"] == 7, "the report counts what the run before did"
    assert await store.count("discarded") == 0


async def test_many_objects_that_can_t_be_deleted_keep_no_others_for_ever(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gc_collector, "OBJECTS", 1)
    driver = Stubborn()
    store = Store(index, driver, delay=1000.0)
    for number in range(7):
        await store.push(b"%d" % number)
    await store.collect()
    oldest = text("SELECT location FROM discarded ORDER BY since, location")
    age = text("UPDATE discarded SET since = since - 2000")
    locations = await index.read(lambda connection: connection.execute(oldest).scalars().all())
    await index.write(lambda connection: connection.execute(age))
    driver.refused = set(locations[: gc_collector.MOST_FAILURES])
    with pytest.raises(Unavailable):
        await store.collect()
    await store.collect()
    assert await store.objects() == await store.count("discarded") == gc_collector.MOST_FAILURES


class Away(MemoryDriver):
    """Like a folder in which a volume is not mounted, as long as it is `away`."""

    away = False

    async def delete_many(self, locations: Collection[str]) -> None:
        if not self.away:
            await super().delete_many(locations)

    async def read(self, location: str, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        if self.away:
            raise NotFound(location)
        async for part in super().read(location, start, stop):
            yield part


async def test_what_is_deleted_from_a_storage_that_is_away_is_not_forgotten(index: Index) -> None:
    driver = Away()
    store = Store(index, driver)
    await store.push(b"garbage")
    await store.push(b"config")
    await store.push_image(b"config")
    driver.away = True
    with pytest.raises(Unavailable, match="no blob can be read"):
        await store.collect()
    assert await store.count("discarded") == 1

    driver.away = False
    assert (await store.collect())["objects"] == 1
    assert (await store.count("discarded"), await store.objects()) == (0, 1)


async def test_who_was_paused_before_a_deletion_deletes_nothing_any_more(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile another leader has deleted and forgotten it, and an adoption may have entered it again."""
    await store.push(b"garbage")
    read = store.index.read

    async def paused_behind_the_choice(query: Any) -> Any:
        found = await read(query)
        if getattr(query, "func", None) is collection.discarded_before and found:
            await steal(store.index)
        return found

    monkeypatch.setattr(store.index, "read", paused_behind_the_choice)
    with pytest.raises(LostJob):
        await store.collect()
    assert await store.objects() == 1


async def test_missing_bytes_are_no_trouble(store: Store) -> None:
    await store.push(b"garbage")
    (found,) = [one async for one in store.driver.scan()]
    await store.driver.delete(found.location)
    assert (await store.collect())["objects"] == 1
    with pytest.raises(NotFound):
        await store.driver.stat(found.location)
