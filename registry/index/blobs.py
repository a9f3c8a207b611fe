"""Blobs: which bytes exist, where, and which repository may read them."""

from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, exists, select, update

from registry.index import repositories as repository_rows
from registry.index.statements import Statement
from registry.index.tables import blobs, discarded, manifest_blobs, repositories, repository_blobs
from registry.oci.errors import StillReferenced


class BlobRow(NamedTuple):
    """A blob: `size` in bytes, `location` as its driver knows it, leased until a time."""

    id: int
    digest: str
    size: int
    location: str
    lease_until: float


BLOB = (blobs.c.id, blobs.c.digest, blobs.c.size, blobs.c.location, blobs.c.lease_until)

# Not by joins: PostgreSQL may begin with all repositories that hold the blob, and common layers are in
# thousands.
IN_REPOSITORY = select(*BLOB).where(
    blobs.c.digest == bindparam("digest"),
    exists().where(
        repository_blobs.c.repository_id
        == select(repositories.c.id).where(repositories.c.name == bindparam("repository")).scalar_subquery(),
        repository_blobs.c.blob_id == blobs.c.id,
    ),
)
FIND_LINKED = Statement(IN_REPOSITORY)
FIND = Statement(IN_REPOSITORY.where(blobs.c.quarantined_at.is_(None)))

HOLDERS_PAGE = Statement(
    select(repositories.c.id, repositories.c.name, repositories.c.public)
    .join(repository_blobs, repository_blobs.c.repository_id == repositories.c.id)
    .where(
        repository_blobs.c.blob_id
        == select(blobs.c.id).where(blobs.c.digest == bindparam("digest")).scalar_subquery(),
        repository_blobs.c.repository_id > bindparam("after"),
    )
    .order_by(repository_blobs.c.repository_id)
    .limit(bindparam("limit"))
)
HOLDERS_AT_ONCE = 200

EXTEND_LEASE = Statement(
    update(blobs)
    .where(
        blobs.c.digest == bindparam("wanted"),
        blobs.c.lease_until < bindparam("until"),
        blobs.c.quarantined_at.is_(None),
    )
    .values(lease_until=bindparam("until"))
)

IS_THERE = Statement(
    select(blobs.c.id).where(blobs.c.digest == bindparam("digest"), blobs.c.quarantined_at.is_(None))
)

# A new link is marked from the start: the next collection clears the mark if a manifest needs it by then, and
# else looks again once the blob's lease is over. One that is there keeps its mark.
LINK = Statement(lambda insert: insert(repository_blobs).on_conflict_do_nothing())

# The update makes a row that is there already ours for the rest of the transaction, and leases it.
RECORD = Statement(
    lambda insert: (
        insert(blobs)
        .on_conflict_do_update(
            index_elements=[blobs.c.digest], set_={"lease_until": insert(blobs).excluded.lease_until}
        )
        .returning(*BLOB, blobs.c.quarantined_at)
    )
)

DISCARD = Statement(lambda insert: insert(discarded).on_conflict_do_nothing())

HEAL = Statement(
    update(blobs)
    .where(blobs.c.id == bindparam("wanted"))
    .values(location=bindparam("healthy"), size=bindparam("true_size"), quarantined_at=None)
)

IS_NEEDED = Statement(
    select(manifest_blobs.c.manifest_id)
    .where(
        manifest_blobs.c.repository_id == bindparam("repository_id"),
        manifest_blobs.c.blob_id == bindparam("blob_id"),
    )
    .limit(1)
)

EXAMINE = Statement(
    update(blobs).where(blobs.c.id == bindparam("wanted")).values(examine_at=bindparam("time"))
)

UNLINK = Statement(
    delete(repository_blobs).where(
        repository_blobs.c.repository_id == bindparam("repository_id"),
        repository_blobs.c.blob_id == bindparam("blob_id"),
    )
)


def find(connection: Connection, repository: str, digest: str) -> BlobRow | None:
    """A blob of this repository, unless it is quarantined: such a one counts as not there."""
    row = FIND.first(connection, {"repository": repository, "digest": digest})
    return None if row is None else BlobRow(*row)


def holders(connection: Connection, digest: str) -> Iterator[tuple[str, bool]]:
    """The repositories that may read a blob: name, and whether it is public. Read as they are asked for:
    a common layer may be in all of them."""
    after = 0
    while True:
        values = {"digest": digest, "after": after, "limit": HOLDERS_AT_ONCE}
        rows = HOLDERS_PAGE.all(connection, values)
        for _, name, public in rows:
            yield name, bool(public)
        if len(rows) < HOLDERS_AT_ONCE:
            return
        after = rows[-1][0]


def extend_lease(connection: Connection, digest: str, until: float) -> bool:
    """Promise a blob until then. False: it is not there any more. A lease never gets shorter."""
    if EXTEND_LEASE.run(connection, {"wanted": digest, "until": until}):
        return True
    return IS_THERE.scalar(connection, {"digest": digest}) is not None


def promise(connection: Connection, repository: str, digest: str, until: float) -> bool:
    """Promise a blob of a repository until then. False: it is not there any more."""
    # In this order: with the lease comes the lock that the collector holds while it takes a link.
    return extend_lease(connection, digest, until) and find(connection, repository, digest) is not None


def link(connection: Connection, repository_id: int, blob_id: int, now: float) -> None:
    """Let a repository read a blob. Idempotent."""
    values = {"repository_id": repository_id, "blob_id": blob_id, "created_at": now, "examine_at": now}
    LINK.run(connection, values)


def record(
    connection: Connection, digest: str, size: int, location: str, lease_until: float, now: float
) -> BlobRow:
    """Enter durable bytes under their digest.

    Where the digest has bytes already, those are returned, and the caller's location is surplus. Those that
    are quarantined are discarded, and the caller's take their place.
    """
    values = {
        "digest": digest,
        "size": size,
        "location": location,
        "lease_until": lease_until,
        "created_at": now,
        "examine_at": None,  # whoever takes the last link away says when to look
    }
    found = RECORD.first(connection, values)
    assert found is not None
    *columns, quarantined_at = found
    row = BlobRow(*columns)
    if quarantined_at is None:
        return row
    if row.location != location:
        DISCARD.run(connection, {"location": row.location, "since": now, "size": row.size})
    HEAL.run(connection, {"wanted": row.id, "healthy": location, "true_size": size})
    return row._replace(location=location, size=size)


def unlink(connection: Connection, repository: str, digest: str, now: float) -> bool:
    """Take a blob out of a repository; False if it was not there.

    Raises StillReferenced when a manifest of the repository needs it. Its bytes stay for others, or for
    the collector.
    """
    found = FIND_LINKED.first(connection, {"repository": repository, "digest": digest})
    if found is None:
        return False
    row = BlobRow(*found)
    link_key = {"repository_id": repository_rows.find(connection, repository), "blob_id": row.id}
    if IS_NEEDED.scalar(connection, link_key) is not None:
        raise StillReferenced(
            f"a manifest of {repository} needs the blob {digest}: delete the manifest first",
            {"digest": digest},
        )
    EXAMINE.run(connection, {"wanted": row.id, "time": now})
    return UNLINK.run(connection, link_key) > 0
