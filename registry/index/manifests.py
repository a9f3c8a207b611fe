"""Manifests: their exact bytes, and the edges to what they need."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, Connection, bindparam, case, delete, select, update

from registry.index import journal_notes, removed
from registry.index.statements import Statement
from registry.index.tables import (
    blobs,
    manifest_blobs,
    manifest_children,
    manifests,
    repositories,
    repository_blobs,
    tags,
)

Value = TypeVar("Value")


class ManifestRow(NamedTuple):
    """A manifest without its bytes; `size` is their number."""

    id: int
    digest: str
    media_type: str
    size: int


MANIFEST = (manifests.c.id, manifests.c.digest, manifests.c.media_type, manifests.c.size)


OF_REPOSITORY = (
    select(*MANIFEST)
    .join(repositories, repositories.c.id == manifests.c.repository_id)
    .where(repositories.c.name == bindparam("repository"))
)
FIND_BY_DIGEST = Statement(OF_REPOSITORY.where(manifests.c.digest == bindparam("digest")))
# Through the tag alone: what it points to is in its repository, and nobody is led to read all that is there.
FIND_BY_TAG = Statement(
    select(*MANIFEST)
    .join(tags, tags.c.manifest_id == manifests.c.id)
    .join(repositories, repositories.c.id == tags.c.repository_id)
    .where(repositories.c.name == bindparam("repository"), tags.c.name == bindparam("tag"))
)

BODY = Statement(select(manifests.c.body).where(manifests.c.id == bindparam("manifest_id")))

# Not by a join, nor by EXISTS, of which PostgreSQL makes one: either database may begin with all links of the
# repository, which are a hundred thousand in a huge one. PostgreSQL plans for one of middle size.
SIZES_OF_BLOBS = select(blobs.c.digest, blobs.c.id, blobs.c.size).where(
    blobs.c.digest.in_(bindparam("digests", expanding=True)),
    blobs.c.quarantined_at.is_(None),
    select(repository_blobs.c.blob_id)
    .where(
        repository_blobs.c.repository_id == bindparam("repository_id"),
        repository_blobs.c.blob_id == blobs.c.id,
    )
    .scalar_subquery()
    .is_not(None),
)

# Locked against deletion only: an index that is pushed keeps what it lists until it is there itself.
SIZES_OF_MANIFESTS = (
    select(manifests.c.digest, manifests.c.size)
    .where(manifests.c.repository_id == bindparam("repository_id"))
    .where(manifests.c.digest.in_(bindparam("digests", expanding=True)))
    .order_by(manifests.c.id)
    .with_for_update(read=True, key_share=True)
)


def newer(insert: Any, name: str) -> ColumnElement[Any]:
    """A column of what comes, if it was pushed later than what is there."""
    coming = insert.excluded
    return case((coming.pushed_at > manifests.c.pushed_at, coming[name]), else_=manifests.c[name])


# The same bytes may come again with another media type: the newest holds. Bytes that were damaged are healed.
RECORD = Statement(
    lambda insert: (
        insert(manifests)
        .values(missing_recorded=True)
        .on_conflict_do_update(
            index_elements=[manifests.c.repository_id, manifests.c.digest],
            set_={
                "missing_recorded": True,
                "media_type": insert(manifests).excluded.media_type,
                "size": insert(manifests).excluded.size,
                "body": insert(manifests).excluded.body,
                "pushed_at": newer(insert(manifests), "pushed_at"),
                "pushed_by": newer(insert(manifests), "pushed_by"),
            },
        )
        .returning(manifests.c.id)
    )
)


RECORD_BLOB = Statement(lambda insert: insert(manifest_blobs).on_conflict_do_nothing())
RECORD_CHILD = Statement(lambda insert: insert(manifest_children).on_conflict_do_nothing())

EXAMINE_LINKS = Statement(
    update(repository_blobs)
    .where(
        repository_blobs.c.repository_id.in_(
            select(manifests.c.repository_id).where(manifests.c.id == bindparam("manifest_id"))
        ),
        repository_blobs.c.blob_id.in_(
            select(manifest_blobs.c.blob_id).where(manifest_blobs.c.manifest_id == bindparam("manifest_id"))
        ),
    )
    .values(examine_at=bindparam("time"))
)

REMOVE = Statement(delete(manifests).where(manifests.c.id == bindparam("manifest_id")))

NOTE_PULL = Statement(
    update(manifests).where(manifests.c.id == bindparam("manifest_id")).values(pulled_at=bindparam("time"))
)


def find_by_digest(connection: Connection, repository: str, digest: str) -> ManifestRow | None:
    """The manifest with this digest in this repository."""
    row = FIND_BY_DIGEST.first(connection, {"repository": repository, "digest": digest})
    return None if row is None else ManifestRow(*row)


def find_by_tag(connection: Connection, repository: str, tag: str) -> ManifestRow | None:
    """The manifest that a tag of this repository points to."""
    row = FIND_BY_TAG.first(connection, {"repository": repository, "tag": tag})
    return None if row is None else ManifestRow(*row)


def body(connection: Connection, manifest_id: int) -> bytes | None:
    """The bytes as they were pushed."""
    found: bytes | None = BODY.scalar(connection, {"manifest_id": manifest_id})
    return found


def sizes_of_blobs(
    connection: Connection, repository_id: int, digests: Iterable[str]
) -> dict[str, tuple[int, int]]:
    """Id and size in bytes of each of these blobs that the repository holds, without quarantined ones."""
    found: dict[str, tuple[int, int]] = {}
    for batch in in_batches(list(digests)):
        values = {"repository_id": repository_id, "digests": batch}
        for digest, blob_id, size in connection.execute(SIZES_OF_BLOBS, values):
            found[digest] = (blob_id, size)
    return found


def sizes_of_manifests(connection: Connection, repository_id: int, digests: Iterable[str]) -> dict[str, int]:
    """Size in bytes of each of these manifests that the repository holds."""
    found: dict[str, int] = {}
    for batch in in_batches(list(digests)):
        values = {"repository_id": repository_id, "digests": batch}
        for digest, size in connection.execute(SIZES_OF_MANIFESTS, values):
            found[digest] = size
    return found


def children(connection: Connection, repository_id: int, digests: Iterable[str]) -> set[str]:
    """What those of these manifests list that the repository holds."""
    found: set[str] = set()
    for batch in in_batches(list(digests)):
        listed = (
            select(manifest_children.c.child_digest)
            .join(manifests, manifests.c.id == manifest_children.c.manifest_id)
            .where(manifests.c.repository_id == repository_id, manifests.c.digest.in_(batch))
        )
        found.update(connection.scalars(listed))
    return found


def in_batches(values: Sequence[Value], size: int = 1000) -> Iterable[Sequence[Value]]:
    """Databases limit the parameters of a statement (SQLite: 32,766)."""
    return (values[start : start + size] for start in range(0, len(values), size))


def record(connection: Connection, values: Mapping[str, object]) -> int:
    """Enter a manifest, given the columns' values, or write them over those of the one that is there; its id.

    When and by whom that one was pushed stays if it was later. What it cites is to be entered, too: see
    `record_edges` and `registry.index.missing`.
    """
    return int(RECORD.scalar(connection, values))


def record_edges(
    connection: Connection,
    manifest_id: int,
    repository_id: int,
    blob_ids: Iterable[int],
    children: Iterable[str],
) -> None:
    """Enter what a manifest needs: blobs of its repository, and the digests that an index lists.

    Idempotent: a sparse manifest that is pushed again may find more of its blobs.
    """
    of_blobs = {"manifest_id": manifest_id, "repository_id": repository_id}
    RECORD_BLOB.run_each(connection, [{**of_blobs, "blob_id": blob_id} for blob_id in sorted(set(blob_ids))])
    of_children = [{"manifest_id": manifest_id, "child_digest": digest} for digest in sorted(set(children))]
    RECORD_CHILD.run_each(connection, of_children)


def remove(
    connection: Connection, manifest_id: int, by: str | None, now: float, *, keep: bool = True
) -> None:
    """Delete a manifest that no tag points to; its edges go with it, and its blobs may be garbage now. Unless
    `keep` is False it can be restored for a while."""
    if keep:
        removed.keep_manifest(connection, manifest_id, by, now)
    journal_notes.removed_manifest(connection, manifest_id, by, now)
    EXAMINE_LINKS.run(connection, {"manifest_id": manifest_id, "time": now})
    REMOVE.run(connection, {"manifest_id": manifest_id})


def note_pulls(connection: Connection, pulls: Mapping[int, float]) -> None:
    """Note when manifests were last pulled."""
    rows = [{"manifest_id": manifest_id, "time": at} for manifest_id, at in sorted(pulls.items())]
    NOTE_PULL.run_each(connection, rows)
