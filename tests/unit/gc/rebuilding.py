"""An index that comes back from the storage: how tests write it, rebuild it and compare it."""

import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy import text

from registry.gc.jobs import Jobs
from registry.gc.journal import JOB as JOURNAL
from registry.gc.journal import Journal
from registry.gc.rebuild import Rebuild
from registry.gc.rebuild_gate import JOB
from registry.index import (
    Connection,
    Index,
    manifests,
    repositories,
    restored,
    tags,
)
from registry.index import removed as removed_rows
from registry.oci.digest import Digest
from registry.oci.manifest import parse_manifest
from registry.services.manifest_entries import NewManifest, enter
from tests.unit.gc.store import APP, LONG_AGO, Store
from tests.unit.oci.documents import descriptor, encode

WINDOW = 7 * 86400.0


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


async def remove_repository(index: Index) -> None:
    def change(connection: Connection) -> None:
        id = repositories.find(connection, APP)
        assert id is not None
        repositories.remove(connection, id, "user:ci", time.time(), keep=True)

    await index.write(change)


async def restore_repository(index: Index) -> None:
    def change(connection: Connection) -> None:
        (row,) = restored.lock_called(connection, APP)
        restored.bring_back_repository(connection, row, APP, "user:ci", time.time())

    await index.write(change)


async def fail(*_arguments: object) -> None:
    raise RuntimeError


def locations(connection: Connection, digest: str) -> list[str]:
    return list(
        connection.execute(
            text("SELECT location FROM blobs WHERE digest = :digest"), {"digest": digest}
        ).scalars()
    )


async def put(store: Store, body: bytes, tag: str) -> None:
    def change(connection: Connection) -> None:
        id = repositories.ensure(connection, APP, LONG_AGO)
        new = NewManifest(Digest.of(body), body, parse_manifest(body, None), "user:ci", LONG_AGO)
        manifest_id, _ = enter(connection, id, new, sparse=True)
        tags.point(connection, id, tag, manifest_id, new.digest, "user:ci", LONG_AGO)

    await store.index.write(change)
