"""Blobs: which bytes exist, where, and which repository may read them."""

from typing import NamedTuple

from sqlalchemy import Connection, delete, exists, select, update

from registry.index.statements import insert
from registry.index.tables import blobs, manifest_blobs, repositories, repository_blobs
from registry.oci.errors import StillReferenced


class BlobRow(NamedTuple):
    """A blob: `size` in bytes, `location` as its driver knows it, leased until a time."""

    id: int
    digest: str
    size: int
    location: str
    lease_until: float


BLOB = (blobs.c.id, blobs.c.digest, blobs.c.size, blobs.c.location, blobs.c.lease_until)


def find(connection: Connection, repository: str, digest: str) -> BlobRow | None:
    """A blob of this repository."""
    statement = (
        select(*BLOB)
        .join(repository_blobs, repository_blobs.c.blob_id == blobs.c.id)
        .join(repositories, repositories.c.id == repository_blobs.c.repository_id)
        .where(repositories.c.name == repository, blobs.c.digest == digest)
    )
    row = connection.execute(statement).first()
    return None if row is None else BlobRow(*row)


def find_shared(connection: Connection, digest: str) -> BlobRow | None:
    """A blob that some repository may read."""
    somewhere = exists().where(repository_blobs.c.blob_id == blobs.c.id)
    row = connection.execute(select(*BLOB).where(blobs.c.digest == digest, somewhere)).first()
    return None if row is None else BlobRow(*row)


def find_anywhere(connection: Connection, digest: str) -> BlobRow | None:
    """A blob of any repository: not for the eyes of a client without a check of its own."""
    row = connection.execute(select(*BLOB).where(blobs.c.digest == digest)).first()
    return None if row is None else BlobRow(*row)


def extend_lease(connection: Connection, digest: str, until: float) -> bool:
    """Promise a blob until then. False: it is not there any more. A lease never gets shorter."""
    statement = update(blobs).where(blobs.c.digest == digest, blobs.c.lease_until < until)
    if connection.execute(statement.values(lease_until=until)).rowcount:
        return True
    return find_anywhere(connection, digest) is not None


def link(connection: Connection, repository_id: int, blob_id: int, now: float) -> None:
    """Let a repository read a blob. Idempotent."""
    values = {"repository_id": repository_id, "blob_id": blob_id, "created_at": now}
    connection.execute(insert(connection, repository_blobs).values(values).on_conflict_do_nothing())


def record(
    connection: Connection, digest: str, size: int, location: str, lease_until: float, now: float
) -> BlobRow:
    """Enter durable bytes under their digest.

    Where the digest has bytes already, those are returned, and the caller's location is surplus.
    """
    values = {
        "digest": digest,
        "size": size,
        "location": location,
        "lease_until": lease_until,
        "created_at": now,
    }
    statement = insert(connection, blobs).values(values)
    # The update makes the conflicting row ours for the rest of the transaction, and leases it.
    row = connection.execute(
        statement.on_conflict_do_update(
            index_elements=[blobs.c.digest], set_={"lease_until": statement.excluded.lease_until}
        ).returning(*BLOB)
    ).one()
    return BlobRow(*row)


def unlink(connection: Connection, repository: str, digest: str) -> bool:
    """Take a blob out of a repository; False if it was not there.

    Raises StillReferenced when a manifest of the repository needs it. Its bytes stay for others, or for
    the collector.
    """
    row = find(connection, repository, digest)
    if row is None:
        return False
    repository_id = select(repositories.c.id).where(repositories.c.name == repository).scalar_subquery()
    here = (manifest_blobs.c.repository_id == repository_id) & (manifest_blobs.c.blob_id == row.id)
    if connection.execute(select(exists().where(here))).scalar():
        raise StillReferenced(
            f"a manifest of {repository} needs the blob {digest}: delete the manifest first",
            {"digest": digest},
        )
    statement = delete(repository_blobs).where(
        repository_blobs.c.repository_id == repository_id, repository_blobs.c.blob_id == row.id
    )
    return connection.execute(statement).rowcount > 0
