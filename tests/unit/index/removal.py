"""What is removed from an index and brought back, and how tests look at it."""

from typing import Any

from sqlalchemy import select, update

from registry.index import (
    Connection,
    manifests,
    removed,
    repositories,
    restored,
    tags,
)
from registry.index.tables import blobs as blob_table
from registry.index.tables import (
    manifest_blobs,
    manifest_children,
    metadata,
    repository_blobs,
)
from registry.index.tables import manifests as manifest_table
from registry.index.tables import tag_history as history_table
from registry.index.tables import tags as tag_table

NAME = "acme/app"

WHO = "user:bob"


def id_of(connection: Connection, name: str = NAME) -> int:
    found = repositories.find(connection, name)
    assert found is not None
    return found


def uid_of(connection: Connection, name: str = NAME) -> str:
    row = repositories.details(connection, name)
    assert row is not None
    return row.uid


def everything(connection: Connection, name: str = NAME) -> dict[str, Any]:
    """What a repository holds, without numbers of rows and marks for other work."""
    id = id_of(connection, name)
    columns = [
        column
        for column in manifest_table.c
        if column.name not in ("id", "repository_id", "missing_recorded", "journaled")
    ]
    here = manifest_table.c.repository_id == id
    queries = {
        "repository": select(*(c for c in metadata.tables["repositories"].c if c.name != "id")).where(
            metadata.tables["repositories"].c.id == id
        ),
        "manifests": select(*columns).where(here),
        "blobs": select(manifest_table.c.digest, manifest_blobs.c.blob_id)
        .join(manifest_blobs, manifest_blobs.c.manifest_id == manifest_table.c.id)
        .where(here),
        "children": select(manifest_table.c.digest, manifest_children.c.child_digest)
        .join(manifest_children, manifest_children.c.manifest_id == manifest_table.c.id)
        .where(here),
        "tags": select(tag_table.c.name, tag_table.c.updated_at, manifest_table.c.digest)
        .join(manifest_table, manifest_table.c.id == tag_table.c.manifest_id)
        .where(here),
        "links": select(repository_blobs.c.blob_id).where(repository_blobs.c.repository_id == id),
    }
    return {what: sorted(map(repr, connection.execute(query))) for what, query in queries.items()}


def history(connection: Connection, name: str = NAME) -> list[tuple[Any, ...]]:
    query = select(history_table.c.name, history_table.c.digest, history_table.c.at, history_table.c.by)
    ordered = query.where(history_table.c.repository_id == id_of(connection, name)).order_by(
        history_table.c.id
    )
    return [tuple(row) for row in connection.execute(ordered)]


def remove(connection: Connection, digest: str, now: float, *, keep: bool = True) -> None:
    """As the service does."""
    row = manifests.find_by_digest(connection, NAME, digest)
    assert row is not None
    tags.remove_of_manifest(connection, id_of(connection), row.id, WHO, now)
    manifests.remove(connection, row.id, WHO, now, keep=keep)


def bring_back(connection: Connection, digest: str, now: float) -> None:
    found = removed.lock(connection, uid_of(connection), [digest])
    assert [row.digest for row in found] == [digest]
    restored.bring_back_manifests(connection, id_of(connection), [found[0].id], now)


def marks(connection: Connection) -> tuple[set[int], set[int]]:
    """The blobs whose links are to be examined, and those that are so themselves."""
    links = select(repository_blobs.c.blob_id).where(repository_blobs.c.examine_at.is_not(None))
    own = select(blob_table.c.id).where(blob_table.c.examine_at.is_not(None))
    return set(connection.scalars(links)), set(connection.scalars(own))


def unmark(connection: Connection) -> None:
    for table in (repository_blobs, blob_table):
        connection.execute(update(table).values(examine_at=None))
