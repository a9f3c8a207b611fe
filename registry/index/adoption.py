"""What an adoption asks and does in the index: it adds what another registry has, and undoes nothing."""

from typing import Any

from sqlalchemy import BigInteger, Connection, Double, String, bindparam, exists, select

from registry.index.blobs import BlobRow, extend_lease, record
from registry.index.statements import Statement
from registry.index.tables import blobs, discarded, manifests, repositories, tag_history, tags
from registry.index.tags import record_history
from registry.index.upkeep_tables import removed_manifests

DIGESTS = Statement(
    select(manifests.c.digest)
    .join(repositories, repositories.c.id == manifests.c.repository_id)
    .where(repositories.c.name == bindparam("repository"))
)

REMOVED = Statement(
    select(removed_manifests.c.digest, removed_manifests.c.removed_at)
    .where(removed_manifests.c.repository == bindparam("repository"))
    .order_by(removed_manifests.c.removed_at)
)

IS_HERE = Statement(
    select(blobs.c.id).where(blobs.c.digest == bindparam("digest"), blobs.c.quarantined_at.is_(None))
)

FIND = Statement(
    select(blobs.c.id, blobs.c.digest, blobs.c.size, blobs.c.location, blobs.c.lease_until).where(
        blobs.c.digest == bindparam("digest")
    )
)

IS_DISCARDED = Statement(select(discarded.c.since).where(discarded.c.location == bindparam("location")))

# A tag that was moved later stays, and so does one that was deleted later: its history tells. What was taken
# over from this very link is not taken over again, whatever the clock of the old registry said.
IN_HISTORY = (
    tag_history.c.repository_id == bindparam("repository_id"),
    tag_history.c.name == bindparam("name"),
    (tag_history.c.at > bindparam("time"))
    | ((tag_history.c.at == bindparam("time")) & (tag_history.c.digest == bindparam("digest"))),
)
NEWER = exists().where(*IN_HISTORY)
POINTED = select(
    bindparam("repository_id", type_=BigInteger),
    bindparam("name", type_=String),
    bindparam("manifest_id", type_=BigInteger),
    bindparam("time", type_=Double),
).where(~NEWER)


def _point(insert: Any) -> Any:
    coming = insert(tags).from_select(["repository_id", "name", "manifest_id", "updated_at"], POINTED)
    return coming.on_conflict_do_update(
        index_elements=[tags.c.repository_id, tags.c.name],
        set_={"manifest_id": coming.excluded.manifest_id, "updated_at": coming.excluded.updated_at},
        where=(tags.c.updated_at <= coming.excluded.updated_at)
        & (tags.c.manifest_id != coming.excluded.manifest_id),
    )


POINT = Statement(_point)

CHANGED_AFTER = Statement(
    select(tag_history.c.id)
    .where(*IN_HISTORY)
    .union_all(
        select(tags.c.manifest_id).where(
            tags.c.repository_id == bindparam("repository_id"),
            tags.c.name == bindparam("name"),
            tags.c.updated_at > bindparam("time"),
        )
    )
    .limit(1)
)


def digests(connection: Connection, repository: str) -> set[str]:
    """Those of all manifests of a repository."""
    return {digest for (digest,) in DIGESTS.all(connection, {"repository": repository})}


def removed(connection: Connection, repository: str) -> dict[str, float]:
    """The manifests that were deleted here and may still be restored, and when they were."""
    return dict(REMOVED.all(connection, {"repository": repository}))


def is_here(connection: Connection, digest: str) -> bool:
    """Whether there is such a blob, in any repository, that is not quarantined."""
    return IS_HERE.scalar(connection, {"digest": digest}) is not None


def is_discarded(connection: Connection, location: str) -> bool:
    """Whether an object is about to be deleted."""
    return IS_DISCARDED.scalar(connection, {"location": location}) is not None


def hold(connection: Connection, digest: str, lease_until: float) -> BlobRow | None:
    """Lease a blob that is here; None when it is gone."""
    if not extend_lease(connection, digest, lease_until):
        return None
    row = FIND.first(connection, {"digest": digest})
    return None if row is None else BlobRow(*row)


def enter(
    connection: Connection, digest: str, size: int, location: str, lease_until: float, now: float
) -> BlobRow | None:
    """Enter an object of another registry as a blob, unless the digest has bytes here already. None when the
    object is about to be deleted.

    An adopted location can come again, which one of our own can't. So it is asked last: whoever discards it
    has the row of its blob until he is done.
    """
    row = record(connection, digest, size, location, lease_until, now)
    return None if row.location == location and is_discarded(connection, location) else row


def changed_after(connection: Connection, repository_id: int, tag: str, digest: str, at: float) -> bool:
    """Whether a tag was moved, deleted or pushed again here later than somebody pointed it to the digest at
    that time, elsewhere."""
    values = {"repository_id": repository_id, "name": tag, "digest": digest, "time": at}
    return CHANGED_AFTER.first(connection, values) is not None


def point(
    connection: Connection,
    repository_id: int,
    tag: str,
    manifest_id: int,
    digest: str,
    by: str | None,
    at: float,
) -> bool:
    """Point a tag as it was pointed at the time `at`. False: it was moved or deleted here later, or points
    there already."""
    values = {
        "repository_id": repository_id, "name": tag, "manifest_id": manifest_id, "digest": digest, "time": at
    }  # fmt: skip
    if not POINT.run(connection, values):
        return False
    record_history(connection, repository_id, [tag], digest, by, at)
    return True
