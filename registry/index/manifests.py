"""Manifests: their exact bytes, and the edges to what they need."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, select, update

from registry.index.statements import insert
from registry.index.tables import (
    blobs,
    manifest_blobs,
    manifest_children,
    manifests,
    repositories,
    repository_blobs,
    tags,
)


class ManifestRow(NamedTuple):
    """A manifest without its bytes; `size` is their number."""

    id: int
    digest: str
    media_type: str
    size: int


MANIFEST = (manifests.c.id, manifests.c.digest, manifests.c.media_type, manifests.c.size)


def find_by_digest(connection: Connection, repository: str, digest: str) -> ManifestRow | None:
    """The manifest with this digest in this repository."""
    statement = (
        select(*MANIFEST)
        .join(repositories, repositories.c.id == manifests.c.repository_id)
        .where(repositories.c.name == repository, manifests.c.digest == digest)
    )
    row = connection.execute(statement).first()
    return None if row is None else ManifestRow(*row)


def find_by_tag(connection: Connection, repository: str, tag: str) -> ManifestRow | None:
    """The manifest that a tag of this repository points to."""
    statement = (
        select(*MANIFEST)
        .join(tags, tags.c.manifest_id == manifests.c.id)
        .join(repositories, repositories.c.id == tags.c.repository_id)
        .where(repositories.c.name == repository, tags.c.name == tag)
    )
    row = connection.execute(statement).first()
    return None if row is None else ManifestRow(*row)


def body(connection: Connection, manifest_id: int) -> bytes | None:
    """The bytes as they were pushed."""
    found: bytes | None = connection.execute(
        select(manifests.c.body).where(manifests.c.id == manifest_id)
    ).scalar()
    return found


def sizes_of_blobs(
    connection: Connection, repository_id: int, digests: Iterable[str]
) -> dict[str, tuple[int, int]]:
    """Id and size in bytes of each of these blobs that the repository holds."""
    statement = (
        select(blobs.c.digest, blobs.c.id, blobs.c.size)
        .join(repository_blobs, repository_blobs.c.blob_id == blobs.c.id)
        .where(repository_blobs.c.repository_id == repository_id)
        .where(blobs.c.digest.in_(bindparam("digests", expanding=True)))
    )
    found: dict[str, tuple[int, int]] = {}
    for batch in in_batches(list(digests)):
        for digest, blob_id, size in connection.execute(statement, {"digests": batch}):
            found[digest] = (blob_id, size)
    return found


def sizes_of_manifests(connection: Connection, repository_id: int, digests: Iterable[str]) -> dict[str, int]:
    """Size in bytes of each of these manifests that the repository holds."""
    statement = (
        select(manifests.c.digest, manifests.c.size)
        .where(manifests.c.repository_id == repository_id)
        .where(manifests.c.digest.in_(bindparam("digests", expanding=True)))
    )
    found: dict[str, int] = {}
    for batch in in_batches(list(digests)):
        for digest, size in connection.execute(statement, {"digests": batch}):
            found[digest] = size
    return found


def in_batches(digests: Sequence[str], size: int = 1000) -> Iterable[Sequence[str]]:
    """Databases limit the parameters of a statement (SQLite: 32,766)."""
    return (digests[start : start + size] for start in range(0, len(digests), size))


def record(connection: Connection, values: Mapping[str, object]) -> tuple[int, bool]:
    """Enter a manifest, given the columns' values: its id, and whether it is new.

    The same bytes under the same digest may come again with another media type: the newest holds.
    """
    statement = insert(connection, manifests).values(values)
    created: int | None = connection.execute(
        statement.on_conflict_do_nothing().returning(manifests.c.id)
    ).scalar()
    if created is not None:
        return created, True
    same = (manifests.c.repository_id == values["repository_id"]) & (manifests.c.digest == values["digest"])
    found, media_type = connection.execute(select(manifests.c.id, manifests.c.media_type).where(same)).one()
    if media_type != values["media_type"]:
        connection.execute(
            update(manifests).where(manifests.c.id == found).values(media_type=values["media_type"])
        )
    return found, False


def record_edges(
    connection: Connection,
    manifest_id: int,
    repository_id: int,
    blob_ids: Iterable[int],
    children: Iterable[str],
) -> None:
    """Enter what a new manifest needs: blobs of its repository, and the digests an index lists."""
    needed = [
        {"manifest_id": manifest_id, "repository_id": repository_id, "blob_id": blob_id}
        for blob_id in sorted(set(blob_ids))
    ]
    if needed:
        connection.execute(manifest_blobs.insert(), needed)
    listed = [{"manifest_id": manifest_id, "child_digest": digest} for digest in sorted(set(children))]
    if listed:
        connection.execute(manifest_children.insert(), listed)


def remove(connection: Connection, manifest_id: int) -> None:
    """Delete a manifest that no tag points to; its edges go with it."""
    connection.execute(delete(manifests).where(manifests.c.id == manifest_id))


def note_pulls(connection: Connection, pulls: Mapping[int, float]) -> None:
    """Note when manifests were last pulled."""
    statement = (
        update(manifests).where(manifests.c.id == bindparam("manifest")).values(pulled_at=bindparam("time"))
    )
    connection.execute(
        statement, [{"manifest": manifest_id, "time": at} for manifest_id, at in sorted(pulls.items())]
    )
