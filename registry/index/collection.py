"""Collection: taking links and blobs that nothing needs any more, in batches.

Only what is marked is looked at (`examine_at`, see docs/architecture.md), so that a collection costs what
there is to take and not what there is. A batch first locks its rows and only then asks whether they are
needed: on PostgreSQL each statement sees what was committed before it began, and whoever makes a row needed
locks it, too. Rows that somebody has locked are left for a later look. SQLite has one writer at a time.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Double,
    Integer,
    bindparam,
    delete,
    exists,
    or_,
    select,
    tuple_,
    union_all,
    update,
)

from registry.index import missing, quotas
from registry.index.blobs import DISCARD
from registry.index.key_rows import as_parameter, is_one_of, key_rows
from registry.index.statements import Statement
from registry.index.tables import (
    blobs,
    discarded,
    manifest_blobs,
    repositories,
    repository_blobs,
)
from registry.index.upkeep_tables import index_copies, removed_manifest_blobs


class Settled(NamedTuple):
    """What became of a batch: `taken` are gone, with `size` bytes; the others are `needed`, or `leased` and
    looked at again when that is over."""

    examined: int = 0
    needed: int = 0
    leased: int = 0
    taken: int = 0
    size: int = 0


class Discarded(NamedTuple):
    """An object to be deleted; `size` in bytes, None where it is not known."""

    since: float
    location: str
    size: int | None


DUE = bindparam("due", type_=Double)
NOW = bindparam("now", type_=Double)
LIMIT = bindparam("limit", type_=Integer)
LINK = (repository_blobs.c.repository_id, repository_blobs.c.blob_id)
LINKS = tuple_(*LINK).in_(key_rows("links", 2))
BLOBS = is_one_of(blobs.c.id, "ids")

# Both rows, in one step and without waiting: a push locks the blob first and the link behind it.
LINKS_DUE = Statement(
    select(*LINK)
    .join(blobs, blobs.c.id == repository_blobs.c.blob_id)
    .where(repository_blobs.c.examine_at <= DUE)
    .order_by(repository_blobs.c.examine_at)
    .limit(LIMIT)
    .with_for_update(skip_locked=True)
)


DUE_SOON = (
    select(repository_blobs.c.repository_id)
    .where(repository_blobs.c.examine_at <= DUE)
    .order_by(repository_blobs.c.examine_at)
    .limit(LIMIT)
    .subquery()
)
HOLDERS_DUE = Statement(
    select(repositories.c.id, repositories.c.name).where(
        repositories.c.id.in_(select(DUE_SOON.c.repository_id))
    )
)


def held_by_manifests(link: Any) -> ColumnElement[bool]:
    """Whether a manifest of its repository needs a link."""
    return exists().where(
        manifest_blobs.c.repository_id == link.c.repository_id, manifest_blobs.c.blob_id == link.c.blob_id
    )


def held_by_removed(link: Any) -> ColumnElement[bool]:
    """Whether a deleted manifest of its repository, one that can be restored, needs a link."""
    return exists().where(
        repositories.c.id == link.c.repository_id,
        removed_manifest_blobs.c.repository_uid == repositories.c.uid,
        removed_manifest_blobs.c.blob_id == link.c.blob_id,
    )


# A scalar query is run for each row; what is joined, PostgreSQL may begin with all blobs.
LEASE = select(blobs.c.lease_until).where(blobs.c.id == repository_blobs.c.blob_id).scalar_subquery()

KEEP_LINKS = Statement(
    update(repository_blobs)
    .where(LINKS, or_(held_by_manifests(repository_blobs), held_by_removed(repository_blobs)))
    .values(examine_at=None)
    .returning(*LINK)
)

POSTPONE_LINKS = Statement(
    update(repository_blobs).where(LINKS, LEASE > NOW).values(examine_at=LEASE).returning(*LINK)
)

TAKE_LINKS = Statement(delete(repository_blobs).where(LINKS).returning(repository_blobs.c.blob_id))

MARK_BLOBS = Statement(update(blobs).where(BLOBS).values(examine_at=bindparam("mark")))

BLOBS_DUE = Statement(
    select(blobs.c.id)
    .where(blobs.c.examine_at <= DUE)
    .order_by(blobs.c.examine_at)
    .limit(LIMIT)
    .with_for_update(skip_locked=True)
)

KEEP_BLOBS = Statement(
    update(blobs)
    .where(
        BLOBS,
        or_(
            exists().where(repository_blobs.c.blob_id == blobs.c.id),
            exists().where(removed_manifest_blobs.c.blob_id == blobs.c.id),
        ),
    )
    .values(examine_at=None)
    .returning(blobs.c.id)
)

POSTPONE_BLOBS = Statement(
    update(blobs)
    .where(BLOBS, blobs.c.lease_until > NOW)
    .values(examine_at=blobs.c.lease_until)
    .returning(blobs.c.id)
)

TAKE_BLOBS = Statement(delete(blobs).where(BLOBS).returning(blobs.c.location, blobs.c.size))

DISCARDED_BEFORE = Statement(
    select(discarded.c.since, discarded.c.location, discarded.c.size)
    .where(
        discarded.c.since <= bindparam("before", type_=Double),
        discarded.c.since >= bindparam("since", type_=Double),
        or_(
            discarded.c.since > bindparam("since", type_=Double), discarded.c.location > bindparam("location")
        ),
    )
    .order_by(discarded.c.since, discarded.c.location)
    .limit(LIMIT)
)

SOMETHING = Statement(select(or_(exists(select(blobs.c.id)), exists(select(discarded.c.location)))))

KNOWN = Statement(
    union_all(
        select(blobs.c.location).where(blobs.c.location == bindparam("wanted")),
        select(discarded.c.location).where(discarded.c.location == bindparam("wanted")),
        select(index_copies.c.location).where(index_copies.c.location == bindparam("wanted")),
    )
)

POSTPONE_BYTES = Statement(
    update(discarded).where(discarded.c.location == bindparam("wanted")).values(since=bindparam("time"))
)

FORGET = Statement(delete(discarded).where(discarded.c.location == bindparam("wanted")))


def settle_links(connection: Connection, due: float, now: float, limit: int) -> Settled:
    """Look at up to `limit` links that were to be examined by `due`: take those that no manifest needs, and
    mark their blobs to be examined then, too.

    Nothing examined: there are no more, but for locked ones; or there are manifests of which it is not known
    what they cite, since they were restored or the version before entered them, so any link may be needed.
    """
    holders: dict[int, str] = dict(HOLDERS_DUE.all(connection, {"due": due, "limit": limit}))
    quotas.lock_of_repositories(connection, holders.values())
    # What fell due since is for the next batch: the quotas of its repository are not locked.
    found = {link for link in LINKS_DUE.all(connection, {"due": due, "limit": limit}) if link[0] in holders}
    if not found or missing.incomplete(connection, limit=1):
        return Settled()
    missing.hold_what_came(connection, found)
    needed = set(KEEP_LINKS.all(connection, {"links": as_parameter(found)}))
    left = found - needed
    leased = set(POSTPONE_LINKS.all(connection, {"links": as_parameter(left), "now": now}))
    taken = TAKE_LINKS.all(connection, {"links": as_parameter(left - leased)})
    MARK_BLOBS.run(connection, {"ids": as_parameter(id for (id,) in taken), "mark": due})
    return Settled(len(found), len(needed), len(leased), len(taken))


def settle_blobs(connection: Connection, due: float, now: float, limit: int) -> Settled:
    """Look at up to `limit` blobs that were to be examined by `due`: take those that no repository may read
    and no deleted manifest needs, and discard their bytes. Nothing examined: there are no more, but for
    locked ones."""
    found = {id for (id,) in BLOBS_DUE.all(connection, {"due": due, "limit": limit})}
    if not found:
        return Settled()
    needed = {id for (id,) in KEEP_BLOBS.all(connection, {"ids": as_parameter(found)})}
    left = found - needed
    leased = {id for (id,) in POSTPONE_BLOBS.all(connection, {"ids": as_parameter(left), "now": now})}
    taken = TAKE_BLOBS.all(connection, {"ids": as_parameter(left - leased)})
    rows = [{"location": location, "size": size, "since": now} for location, size in taken]
    DISCARD.run_each(connection, rows)
    return Settled(len(found), len(needed), len(leased), len(taken), sum(size for _, size in taken))


def discarded_before(
    connection: Connection, before: float, after: tuple[float, str], limit: int
) -> Sequence[Discarded]:
    """Up to `limit` locations that were discarded by then, those behind `after`, a time and a location."""
    since, location = after
    values = {"before": before, "since": since, "location": location, "limit": limit}
    return [Discarded(*row) for row in DISCARDED_BEFORE.all(connection, values)]


def postpone(connection: Connection, locations: Iterable[str], now: float) -> None:
    """Have discarded locations wait as if they were discarded now, behind all others."""
    POSTPONE_BYTES.run_each(connection, [{"wanted": location, "time": now} for location in locations])


def forget(connection: Connection, locations: Iterable[str]) -> None:
    """Remove discarded locations whose bytes are gone."""
    FORGET.run_each(connection, [{"wanted": location} for location in locations])


def knows_nothing(connection: Connection) -> bool:
    """Whether there is neither a blob nor anything discarded."""
    return not SOMETHING.scalar(connection, {})


def knows(connection: Connection, location: str) -> bool:
    """Whether a location is one of the index's."""
    return KNOWN.first(connection, {"wanted": location}) is not None
