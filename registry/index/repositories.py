"""Repositories: a name, settings, and what hangs on them."""

import json
import secrets
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import (
    Connection,
    bindparam,
    delete,
    func,
    or_,
    select,
    update,
)

from registry.index import access, journal_notes, removed
from registry.index import uploads as upload_rows
from registry.index.ranges import beginning, page_by_name
from registry.index.statements import Row, Statement
from registry.index.tables import blobs, manifests, repositories, repository_blobs, tag_history, tags

MOST_RANGES = 200
"""SQLite limits how deep a condition may be."""


class RepositoryRow(NamedTuple):
    """A repository and its settings. `immutable_tags` are patterns; `updated_at` is when a setting was last
    changed; another repository that gets the same name later has another `uid`."""

    id: int
    name: str
    uid: str
    public: bool
    description: str
    immutable_tags: tuple[str, ...]
    created_at: float
    updated_at: float | None


class RepositoryCounts(NamedTuple):
    """What a repository holds. `bytes` are those of its blobs and manifests."""

    tags: int
    manifests: int
    bytes: int


REPOSITORY = (
    repositories.c.id,
    repositories.c.name,
    repositories.c.uid,
    repositories.c.public,
    repositories.c.description,
    repositories.c.immutable_tags,
    repositories.c.created_at,
    repositories.c.updated_at,
)

FIND = Statement(select(repositories.c.id).where(repositories.c.name == bindparam("name")))

# It holds off no row that refers to the repository, only others that lock it. SQLite has one writer anyway.
LOCK = Statement(
    select(repositories.c.id).where(repositories.c.name == bindparam("name")).with_for_update(key_share=True)
)

DETAILS = Statement(select(*REPOSITORY).where(repositories.c.name == bindparam("name")))

CREATE = Statement(lambda insert: insert(repositories).on_conflict_do_nothing().returning(repositories.c.id))


def find(connection: Connection, name: str) -> int | None:
    """The id of a repository."""
    found: int | None = FIND.scalar(connection, {"name": name})
    return found


def lock(connection: Connection, name: str) -> None:
    """Have whoever locks the same repository wait for the end of this transaction."""
    LOCK.scalar(connection, {"name": name})


def details(connection: Connection, name: str) -> RepositoryRow | None:
    """A repository with its settings."""
    row = DETAILS.first(connection, {"name": name})
    return None if row is None else repository_row(row)


def repository_row(row: Row) -> RepositoryRow:
    values = RepositoryRow(*row)
    patterns = tuple(json.loads(str(row[5])))
    return values._replace(public=bool(values.public), immutable_tags=patterns)


def ensure(connection: Connection, name: str, now: float) -> int:
    """The id of a repository that is there from now on."""
    found = find(connection, name)
    if found is None:
        values = {"name": name, "created_at": now, "uid": secrets.token_hex(8)}
        found = CREATE.scalar(connection, values)
    if found is None:  # somebody else created it in between
        found = find(connection, name)
    assert found is not None
    return found


def page_visible(
    connection: Connection,
    last: str | None,
    limit: int,
    prefixes: Sequence[str] | None,
    search: str | None = None,
) -> Sequence[RepositoryRow]:
    """At most `limit` repositories after the name `last`, in byte order; those with `search` in their names.

    With `prefixes`, none but public ones and those whose names begin with one of these: candidates, among
    which the caller chooses. Of very many prefixes nothing is made, and all are candidates.
    """
    statement = page_by_name(select(*REPOSITORY), repositories.c.name, last, limit, search)
    if prefixes is not None and "" not in prefixes and len(prefixes) <= MOST_RANGES:
        ranges = [beginning(repositories.c.name, prefix) for prefix in prefixes]
        statement = statement.where(or_(repositories.c.public.is_(True), *ranges))
    return [repository_row(tuple(row)) for row in connection.execute(statement)]


def configure(connection: Connection, id: int, values: Mapping[str, object]) -> bool:
    """Set some of `public`, `description`, `immutable_tags` (patterns), `updated_at`. False: it is gone."""
    stored = dict(values)
    if "immutable_tags" in stored:
        stored["immutable_tags"] = json.dumps(stored["immutable_tags"])
    strange = stored.keys() - {"public", "description", "immutable_tags", "updated_at"}
    if strange or not stored:
        raise ValueError(f"a repository has no such settings: {sorted(strange)}")
    stored["journaled"] = False
    changed = connection.execute(update(repositories).where(repositories.c.id == id).values(stored)).rowcount
    return access.changed(connection, changed)


def counts(connection: Connection, id: int) -> RepositoryCounts:
    """What a repository holds."""
    of_tags = select(func.count()).where(tags.c.repository_id == id)
    of_manifests = select(func.count(), func.coalesce(func.sum(manifests.c.size), 0)).where(
        manifests.c.repository_id == id
    )
    of_blobs = (
        select(func.coalesce(func.sum(blobs.c.size), 0))
        .join(repository_blobs, repository_blobs.c.blob_id == blobs.c.id)
        .where(repository_blobs.c.repository_id == id)
    )
    number, size = connection.execute(of_manifests).one()
    blob_bytes = connection.execute(of_blobs).scalar_one()
    return RepositoryCounts(connection.execute(of_tags).scalar_one(), number, int(size + blob_bytes))


def remove(connection: Connection, id: int, by: str | None, now: float, *, keep: bool = True) -> bool:
    """Delete a repository with its tags, their history, its manifests, links to blobs and uploads. False: it
    was gone. Unless `keep` is False it can be restored for a while, but for the uploads. The bytes of blobs
    stay for the collector; those of uploads go when these expire: now."""
    # Who pushes to it waits for the end of this, and then makes it anew.
    locked = select(repositories.c.name).where(repositories.c.id == id).with_for_update()
    name = connection.execute(locked).scalar()
    if name is None:
        return False
    if keep:
        removed.keep_repository(connection, id, by, now)
    journal_notes.removed_repository(connection, id, by, now)
    held = select(repository_blobs.c.blob_id).where(repository_blobs.c.repository_id == id)
    connection.execute(update(blobs).where(blobs.c.id.in_(held)).values(examine_at=now))
    # In this order: a tag refers to its manifest, and what a manifest needs to a link.
    for table in (tags, tag_history, manifests, repository_blobs):
        connection.execute(delete(table).where(table.c.repository_id == id))
    upload_rows.abandon(connection, name)
    connection.execute(delete(repositories).where(repositories.c.id == id))
    access.bump(connection)
    return True
