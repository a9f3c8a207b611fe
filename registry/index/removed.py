"""What was deleted and can be restored for a while: keeping it, finding it, and ending that.

Rows are copied within the database, so that a repository of any size takes the same few statements.
"""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Double,
    FromClause,
    Select,
    String,
    bindparam,
    delete,
    exists,
    insert,
    null,
    select,
    tuple_,
    update,
)

from registry.index.statements import Statement
from registry.index.tables import (
    blobs,
    manifest_blobs,
    manifest_children,
    manifests,
    repositories,
    repository_blobs,
    tag_history,
    tags,
)
from registry.index.upkeep_tables import (
    missing_blobs,
    removed_manifest_blobs,
    removed_manifest_children,
    removed_manifests,
    removed_repositories,
    removed_tag_history,
    removed_tags,
)


class RemovedManifest(NamedTuple):
    """A manifest that was deleted."""

    id: int
    digest: str
    media_type: str
    pushed_at: float
    removed_at: float


REMOVED = (
    removed_manifests.c.id,
    removed_manifests.c.digest,
    removed_manifests.c.media_type,
    removed_manifests.c.pushed_at,
    removed_manifests.c.removed_at,
)

COPIED = (
    "digest",
    "media_type",
    "artifact_type",
    "size",
    "body",
    "subject",
    "annotations",
    "pushed_by",
    "pushed_at",
    "pulled_at",
)
"""Columns that a manifest has, deleted or not."""

SETTINGS = ("uid", "name", "created_at", "public", "description", "immutable_tags", "updated_at")
"""Columns that a repository has, deleted or not."""

SMALL_ROWS = 10
"""So many rows of a history are deleted in the time of one manifest."""

NOW = bindparam("moment", type_=Double)
BY = bindparam("who", type_=String)

ONE = manifests.c.id == bindparam("one")
ALL = manifests.c.repository_id == bindparam("all_of")

LOCK = Statement(select(manifests.c.id).where(ONE).with_for_update())

AT_HOME = manifests.join(repositories, repositories.c.id == manifests.c.repository_id)
# By the key under which the copy was entered a moment ago.
COPIES = AT_HOME.join(
    removed_manifests,
    (removed_manifests.c.repository_uid == repositories.c.uid)
    & (removed_manifests.c.digest == manifests.c.digest),
)


def _copy_manifests(which: ColumnElement[bool]) -> Statement:
    """One that was deleted, pushed again and deleted again is kept as it was the last time."""
    source = select(
        repositories.c.uid, repositories.c.name, *(manifests.c[name] for name in COPIED), NOW, BY
    ).select_from(AT_HOME)
    names = ("repository_uid", "repository", *COPIED, "removed_at", "removed_by")

    def build(insert: Any) -> Any:
        copying = insert(removed_manifests).from_select(names, source.where(which))
        return copying.on_conflict_do_update(
            index_elements=[removed_manifests.c.repository_uid, removed_manifests.c.digest],
            set_={name: copying.excluded[name] for name in names if name != "repository_uid"},
        )

    return Statement(build)


def _copy_edges(target: Any, source: Select[Any]) -> Statement:
    names = [column.name for column in target.c]
    return Statement(lambda insert: insert(target).from_select(names, source).on_conflict_do_nothing())


def _copying(which: ColumnElement[bool]) -> tuple[Statement, ...]:
    """The statements that keep manifests with all they hold on to."""

    def edges(joined: FromClause, *columns: Any) -> Select[Any]:
        return select(removed_manifests.c.id, *columns).select_from(joined).where(which)

    uid = removed_manifests.c.repository_uid
    needed = COPIES.join(manifest_blobs, manifest_blobs.c.manifest_id == manifests.c.id)
    # What a sparse manifest cites and came after it: nothing else says that it is needed.
    came = COPIES.join(missing_blobs, missing_blobs.c.manifest_id == manifests.c.id).join(
        blobs, blobs.c.digest == missing_blobs.c.digest
    )
    # Not by a join: SQLite would begin with all links of the repository.
    is_linked = exists().where(
        repository_blobs.c.repository_id == manifests.c.repository_id,
        repository_blobs.c.blob_id == blobs.c.id,
    )
    listed = COPIES.join(manifest_children, manifest_children.c.manifest_id == manifests.c.id)
    return (
        _copy_manifests(which),
        _copy_edges(removed_manifest_blobs, edges(needed, uid, manifest_blobs.c.blob_id)),
        _copy_edges(removed_manifest_blobs, edges(came, uid, blobs.c.id).where(is_linked)),
        _copy_edges(removed_manifest_children, edges(listed, manifest_children.c.child_digest)),
    )


COPY_ONE = _copying(ONE)
COPY_ALL = _copying(ALL)

OF_REPOSITORY = repositories.c.id == bindparam("all_of")

COPY_REPOSITORY = Statement(
    insert(removed_repositories).from_select(
        (*SETTINGS, "removed_at", "removed_by"),
        select(*(repositories.c[name] for name in SETTINGS), NOW, BY).where(OF_REPOSITORY),
    )
)

COPY_TAGS = Statement(
    insert(removed_tags).from_select(
        ("repository_uid", "name", "digest", "updated_at"),
        select(repositories.c.uid, tags.c.name, manifests.c.digest, tags.c.updated_at)
        .join(tags, tags.c.repository_id == repositories.c.id)
        .join(manifests, manifests.c.id == tags.c.manifest_id)
        .where(OF_REPOSITORY),
    )
)

HISTORY = ("repository_uid", "name", "digest", "at", "by")

COPY_HISTORY = Statement(
    insert(removed_tag_history).from_select(
        HISTORY,
        select(
            repositories.c.uid, tag_history.c.name, tag_history.c.digest, tag_history.c.at, tag_history.c.by
        )
        .join(tag_history, tag_history.c.repository_id == repositories.c.id)
        .where(OF_REPOSITORY)
        .order_by(tag_history.c.id),
    )
)

END_HISTORY = Statement(
    insert(removed_tag_history).from_select(
        HISTORY,
        select(repositories.c.uid, tags.c.name, null(), NOW, BY)
        .join(tags, tags.c.repository_id == repositories.c.id)
        .where(OF_REPOSITORY)
        .order_by(tags.c.name),
    )
)

FIND = Statement(
    select(*REMOVED, removed_manifests.c.body).where(
        removed_manifests.c.repository_uid == bindparam("of_uid"),
        removed_manifests.c.digest == bindparam("wanted"),
    )
)


def keep_manifest(connection: Connection, manifest_id: int, by: str | None, now: float) -> None:
    """Copy a manifest that is going to be deleted, with what it needs."""
    LOCK.first(connection, {"one": manifest_id})  # or it could get another edge between copy and deletion
    values = {"one": manifest_id}
    COPY_ONE[0].run(connection, {**values, "moment": now, "who": by})
    for copy in COPY_ONE[1:]:
        copy.run(connection, values)


def keep_repository(connection: Connection, repository_id: int, by: str | None, now: float) -> None:
    """Copy a repository that is going to be deleted: settings, tags and their history, manifests.

    Its row must be locked: what is pushed in between would be deleted and not be kept.
    """
    values = {"all_of": repository_id}
    stamped = {**values, "moment": now, "who": by}
    COPY_REPOSITORY.run(connection, stamped)
    COPY_HISTORY.run(connection, values)
    END_HISTORY.run(connection, stamped)
    COPY_TAGS.run(connection, values)
    COPY_ALL[0].run(connection, stamped)
    for copy in COPY_ALL[1:]:
        copy.run(connection, values)


def find(connection: Connection, uid: str, digest: str) -> tuple[RemovedManifest, bytes] | None:
    """A deleted manifest of the repository with this uid, and its bytes."""
    row = FIND.first(connection, {"of_uid": uid, "wanted": digest})
    return None if row is None else (RemovedManifest(*row[:-1]), bytes(row[-1]))


def lock(connection: Connection, uid: str, digests: Collection[str]) -> Sequence[RemovedManifest]:
    """Those of these manifests that are kept. Until the end of this transaction they don't expire."""
    statement = (
        select(*REMOVED)
        .where(removed_manifests.c.repository_uid == uid, removed_manifests.c.digest.in_(digests))
        .order_by(removed_manifests.c.id)
        .with_for_update()
    )
    return [RemovedManifest(*row) for row in connection.execute(statement)]


def referrers(connection: Connection, uid: str, subject: RemovedManifest) -> set[str]:
    """The digests of deleted manifests that refer to a deleted one, and went with it or after it."""
    statement = select(removed_manifests.c.digest).where(
        removed_manifests.c.repository_uid == uid,
        removed_manifests.c.subject == subject.digest,
        removed_manifests.c.removed_at >= subject.removed_at,
    )
    return set(connection.scalars(statement))


def children(connection: Connection, ids: Collection[int]) -> set[str]:
    """What these deleted manifests list."""
    statement = select(removed_manifest_children.c.child_digest).where(
        removed_manifest_children.c.removed_manifest_id.in_(ids)
    )
    return set(connection.scalars(statement))


def damaged(connection: Connection, ids: Collection[int]) -> dict[str, set[str]]:
    """Which of these deleted manifests need blobs that are quarantined: the digests of these by its own."""
    statement = (
        select(removed_manifests.c.digest, blobs.c.digest)
        .join(removed_manifest_blobs, removed_manifest_blobs.c.removed_manifest_id == removed_manifests.c.id)
        .join(blobs, blobs.c.id == removed_manifest_blobs.c.blob_id)
        .where(removed_manifests.c.id.in_(ids), blobs.c.quarantined_at.is_not(None))
    )
    found: dict[str, set[str]] = {}
    for digest, blob in connection.execute(statement):
        found.setdefault(digest, set()).add(blob)
    return found


class Expired(NamedTuple):
    """How many rows were found, and how many manifests and repositories were ended with them."""

    rows: int
    ended: int


def expire(connection: Connection, before: float, limit: int) -> Expired:
    """End what was deleted before a time: a piece of a repository, or at most `limit` manifests. Their blobs,
    and the links to these, are to be examined. No rows: nothing is left.

    A repository goes before its manifests, and can't be restored from the first piece on: it comes back whole
    or not at all.
    """
    oldest = (
        select(removed_repositories.c.uid)
        .where(removed_repositories.c.removed_at < before)
        .order_by(removed_repositories.c.removed_at)
        .limit(1)
    )
    uid = connection.scalar(oldest)
    if uid is not None:
        return _end_repository(connection, uid, limit * SMALL_ROWS)
    oldest_manifests = (
        select(removed_manifests.c.id)
        .where(removed_manifests.c.removed_at < before)
        .order_by(removed_manifests.c.removed_at)
        .limit(limit)
    )
    ids = list(connection.scalars(oldest_manifests))
    if ids:
        _examine(connection, ids, before)
        connection.execute(delete(removed_manifests).where(removed_manifests.c.id.in_(ids)))
    return Expired(len(ids), len(ids))


def _end_repository(connection: Connection, uid: str, limit: int) -> Expired:
    """Delete at most `limit` rows of a repository's history and tags, and at last its own."""
    here = removed_repositories.c.uid == uid
    connection.execute(update(removed_repositories).where(here).values(ending=True))
    for table, key in ((removed_tag_history, "id"), (removed_tags, "name")):
        some = select(table.c[key]).where(table.c.repository_uid == uid).limit(limit)
        ended = connection.execute(
            delete(table).where(table.c.repository_uid == uid, table.c[key].in_(some))
        ).rowcount
        if ended:
            return Expired(ended, 0)
    ended = connection.execute(delete(removed_repositories).where(here)).rowcount
    return Expired(ended, ended)


def _examine(connection: Connection, ids: Sequence[int], at: float) -> None:
    """Mark what deleted manifests hold: links, and blobs that have none."""
    held = removed_manifest_blobs.c.removed_manifest_id.in_(ids)
    links = (
        select(repositories.c.id, removed_manifest_blobs.c.blob_id)
        .join(removed_manifest_blobs, removed_manifest_blobs.c.repository_uid == repositories.c.uid)
        .where(held)
    )
    connection.execute(
        update(repository_blobs)
        .where(tuple_(repository_blobs.c.repository_id, repository_blobs.c.blob_id).in_(links))
        .values(examine_at=at)
    )
    connection.execute(
        update(blobs)
        .where(
            blobs.c.id.in_(select(removed_manifest_blobs.c.blob_id).where(held)),
            ~exists().where(repository_blobs.c.blob_id == blobs.c.id),
        )
        .values(examine_at=at)
    )
