"""What a collection would take now, and why it would leave the rest of what is marked."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Double,
    bindparam,
    case,
    exists,
    func,
    literal,
    or_,
    select,
    union,
)

from registry.index.collection import held_by_manifests, held_by_removed
from registry.index.statements import Statement
from registry.index.tables import blobs, discarded, repository_blobs
from registry.index.upkeep_tables import (
    missing_blobs,
    removed_manifest_blobs,
    removed_manifests,
    removed_repositories,
)

GARBAGE, NEEDED, REMOVED, LEASED = "garbage", "needed", "removed", "leased"
"""What blobs are: needed by nothing; by a manifest; by one that was deleted and can be restored; promised to
somebody until a time."""


class Share(NamedTuple):
    """Marked blobs of one kind; `until` the last of them stays at least, None where it has no end."""

    kind: str
    blobs: int
    bytes: int
    until: float | None


class Waiting(NamedTuple):
    """What there is to do: links and blobs that are marked, deleted manifests and repositories that are kept,
    objects to be deleted with their bytes (as far as known), and when the first of them was discarded."""

    links: int
    blobs: int
    removed: int
    objects: int
    bytes: int
    discarded_since: float | None


NOW = bindparam("now", type_=Double)
BEFORE = bindparam("removed_before", type_=Double)
"""What was deleted before then can't be restored any more."""

OTHER = repository_blobs.alias("other")

STILL_REMOVED = (
    select(func.max(removed_manifests.c.removed_at))
    .join(removed_manifest_blobs, removed_manifest_blobs.c.removed_manifest_id == removed_manifests.c.id)
    .where(removed_manifest_blobs.c.blob_id == blobs.c.id, removed_manifests.c.removed_at >= BEFORE)
    .scalar_subquery()
)


def _waited_for(link: Any) -> ColumnElement[bool]:
    """Whether a sparse manifest cites what came later."""
    return exists().where(
        missing_blobs.c.repository_id == link.c.repository_id, missing_blobs.c.digest == blobs.c.digest
    )


def _may_go(link: Any) -> ColumnElement[bool]:
    """Whether a link is marked, or may be once the deleted manifests that need it are forgotten."""
    return or_(link.c.examine_at.is_not(None), held_by_removed(link))


IS_NEEDED = exists().where(
    OTHER.c.blob_id == blobs.c.id,
    or_(~_may_go(OTHER), held_by_manifests(OTHER), _waited_for(OTHER)),
)

CANDIDATES = union(
    select(blobs.c.id).where(blobs.c.examine_at.is_not(None)),
    select(repository_blobs.c.blob_id).where(repository_blobs.c.examine_at.is_not(None)),
    select(removed_manifest_blobs.c.blob_id),
)

CLASSIFIED = (
    select(
        case(
            (IS_NEEDED, literal(NEEDED)),
            (STILL_REMOVED.is_not(None), literal(REMOVED)),
            (blobs.c.lease_until > NOW, literal(LEASED)),
            else_=literal(GARBAGE),
        ).label("kind"),
        blobs.c.size.label("size"),
        blobs.c.lease_until.label("lease_until"),
        STILL_REMOVED.label("removed_at"),
    )
    .where(blobs.c.id.in_(CANDIDATES))
    .subquery()
)

SHARES = Statement(
    select(
        CLASSIFIED.c.kind,
        func.count(),
        func.coalesce(func.sum(CLASSIFIED.c.size), 0),
        func.max(CLASSIFIED.c.lease_until),
        func.max(CLASSIFIED.c.removed_at),
    )
    .group_by(CLASSIFIED.c.kind)
    .order_by(CLASSIFIED.c.kind)
)

COUNTS = Statement(
    select(
        select(func.count()).where(repository_blobs.c.examine_at.is_not(None)).scalar_subquery(),
        select(func.count()).where(blobs.c.examine_at.is_not(None)).scalar_subquery(),
        select(func.count(removed_manifests.c.id)).scalar_subquery()
        + select(func.count(removed_repositories.c.uid)).scalar_subquery(),
        select(func.count(discarded.c.location)).scalar_subquery(),
        select(func.coalesce(func.sum(discarded.c.size), 0)).scalar_subquery(),
        select(func.min(discarded.c.since)).scalar_subquery(),
    )
)


def shares(
    connection: Connection, now: float, removed_before: float, window_seconds: float
) -> Sequence[Share]:
    """The blobs that a collection would look at, by what becomes of them. What was deleted before
    `removed_before` counts as gone; the rest can be restored for `window_seconds` after its deletion."""
    found = SHARES.all(connection, {"now": now, "removed_before": removed_before})
    return [
        Share(kind, count, int(size), _until(kind, leased_until, removed_at, window_seconds))
        for kind, count, size, leased_until, removed_at in found
    ]


def _until(kind: str, leased_until: float, removed_at: float | None, window_seconds: float) -> float | None:
    if kind == REMOVED and removed_at is not None:
        return removed_at + window_seconds
    return leased_until if kind == LEASED else None


def waiting(connection: Connection) -> Waiting:
    """What there is to do."""
    row = COUNTS.first(connection, {})
    assert row is not None
    links, marked, removed, objects, size, since = row
    return Waiting(links, marked, removed, objects, int(size), since)
