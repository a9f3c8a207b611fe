"""What the scrub asks of the index: rows to compare with the storage, and marks that are missing."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, bindparam, exists, func, select, union, union_all, update

from registry.index import blobs as blob_rows
from registry.index.blobs import BLOB, BlobRow
from registry.index.manifests import BODY
from registry.index.statements import Statement
from registry.index.tables import (
    blobs,
    manifest_blobs,
    manifests,
    metadata,
    repositories,
    repository_blobs,
    uploads,
)
from registry.index.upkeep_tables import missing_blobs, removed_manifest_blobs


class ManifestToCheck(NamedTuple):
    """A manifest without its bytes."""

    id: int
    repository: str
    digest: str


TOTALS = Statement(select(func.count(), func.coalesce(func.sum(blobs.c.size), 0)).select_from(blobs))

PAGE = Statement(
    select(*BLOB, blobs.c.quarantined_at)
    .where(blobs.c.id > bindparam("after"))
    .order_by(blobs.c.id)
    .limit(bindparam("limit"))
)

MANIFESTS = Statement(
    select(manifests.c.id, repositories.c.name, manifests.c.digest)
    .join(repositories, repositories.c.id == manifests.c.repository_id)
    .where(manifests.c.id > bindparam("after"))
    .order_by(manifests.c.id)
    .limit(bindparam("limit"))
)

KNOWING = [table for table in metadata.sorted_tables if "location" in table.c]
"""Every table with locations of objects: what any of them has is not unknown."""

KNOWN = union_all(
    *(
        select(table.c.location).where(table.c.location.in_(bindparam("locations", expanding=True)))
        for table in KNOWING
    )
)

OLDEST_UPLOAD = Statement(select(func.min(uploads.c.created_at)).where(uploads.c.finished.is_(None)))

NEXT_BLOB = (
    select(blobs.c.id).where(blobs.c.id > bindparam("after")).order_by(blobs.c.id).limit(bindparam("limit"))
)
END_OF_RANGE = Statement(select(func.max(NEXT_BLOB.subquery().c.id)))


def in_range(column: ColumnElement[int]) -> tuple[ColumnElement[bool], ...]:
    return column > bindparam("low"), column <= bindparam("high")


LINKS = (
    *in_range(repository_blobs.c.blob_id),
    repository_blobs.c.examine_at.is_(None),
    ~exists().where(
        manifest_blobs.c.repository_id == repository_blobs.c.repository_id,
        manifest_blobs.c.blob_id == repository_blobs.c.blob_id,
    ),
    ~exists().where(
        removed_manifest_blobs.c.blob_id == repository_blobs.c.blob_id,
        removed_manifest_blobs.c.repository_uid == repositories.c.uid,
        repositories.c.id == repository_blobs.c.repository_id,
    ),
    ~exists().where(
        missing_blobs.c.repository_id == repository_blobs.c.repository_id,
        missing_blobs.c.digest == blobs.c.digest,
        blobs.c.id == repository_blobs.c.blob_id,
    ),
)
BLOBS = (
    *in_range(blobs.c.id),
    blobs.c.examine_at.is_(None),
    ~exists().where(repository_blobs.c.blob_id == blobs.c.id),
    ~exists().where(removed_manifest_blobs.c.blob_id == blobs.c.id),
)
FIND = Statement(
    union(
        select(repository_blobs.c.blob_id.label("id")).where(*LINKS), select(blobs.c.id).where(*BLOBS)
    ).order_by("id")
)
MARK_LINKS = Statement(update(repository_blobs).where(*LINKS).values(examine_at=bindparam("time")))
MARK_BLOBS = Statement(update(blobs).where(*BLOBS).values(examine_at=bindparam("time")))


def totals(connection: Connection) -> tuple[int, int]:
    """The number of all blobs, and of their bytes. Reads the whole table."""
    row = TOTALS.first(connection, {})
    assert row is not None
    return int(row[0]), int(row[1])


def page(connection: Connection, after: int, limit: int) -> Sequence[tuple[BlobRow, bool]]:
    """At most `limit` blobs after an id, each with whether it is in quarantine."""
    rows = PAGE.all(connection, {"after": after, "limit": limit})
    return [(BlobRow(*columns), quarantined_at is not None) for *columns, quarantined_at in rows]


def manifests_after(connection: Connection, after: int, limit: int) -> Sequence[ManifestToCheck]:
    """At most `limit` manifests after an id."""
    return [ManifestToCheck(*row) for row in MANIFESTS.all(connection, {"after": after, "limit": limit})]


def body(connection: Connection, manifest_id: int) -> bytes | None:
    """The bytes of a manifest, None if it is gone."""
    found: bytes | None = BODY.scalar(connection, {"manifest_id": manifest_id})
    return found


def unknown(connection: Connection, locations: Sequence[str]) -> set[str]:
    """Those of these locations that no row knows."""
    return set(locations) - set(connection.execute(KNOWN, {"locations": locations}).scalars())


def oldest_upload(connection: Connection) -> float | None:
    """When the oldest session began that has not ended; None without any."""
    found: float | None = OLDEST_UPLOAD.scalar(connection, {})
    return found


def discard(connection: Connection, location: str, size: int, now: float) -> None:
    """Have the collector delete an object."""
    blob_rows.DISCARD.run(connection, {"location": location, "since": now, "size": size})


def unmarked(connection: Connection, after: int, limit: int) -> tuple[int | None, list[int]]:
    """Look at `limit` blobs after an id, and at their links. Returns the last of these ids (None: there are
    none), and those of blobs that should get a mark, or with a link that should: nothing holds it.

    Millions of links may be read for that, so it is no part of a transaction that keeps writers waiting.
    """
    last = END_OF_RANGE.scalar(connection, {"after": after, "limit": limit})
    if last is None:
        return None, []
    return int(last), [id for (id,) in FIND.all(connection, {"low": after, "high": last})]


def mark(connection: Connection, ids: Sequence[int], now: float) -> int:
    """Have the collector look at these blobs and at their links, where that is needed still; at how many."""
    count = 0
    for id in ids:
        values = {"low": id - 1, "high": id, "time": now}
        count += MARK_LINKS.run(connection, values) + MARK_BLOBS.run(connection, values)
    return count
