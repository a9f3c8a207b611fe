"""A collection takes what nothing needs, and nothing else."""

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text

from auth.actor import Actor
from registry.gc import collector as gc_collector
from registry.gc.collector import JOB, Collector, IndexEmpty
from registry.gc.jobs import Jobs, LostJob
from registry.index import Connection, Index, blobs, collection, manifests, repositories, tags
from registry.oci.digest import Digest
from registry.oci.errors import BlobUnknown, Conflict, Unavailable
from registry.oci.manifest import parse_manifest
from registry.oci.name import RepositoryName
from registry.services.audit import Audit
from registry.services.blobs import Blobs
from registry.services.manifest_entries import NewManifest, enter
from registry.services.quarantine import Quarantine
from registry.services.undo import Undo
from storage_drivers import NotFound
from storage_drivers import Unavailable as StorageUnavailable
from storage_drivers.memory import MemoryDriver
from tests.unit.gc.test_jobs import steal
from tests.unit.oci.documents import descriptor, encode, image

LONG_AGO = 1_000.0
"""When rows were made, so that no lease is running unless a test says so."""

APP = "acme/app"
CI = Actor("robot:ci")


async def no_uploads() -> int:
    return 3


async def pieces(content: bytes) -> AsyncIterator[list[bytes]]:
    yield [content]


@dataclass
class Store:
    """An index and a storage, and what a client does to them."""

    index: Index
    driver: MemoryDriver = field(default_factory=MemoryDriver)
    delay: float = 0.0
    window: float = 0.0
    expire_uploads: Callable[[], Awaitable[int]] = no_uploads

    async def push(self, content: bytes, *names: str, lease: float = 0.0) -> str:
        """Store a blob and let repositories read it; its digest."""
        digest = Digest.of(content, "sha256")

        upload = await self.driver.append(await self.driver.begin(), pieces(content))
        location = await self.driver.commit(upload, digest)

        def change(connection: Connection) -> str:
            row = blobs.record(connection, digest, len(content), location, lease, LONG_AGO)
            for name in names or (APP,):
                id = repositories.ensure(connection, name, LONG_AGO)
                blobs.link(connection, id, row.id, LONG_AGO)
            return row.location

        if await self.index.write(change) != location:
            await self.driver.delete(location)
        return digest

    async def push_image(self, *contents: bytes, tag: str = "latest", name: str = APP) -> str:
        """A manifest of these layers, of which those must be there that are; its digest."""
        layers = [descriptor(digest=Digest.of(content, "sha256"), size=len(content)) for content in contents]
        body = encode(image(config=layers[0], layers=layers[1:]))
        digest = Digest.of(body, "sha256")

        def change(connection: Connection) -> None:
            id = repositories.ensure(connection, name, LONG_AGO)
            new = NewManifest(digest, body, parse_manifest(body, None), "user:ci", LONG_AGO)
            manifest_id, _ = enter(connection, id, new, sparse=True)
            tags.point(connection, id, tag, manifest_id, digest, "user:ci", LONG_AGO)

        await self.index.write(change)
        return digest

    async def delete_image(self, digest: str, *, keep: bool = False, name: str = APP) -> None:
        def change(connection: Connection) -> None:
            row = manifests.find_by_digest(connection, name, digest)
            id = repositories.find(connection, name)
            assert row is not None
            assert id is not None
            tags.remove_of_manifest(connection, id, row.id, "user:ci", LONG_AGO)
            manifests.remove(connection, row.id, "user:ci", time.time(), keep=keep)

        await self.index.write(change)

    def collector(self) -> Collector:
        return Collector(
            self.index,
            self.driver,
            Audit(self.index, 1000),
            delay_seconds=self.delay,
            window_seconds=self.window,
            expire_uploads=self.expire_uploads,
        )

    async def collect(self, **options: Any) -> Mapping[str, Any]:
        """Collect to the end; the report."""
        async with Jobs(self.index).hold(JOB) as job:
            report = await self.collector().collect(job, **options)
            assert report is not None
            await job.finish(report)
        return report

    async def held(self, name: str = APP) -> set[str]:
        """The blobs that a repository may read; their bytes are there."""
        query = text(
            "SELECT blobs.digest, location FROM blobs JOIN repository_blobs ON blob_id = blobs.id "
            "JOIN repositories ON repositories.id = repository_id WHERE name = :name"
        )
        rows = await self.index.read(lambda connection: connection.execute(query, {"name": name}).all())
        for digest, location in rows:
            content = b"".join([part async for part in self.driver.read(location)])
            assert Digest.of(content, "sha256") == digest
        return {digest for digest, _ in rows}

    async def count(self, table: str) -> int:
        query = text(f"SELECT count(*) FROM {table}")
        return int(await self.index.read(lambda connection: connection.execute(query).scalar_one()))

    async def objects(self) -> int:
        return len([one async for one in self.driver.scan()])


@pytest.fixture
def store(index: Index) -> Store:
    return Store(index)


async def test_what_no_manifest_needs_goes_and_the_rest_stays(store: Store) -> None:
    kept = {await store.push(content) for content in (b"config", b"layer", b"shared")}
    await store.push(b"shared", "other/app")
    await store.push_image(b"config", b"layer", b"shared")
    garbage = await store.push(b"nobody came for it")

    report = await store.collect()

    assert await store.held() == kept
    assert await store.held("other/app") == set()
    assert garbage not in kept
    counts = {name: report[name] for name in ("links", "blobs", "bytes", "needed", "leased", "uploads")}
    assert counts == {"links": 2, "blobs": 1, "bytes": 18, "needed": 4, "leased": 0, "uploads": 3}
    assert (report["objects"], report["freed"]) == (1, 18)
    assert (await store.objects(), await store.count("discarded")) == (3, 0)
    assert set(report["seconds"]) == {"manifests", "removed", "uploads", "links", "blobs", "bytes"}


async def test_nothing_is_looked_at_twice(store: Store) -> None:
    await store.push(b"config")
    await store.push(b"layer")
    digest = await store.push_image(b"config", b"layer")
    assert (await store.collect())["needed"] == 2
    idle = await store.collect()
    assert [idle[name] for name in ("needed", "leased", "links", "blobs", "objects")] == [0] * 5

    await store.delete_image(digest)
    report = await store.collect()
    assert [report[name] for name in ("links", "blobs", "objects")] == [2, 2, 2]
    assert report["ever"] == {"blobs": 2, "bytes": 11}
    assert await store.objects() == 0
    assert (await store.collect())["ever"] == {"blobs": 2, "bytes": 11}


async def test_what_was_promised_stays_until_the_promise_is_over(store: Store) -> None:
    until = time.time() + 1000
    digest = await store.push(b"leased", lease=until)
    report = await store.collect()
    assert (report["leased"], report["links"]) == (1, 0)
    assert await store.held() == {digest}
    assert (await store.collect())["leased"] == 0, "it is looked at again when that is over"

    over = text("UPDATE blobs SET lease_until = 1")
    due = text("UPDATE repository_blobs SET examine_at = 1")
    await store.index.write(lambda connection: (connection.execute(over), connection.execute(due)))
    assert (await store.collect())["blobs"] == 1


async def test_a_blob_without_links_is_leased_as_well(store: Store) -> None:
    """A mount may have been promised it."""
    until = time.time() + 1000
    digest = await store.push(b"leased", lease=until)
    await store.index.write(partial(blobs.unlink, repository=APP, digest=digest, now=LONG_AGO))
    report = await store.collect()
    assert (report["leased"], report["blobs"], await store.count("blobs")) == (1, 0, 1)


async def test_bytes_stay_for_their_readers(store: Store) -> None:
    store.delay = 1000
    await store.push(b"garbage")
    report = await store.collect()
    assert (report["blobs"], report["objects"]) == (1, 0)
    assert (await store.objects(), await store.count("discarded"), await store.count("blobs")) == (1, 1, 0)
    waiting = await store.collector().waiting()
    assert (waiting.objects, waiting.bytes) == (1, 7)
    assert (await store.collect())["objects"] == 0
    store.delay = 0
    report = await store.collect()
    assert (report["objects"], report["freed"], await store.objects()) == (1, 7, 0)


async def test_the_same_content_may_come_again_before_its_bytes_go(store: Store) -> None:
    store.delay = 1000
    await store.push(b"config")
    await store.collect()
    await store.push(b"config")
    await store.push_image(b"config")
    store.delay = 0
    assert (await store.collect())["objects"] == 1
    assert await store.held() == {Digest.of(b"config", "sha256")}


async def test_deleted_manifests_hold_their_blobs_until_they_expire(store: Store) -> None:
    store.window = 1000
    kept = {await store.push(b"config"), await store.push(b"layer")}
    digest = await store.push_image(b"config", b"layer")
    await store.collect()
    await store.delete_image(digest, keep=True)
    report = await store.collect()
    assert (report["links"], report["needed"], report["expired"]) == (0, 2, 0)
    assert await store.held() == kept

    report = await store.collect(purge_removed=True, actor=Actor("user:boss"))
    assert (report["expired"], report["links"], report["blobs"]) == (1, 2, 2)
    entry = text("SELECT actor, action, detail FROM audit ORDER BY id DESC LIMIT 1")
    actor, action, detail = await store.index.read(lambda connection: connection.execute(entry).one())
    assert (actor, action) == ("user:boss", "gc.run")
    assert json.loads(detail) == {
        "expired": 1, "links": 2, "blobs": 2, "bytes": 11, "freed": 11, "purge_removed": True,
    }  # fmt: skip


async def test_a_repository_that_was_deleted_holds_its_blobs_without_links(store: Store) -> None:
    store.window = 1000
    await store.push(b"config")
    await store.push_image(b"config")
    id = await store.index.read(partial(repositories.find, name=APP))
    await store.index.write(partial(repositories.remove, id=id, by=None, now=time.time()))
    assert (await store.collect())["blobs"] == 0
    assert await store.count("blobs") == 1
    assert (await store.collect(purge_removed=True))["blobs"] == 1


async def test_what_a_sparse_manifest_waits_for_is_kept_when_it_comes(store: Store) -> None:
    await store.push(b"config")
    manifest = await store.push_image(b"config", b"late")
    await store.push(b"late", "other/app")
    late = await store.push(b"late")
    report = await store.collect()
    assert late in await store.held()
    assert await store.held("other/app") == set()
    assert report["blobs"] == 0
    assert await store.count("missing_blobs") == 0, "it is needed now as the rest is"
    await store.delete_image(manifest)
    assert (await store.collect())["blobs"] == 2


@pytest.mark.parametrize("came", ["before", "later"])
async def test_manifests_of_the_version_before_are_completed_first(store: Store, came: str) -> None:
    """It noted no edge to what came after the manifest, and nothing of what was missing."""
    await store.push(b"config")
    await store.push_image(b"config", b"late")
    forget = text("DELETE FROM missing_blobs")
    unknown = text("UPDATE manifests SET missing_recorded = false")
    await store.index.write(lambda connection: (connection.execute(forget), connection.execute(unknown)))
    if came == "before":
        await store.push(b"late")
        assert (await store.collect())["completed"] == 1
    else:
        assert (await store.collect())["completed"] == 1
        await store.push(b"late")
    report = await store.collect()
    assert (report["completed"], report["links"]) == (0, 0)
    assert len(await store.held()) == 2


async def test_what_is_restored_meanwhile_is_completed_before_a_link_goes(store: Store) -> None:
    """Nobody knows what it cites and was missing when it was deleted, and came since."""
    store.window = 1000.0
    config = await store.push(b"config")
    image = await store.push_image(b"config", b"late")
    await store.delete_image(image, keep=True)
    late = await store.push(b"late")
    undo = Undo(store.index, Audit(store.index, 1000))

    async def restore() -> int:
        await undo.restore_manifest(RepositoryName.parse(APP), Digest(image), CI, with_tags=False)
        return 0

    store.expire_uploads = restore  # behind the completion of manifests, before links
    await store.collect()
    store.expire_uploads = no_uploads
    report = await store.collect()
    assert (report["completed"], report["links"]) == (1, 0)
    assert await store.held() == {config, late}


async def test_nobody_is_promised_what_is_taken_meanwhile(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another repository holds the blob, so it goes from this one only."""
    audit = Audit(store.index, 1000)
    quarantine = Quarantine(store.index, store.driver, audit)
    service = Blobs(store.index, store.driver, audit, quarantine, lease_seconds=60, deletion=True)
    digest = await store.push(b"layer", APP, "other/app")
    await store.push_image(b"layer", name="other/app")
    write = store.index.write

    async def collected_before(*arguments: Any, **options: Any) -> Any:
        monkeypatch.undo()
        await store.collect()
        return await write(*arguments, **options)

    monkeypatch.setattr(store.index, "write", collected_before)
    with pytest.raises(BlobUnknown):
        await service.promise(RepositoryName.parse(APP), Digest(digest))
    assert (await service.promise(RepositoryName.parse("other/app"), Digest(digest))).digest == digest


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


async def test_a_preview_changes_nothing_and_says_why(store: Store) -> None:
    store.window = 1000
    until = round(time.time()) + 1000.0
    await store.push(b"config")
    await store.push(b"layer")
    await store.push_image(b"config", b"layer")
    gone = await store.push(b"removed")
    await store.delete_image(await store.push_image(b"removed", tag="old"), keep=True)
    await store.push(b"leased", lease=until)
    await store.push(b"garbage")
    await store.push(b"more garbage", "other/app")
    await store.push(b"late", "other/app")
    await store.push_image(b"late", tag="sparse", name="other/app")
    before = {name: await store.count(name) for name in ("blobs", "repository_blobs", "discarded")}

    shares = {share.kind: share for share in await store.collector().preview()}

    assert {kind: (share.blobs, share.bytes) for kind, share in shares.items()} == {
        "garbage": (2, 19), "leased": (1, 6), "needed": (3, 15), "removed": (1, 7),
    }  # fmt: skip
    assert shares["leased"].until == until
    removed_until = shares["removed"].until
    assert removed_until is not None
    assert abs(removed_until - time.time() - 1000) < 100
    assert {name: await store.count(name) for name in before} == before
    purged = {share.kind: share.blobs for share in await store.collector().preview(purge_removed=True)}
    assert purged == {"garbage": 3, "leased": 1, "needed": 3}

    report = await store.collect()
    assert (report["blobs"], report["bytes"]) == (2, 19)
    assert gone in await store.held()
    left = {share.kind: share.blobs for share in await store.collector().preview()}
    assert left == {"leased": 1, "removed": 1}, "what is known to be needed is not looked at"


async def test_missing_bytes_are_no_trouble(store: Store) -> None:
    await store.push(b"garbage")
    (found,) = [one async for one in store.driver.scan()]
    await store.driver.delete(found.location)
    assert (await store.collect())["objects"] == 1
    with pytest.raises(NotFound):
        await store.driver.stat(found.location)
