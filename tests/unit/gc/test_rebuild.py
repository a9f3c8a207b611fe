"""An index comes back from the storage alone: what was pushed, as it was, and nothing that nobody pushed."""

import asyncio
import io
import time
from collections.abc import AsyncIterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from registry.gc import compaction
from registry.gc.backup import restore, take
from registry.gc.jobs import Jobs
from registry.gc.journal import JOB as JOURNAL
from registry.gc.journal import Journal
from registry.gc.rebuild import Rebuild
from registry.gc.rebuild_gate import JOB, IndexInUse
from registry.index import (
    Connection,
    Index,
    blobs,
    identity,
    index_copies,
    manifests,
    open_index,
    repositories,
    restored,
    tags,
)
from registry.index import removed as removed_rows
from registry.index.migrations import upgrade
from registry.oci.digest import Digest
from registry.oci.manifest import parse_manifest
from registry.services.adoption.layout import blob_location
from registry.services.manifest_entries import NewManifest, enter
from storage_drivers.filesystem import FilesystemDriver
from storage_drivers.memory import _Committed
from tests.unit.gc.store import APP, LONG_AGO, Store
from tests.unit.oci.documents import descriptor, encode, image

WINDOW = 7 * 86400.0


@pytest.fixture
async def new(tmp_path: Path) -> AsyncIterator[Index]:
    """An index with nothing in it."""
    upgrade(url := f"sqlite:///{tmp_path / 'new.sqlite'}")
    opened = open_index(url, pool_size=3)
    yield opened
    await asyncio.to_thread(opened.close)


async def write_journal(store: Store) -> Mapping[str, Any]:
    async with Jobs(store.index).hold(JOURNAL) as job:
        report = await Journal(store.index, store.driver).run(job)
        await job.finish(report)
    return report


async def rebuild(index: Index, driver: Any) -> Mapping[str, Any]:
    async with Jobs(index).hold(JOB) as job:
        report = await Rebuild(index, driver, window_seconds=WINDOW).run(job)
        await job.finish(report)
    return report


async def push(store: Store, name: str, tag: str = "latest", repository: str = APP) -> str:
    """An image of two blobs; the manifest's digest."""
    contents = [f"config of {name}".encode(), f"layer of {name}".encode()]
    for content in contents:
        await store.push(content, repository)
    return await store.push_image(*contents, tag=tag, name=repository)


def content(connection: Connection) -> dict[str, list[tuple[Any, ...]]]:
    """What must come back, without ids."""
    queries = {
        "repositories": "SELECT name, uid, public, description, immutable_tags, created_at FROM repositories",
        "manifests": "SELECT r.uid, m.digest, m.media_type, m.artifact_type, m.size, m.body, m.subject, "
        "m.annotations, m.pushed_by, m.pushed_at FROM manifests m "
        "JOIN repositories r ON r.id = m.repository_id",
        "edges": "SELECT r.uid, m.digest, b.digest FROM manifest_blobs e "
        "JOIN manifests m ON m.id = e.manifest_id JOIN blobs b ON b.id = e.blob_id "
        "JOIN repositories r ON r.id = e.repository_id",
        "children": "SELECT m.digest, c.child_digest FROM manifest_children c "
        "JOIN manifests m ON m.id = c.manifest_id",
        "missing": "SELECT m.digest, b.digest FROM missing_blobs b JOIN manifests m ON m.id = b.manifest_id",
        "tags": "SELECT r.uid, t.name, m.digest FROM tags t JOIN manifests m ON m.id = t.manifest_id "
        "JOIN repositories r ON r.id = t.repository_id",
        "history": 'SELECT r.uid, h.name, h.digest, h.at, h."by" FROM tag_history h '
        "JOIN repositories r ON r.id = h.repository_id",
    }
    return {
        name: sorted((tuple(map(plain, row)) for row in connection.execute(text(query))), key=repr)
        for name, query in queries.items()
    }


def plain(value: object) -> object:
    """SQLite has 0 for False, and PostgreSQL memoryviews for bytes in statements of text."""
    return int(value) if isinstance(value, bool) else bytes(value) if isinstance(value, memoryview) else value


async def test_all_comes_back(store: Store, new: Index) -> None:
    """Two repositories, an index, a sparse image, settings, history, and what was deleted."""
    first = await push(store, "first")
    await push(store, "second", repository="acme/other")
    await write_journal(store)
    await push(store, "third")  # the tag moves
    child = await push(store, "child", tag="child")
    await put_index(store, child, Digest.of(b"never pushed"))
    await store.push_image(b"config of first", b"a layer that nobody pushed", tag="sparse")
    doomed = await push(store, "doomed", tag="doomed")
    await write_journal(store)
    await store.delete_image(doomed, keep=True)
    await configure(store.index, public=True, description="to be seen", updated_at=5.0)
    await write_journal(store)
    before = await store.index.read(content)
    assert all(before.values()), before

    report = await rebuild(new, store.driver)

    assert report["all_right"], report
    assert await new.read(content) == before
    assert (report["manifests"], report["tags"], report["removals"]) == (7, 6 - 1, 1)
    assert await again_writes_nothing(new, store)
    await bring_back(new, doomed)
    assert [row[1] for row in (await new.read(content))["manifests"]].count(doomed) == 1
    assert first in {row[1] for row in before["manifests"]}


async def put_index(store: Store, *children: str) -> None:
    media_type = "application/vnd.oci.image.index.v1+json"
    size = len(await store.index.read(lambda connection: body_of(connection, children[0])))
    listed = [descriptor(digest=digest, size=size, mediaType=MANIFEST) for digest in children]
    await put(store, encode({"schemaVersion": 2, "mediaType": media_type, "manifests": listed}), "index")


MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def body_of(connection: Connection, digest: str) -> bytes:
    row = manifests.find_by_digest(connection, APP, digest)
    assert row is not None
    return bytes(manifests.body(connection, row.id) or b"")


async def configure(index: Index, **settings: object) -> None:
    def change(connection: Connection) -> None:
        id = repositories.find(connection, APP)
        assert id is not None
        assert repositories.configure(connection, id, settings)

    await index.write(change)


async def again_writes_nothing(index: Index, store: Store) -> bool:
    """What came from the journal is not written there again."""
    report = await write_journal(Store(index, store.driver))
    return report["objects"] == 0


async def bring_back(index: Index, digest: str) -> None:
    def change(connection: Connection) -> None:
        row = repositories.details(connection, APP)
        assert row is not None
        (found,) = removed_rows.lock(connection, row.uid, [digest])
        restored.bring_back_manifests(connection, row.id, [found.id], time.time())

    await index.write(change)


async def test_a_backup_is_brought_up_to_date(store: Store, new: Index) -> None:
    """What was pushed, moved and deleted since it was taken; also what was garbage then and is needed now."""
    await push(store, "kept", tag="kept")
    doomed = await push(store, "doomed", tag="doomed")
    garbage = await push(store, "garbage", tag="garbage")
    await store.delete_image(garbage)
    await write_journal(store)
    file = io.BytesIO()
    await take(store.index, file, "1")
    await store.delete_image(doomed)
    await push(store, "garbage", tag="again")
    await push(store, "late", tag="kept")
    await write_journal(store)
    before = await store.index.read(content)

    await restore(new, file, lambda _count: None, lambda _connection, _taken: None)
    assert await new.read(content) != before
    report = await rebuild(new, store.driver)

    assert report["all_right"], report
    assert await new.read(content) == before
    assert report["blobs"] == 2, "those of the late one"
    with pytest.raises(IndexInUse):
        await rebuild(new, store.driver)


async def test_an_index_in_use_is_left_alone(store: Store) -> None:
    await push(store, "mine")
    with pytest.raises(IndexInUse):
        await rebuild(store.index, store.driver)
    assert await Jobs(store.index).get("gc") is None, "nothing has to wait"


async def test_whoever_is_interrupted_goes_on(
    store: Store, new: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    await push(store, "one")
    await write_journal(store)
    with monkeypatch.context() as broken:
        broken.setattr(Rebuild, "_set_tags", fail)
        with pytest.raises(RuntimeError):
            await rebuild(new, store.driver)
    report = await rebuild(new, store.driver)
    assert report["all_right"], report
    assert report["blobs"] == 0, "they were entered before"
    assert await new.read(content) == await store.index.read(content)


async def fail(*_arguments: object) -> None:
    raise RuntimeError


async def test_what_lacks_a_blob_is_told(store: Store, new: Index) -> None:
    """Its tag does not point to something older instead."""
    await push(store, "old")
    lost = await push(store, "new")
    await write_journal(store)
    (location,) = await store.index.read(partial(locations, digest=Digest.of(b"layer of new")))
    await store.driver.delete(location)
    report = await rebuild(new, store.driver)
    assert {one["what"] for one in report["lost"]} == {f"{APP}@{lost}", f"{APP}:latest"}
    assert str(Digest.of(b"layer of new")) in report["lost"][1]["reason"]
    assert not (await new.read(content))["tags"]


def locations(connection: Connection, digest: str) -> list[str]:
    return list(
        connection.execute(
            text("SELECT location FROM blobs WHERE digest = :digest"), {"digest": digest}
        ).scalars()
    )


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


async def test_blobs_that_were_adopted_are_found(store: Store, new: Index, tmp_path: Path) -> None:
    """Where docker-registry left them; and only if they are needed."""
    store.driver = FilesystemDriver(str(tmp_path / "storage"))  # type: ignore[assignment]
    needed, other = b"{}", b"not needed"
    for one in (needed, other):
        file = tmp_path / "storage" / blob_location(Digest.of(one))
        file.parent.mkdir(parents=True)
        file.write_bytes(one)

    def adopt(connection: Connection) -> None:
        location = blob_location(Digest.of(needed))
        row = blobs.record(connection, Digest.of(needed), len(needed), location, 0.0, LONG_AGO)
        blobs.link(connection, repositories.ensure(connection, APP, LONG_AGO), row.id, LONG_AGO)

    await store.index.write(adopt)
    await store.push_image(needed)
    await write_journal(store)
    report = await rebuild(new, store.driver)
    await store.driver.aclose()
    assert report["all_right"], report
    assert report["blobs"] == 1
    assert await new.read(content) == await store.index.read(content)


async def test_blobs_with_another_digest_are_found(store: Store, new: Index) -> None:
    digest = Digest.of(b"sixty-four bytes of it", "sha512")
    config = await store.push(b"{}")

    async def runs() -> AsyncIterator[list[bytes]]:
        yield [b"sixty-four bytes of it"]

    location = await store.driver.commit(
        await store.driver.append(await store.driver.begin(), runs()), digest
    )

    def change(connection: Connection) -> None:
        row = blobs.record(connection, digest, 22, location, 0.0, LONG_AGO)
        id = repositories.find(connection, APP)
        assert id is not None
        blobs.link(connection, id, row.id, LONG_AGO)

    await store.index.write(change)
    layers = [descriptor(digest=digest, size=22)]
    body = encode(image(config=descriptor(digest=config, size=2), layers=layers))
    await put(store, body, "long")
    await write_journal(store)
    report = await rebuild(new, store.driver)
    assert report["all_right"], report
    assert await new.read(content) == await store.index.read(content)


async def put(store: Store, body: bytes, tag: str) -> None:
    def change(connection: Connection) -> None:
        id = repositories.ensure(connection, APP, LONG_AGO)
        new = NewManifest(Digest.of(body), body, parse_manifest(body, None), "user:ci", LONG_AGO)
        manifest_id, _ = enter(connection, id, new, sparse=True)
        tags.point(connection, id, tag, manifest_id, new.digest, "user:ci", LONG_AGO)

    await store.index.write(change)
