"""An index comes back from the storage alone: what was pushed, as it was, and nothing that nobody pushed."""

import io
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from registry.gc.backup import restore, take
from registry.gc.jobs import Jobs
from registry.gc.rebuild import Rebuild
from registry.gc.rebuild_gate import IndexInUse
from registry.index import (
    Connection,
    Index,
    blobs,
    repositories,
    restored,
)
from registry.oci.digest import Digest
from registry.services.adoption.layout import blob_location
from storage_drivers.filesystem import FilesystemDriver
from tests.unit.gc.rebuilding import (
    again_writes_nothing,
    bring_back,
    configure,
    content,
    fail,
    locations,
    push,
    put,
    put_index,
    rebuild,
    remove_repository,
    restore_repository,
    write_journal,
)
from tests.unit.gc.store import APP, LONG_AGO, Store
from tests.unit.oci.documents import descriptor, encode, image


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


async def test_a_repository_that_was_deleted_and_restored_more_than_once(store: Store, new: Index) -> None:
    """What the journal told of it in between is over, and leaves nothing behind."""
    first = await push(store, "first")
    for _ in range(2):
        await write_journal(store)
        await remove_repository(store.index)
        await write_journal(store)
        await restore_repository(store.index)
    await push(store, "second", tag="another")
    await write_journal(store)
    before = await store.index.read(content)

    report = await rebuild(new, store.driver)

    assert report["all_right"], report
    assert await new.read(content) == before
    assert [row[1] for row in before["manifests"]].count(first) == 1
    assert not await new.read(partial(restored.lock_called, name=APP)), "it is not deleted"
    await remove_repository(new)
    await restore_repository(new)
    assert {name: len(rows) for name, rows in (await new.read(content)).items()} == {
        name: len(rows) + (4 if name == "history" else 0) for name, rows in before.items()
    }


async def test_a_repository_that_was_restored_after_the_backup(store: Store, new: Index) -> None:
    await push(store, "first")
    await write_journal(store)
    await remove_repository(store.index)
    file = io.BytesIO()
    await take(store.index, file, "1")
    await restore_repository(store.index)
    await write_journal(store)
    before = await store.index.read(content)

    await restore(new, file, lambda _count: None, lambda _connection, _taken: None)
    report = await rebuild(new, store.driver)

    assert report["all_right"], report
    assert await new.read(content) == before
    assert not await new.read(partial(restored.lock_called, name=APP))


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
