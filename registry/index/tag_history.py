"""The history of tags: where each pointed, since when, and by whom; and whether that is still to be had."""

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from sqlalchemy import Connection, Double, Select, and_, bindparam, select, tuple_

from registry.index.statements import Statement
from registry.index.tables import manifests, repositories, tag_history
from registry.index.upkeep_tables import removed_manifests


class HistoryRow(NamedTuple):
    """From `at` on the tag pointed to `digest`, None: it was deleted then. `by` is a principal as text.

    `is_here`: the repository has this manifest. If it was deleted and is kept, that was at `removed_at`.
    """

    id: int
    digest: str | None
    at: float
    by: str | None
    is_here: bool
    removed_at: float | None


OF_TAG = (tag_history.c.repository_id == bindparam("of_repository")) & (
    tag_history.c.name == bindparam("tag")
)
# Clocks of several processes differ, and in the same moment only the number tells what came last.
NEWEST_FIRST = (tag_history.c.at.desc(), tag_history.c.id.desc())

ENTRIES: Select[tuple[object, ...]] = (
    select(
        tag_history.c.id,
        tag_history.c.digest,
        tag_history.c.at,
        tag_history.c.by,
        manifests.c.id.is_not(None),
        removed_manifests.c.removed_at,
    )
    .join(repositories, repositories.c.id == tag_history.c.repository_id)
    .outerjoin(
        manifests,
        and_(
            manifests.c.repository_id == tag_history.c.repository_id,
            manifests.c.digest == tag_history.c.digest,
        ),
    )
    .outerjoin(
        removed_manifests,
        and_(
            removed_manifests.c.repository_uid == repositories.c.uid,
            removed_manifests.c.digest == tag_history.c.digest,
        ),
    )
    .where(OF_TAG)
    .order_by(*NEWEST_FIRST)
    .limit(bindparam("limit"))
)
PAGE = Statement(ENTRIES)
BEFORE = select(tag_history.c.at, tag_history.c.id).where(OF_TAG, tag_history.c.id == bindparam("last"))
PAGE_BEFORE = Statement(ENTRIES.where(tuple_(tag_history.c.at, tag_history.c.id) < BEFORE.scalar_subquery()))

AT = Statement(
    select(tag_history.c.digest)
    .where(OF_TAG, tag_history.c.at <= bindparam("moment", type_=Double))
    .order_by(*NEWEST_FIRST)
    .limit(1)
)

GONE_AT = Statement(
    select(tag_history.c.name)
    .where(
        tag_history.c.repository_id == bindparam("of_repository"),
        tag_history.c.at == bindparam("moment", type_=Double),
        tag_history.c.digest.is_(None),
    )
    .order_by(tag_history.c.name)
)

BEFORE_IT_WENT = Statement(
    select(tag_history.c.digest)
    .where(OF_TAG, tag_history.c.at <= bindparam("moment", type_=Double), tag_history.c.digest.is_not(None))
    .order_by(*NEWEST_FIRST)
    .limit(1)
)

BETWEEN = Statement(
    select(tag_history.c.name, tag_history.c.digest, tag_history.c.at)
    .where(
        tag_history.c.repository_id == bindparam("of_repository"),
        tag_history.c.name >= bindparam("first"),
        tag_history.c.name < bindparam("end"),
    )
    .order_by(tag_history.c.name, *NEWEST_FIRST)
)


def page(
    connection: Connection, repository_id: int, tag: str, last: int | None, limit: int
) -> Sequence[HistoryRow]:
    """At most `limit` entries, the newest first, older than the one with the id `last`."""
    values: dict[str, object] = {"of_repository": repository_id, "tag": tag, "limit": limit}
    rows = (
        PAGE.all(connection, values)
        if last is None
        else PAGE_BEFORE.all(connection, {**values, "last": last})
    )
    return [
        HistoryRow(id, digest, at, by, bool(is_here), removed_at)
        for id, digest, at, by, is_here, removed_at in rows
    ]


def digest_at(connection: Connection, repository_id: int, tag: str, at: float) -> str | None:
    """Where a tag pointed at a time; None: nowhere."""
    found: str | None = AT.scalar(connection, {"of_repository": repository_id, "tag": tag, "moment": at})
    return found


def gone_with(connection: Connection, repository_id: int, digest: str, at: float) -> Sequence[str]:
    """The tags that were deleted at that moment and had pointed to this digest."""
    moment = {"of_repository": repository_id, "moment": at}
    names = [name for (name,) in GONE_AT.all(connection, moment)]
    return [name for name in names if BEFORE_IT_WENT.scalar(connection, {**moment, "tag": name}) == digest]


def attached_and_gone(
    connection: Connection, repository_id: int, subject: str, since: float
) -> Sequence[tuple[str, str]]:
    """The tags that attached something to a digest by their names, like `sha256-<hex>.sig`, and were deleted
    `since` then; each with the digest that it had pointed to."""
    first = subject.replace(":", "-")
    values = {"of_repository": repository_id, "first": first, "end": f"{first}/"}  # behind the dot
    found = []
    for name, entries in groupby(BETWEEN.all(connection, values), key=lambda row: row[0]):
        if name != first and not name.startswith(f"{first}."):
            continue
        (_, now, at), *older = entries
        before = next((digest for _, digest, _ in older if digest is not None), None)
        if now is None and at >= since and before is not None:
            found.append((name, before))
    return found
