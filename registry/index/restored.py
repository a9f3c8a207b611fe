"""Bringing back what was deleted: `removed` in the other direction, bit for bit."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Double,
    ScalarSelect,
    String,
    cast,
    delete,
    insert,
    literal,
    null,
    select,
    tuple_,
    update,
)

from registry.index import access
from registry.index.removed import COPIED, SETTINGS
from registry.index.statements import upsert
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
    removed_manifest_blobs,
    removed_manifest_children,
    removed_manifests,
    removed_repositories,
    removed_tag_history,
    removed_tags,
)


class RemovedRepository(NamedTuple):
    """A repository that was deleted; `removed_by` is a principal as text."""

    uid: str
    name: str
    public: bool
    description: str
    created_at: float
    removed_at: float
    removed_by: str | None


REPOSITORY = select(
    removed_repositories.c.uid,
    removed_repositories.c.name,
    removed_repositories.c.public,
    removed_repositories.c.description,
    removed_repositories.c.created_at,
    removed_repositories.c.removed_at,
    removed_repositories.c.removed_by,
).where(removed_repositories.c.ending.is_(False))


def page(
    connection: Connection, last: tuple[str, str] | None, limit: int, search: str | None
) -> Sequence[RemovedRepository]:
    """At most `limit` deleted repositories after a name and uid, in the order of these; those with `search`
    in their names."""
    by_name = (removed_repositories.c.name, removed_repositories.c.uid)
    statement = REPOSITORY.order_by(*by_name).limit(limit)
    if last is not None:
        statement = statement.where(tuple_(*by_name) > last)
    if search:
        statement = statement.where(removed_repositories.c.name.contains(search.lower(), autoescape=True))
    return [_repository(row) for row in connection.execute(statement)]


def lock_called(connection: Connection, name: str) -> Sequence[RemovedRepository]:
    """The deleted repositories of a name, the last one first. Until the end of this transaction they don't
    expire."""
    statement = (
        REPOSITORY.where(removed_repositories.c.name == name)
        .order_by(removed_repositories.c.removed_at.desc(), removed_repositories.c.uid)
        .with_for_update()
    )
    return [_repository(row) for row in connection.execute(statement)]


def bring_back_manifests(
    connection: Connection, repository_id: int, ids: Collection[int], now: float
) -> None:
    """Have deleted manifests in their repository again, which has none of them."""
    chosen = removed_manifests.c.id.in_(ids)
    _bring_back(connection, repository_id, chosen)
    _bring_back_edges(connection, repository_id, chosen, now)


def bring_back_repository(
    connection: Connection, row: RemovedRepository, name: str, by: str | None, now: float
) -> int:
    """Have a deleted repository again, under a name that is free; its id. What was deleted before it stays
    deleted, and can be restored in it."""
    uid = row.uid
    settings = {column: removed_repositories.c[column] for column in SETTINGS}
    source = select(*(settings | {"name": literal(name, String)}).values())
    made = connection.execute(
        insert(repositories)
        .from_select(SETTINGS, source.where(removed_repositories.c.uid == uid))
        .returning(repositories.c.id)
    )
    repository_id = int(made.scalar_one())
    with_it = (removed_manifests.c.repository_uid == uid) & (removed_manifests.c.removed_at == row.removed_at)
    _bring_back(connection, repository_id, with_it)
    _bring_back_edges(connection, repository_id, with_it, now)
    _bring_back_tags(connection, repository_id, uid, by, now)
    connection.execute(
        update(removed_manifests).where(removed_manifests.c.repository_uid == uid).values(repository=name)
    )
    connection.execute(delete(removed_repositories).where(removed_repositories.c.uid == uid))
    access.bump(connection)
    return repository_id


def damaged(connection: Connection, repository_id: int, limit: int) -> Sequence[str]:
    """The digests of blobs of a repository that are quarantined, in byte order."""
    statement = (
        select(blobs.c.digest)
        .join(repository_blobs, repository_blobs.c.blob_id == blobs.c.id)
        .where(repository_blobs.c.repository_id == repository_id, blobs.c.quarantined_at.is_not(None))
        .order_by(blobs.c.digest)
        .limit(limit)
    )
    return list(connection.scalars(statement))


def _bring_back(connection: Connection, repository_id: int, chosen: ColumnElement[bool]) -> None:
    columns = [removed_manifests.c[name] for name in COPIED]
    source = select(literal(repository_id, BigInteger), *columns).where(chosen)
    _copy(connection, manifests, ("repository_id", *COPIED), source)


def _bring_back_edges(
    connection: Connection, repository_id: int, chosen: ColumnElement[bool], now: float
) -> None:
    """What the manifests need that are here again; what was kept of them goes."""
    here = literal(repository_id, BigInteger)
    manifest_id = _manifest_id(here, removed_manifests.c.digest)
    needed = removed_manifest_blobs.c.removed_manifest_id == removed_manifests.c.id
    listed = removed_manifest_children.c.removed_manifest_id == removed_manifests.c.id
    blob_id = removed_manifest_blobs.c.blob_id
    # Each of these is needed by the one behind it. A link is there as long as nobody has deleted the blob.
    for table, names, source in (
        (
            repository_blobs,
            ("repository_id", "blob_id", "created_at", "examine_at"),
            select(here, blob_id, literal(now, Double), cast(null(), Double))
            .join_from(removed_manifests, removed_manifest_blobs, needed)
            .distinct(),
        ),
        (
            manifest_blobs,
            ("manifest_id", "repository_id", "blob_id"),
            select(manifest_id, here, blob_id).join_from(removed_manifests, removed_manifest_blobs, needed),
        ),
        (
            manifest_children,
            ("manifest_id", "child_digest"),
            select(manifest_id, removed_manifest_children.c.child_digest).join_from(
                removed_manifests, removed_manifest_children, listed
            ),
        ),
    ):
        _copy(connection, table, names, source.where(chosen))
    connection.execute(delete(removed_manifests).where(chosen))


def _bring_back_tags(
    connection: Connection, repository_id: int, uid: str, by: str | None, now: float
) -> None:
    """The tags of a repository and their history, in which it is written that they went and came back."""
    here = literal(repository_id, BigInteger)
    history = ("repository_id", "name", "digest", "at", "by")
    manifest_id = _manifest_id(here, removed_tags.c.digest)
    of_tags = removed_tags.c.repository_uid == uid
    _copy(
        connection,
        tags,
        ("repository_id", "name", "manifest_id", "updated_at"),
        select(here, removed_tags.c.name, manifest_id, removed_tags.c.updated_at).where(of_tags),
    )
    past = [removed_tag_history.c[name] for name in history[1:]]
    _copy(
        connection,
        tag_history,
        history,
        select(here, *past)
        .where(removed_tag_history.c.repository_uid == uid)
        .order_by(removed_tag_history.c.id),
    )
    came_back = (removed_tags.c.name, removed_tags.c.digest, literal(now, Double), literal(by, String))
    _copy(
        connection,
        tag_history,
        history,
        select(here, *came_back).where(of_tags).order_by(removed_tags.c.name),
    )


def _manifest_id(repository_id: ColumnElement[int], digest: ColumnElement[str]) -> ScalarSelect[int]:
    """Looked up for each row: a join of rows that were just entered could become one of all with all."""
    return (
        select(manifests.c.id)
        .where(manifests.c.repository_id == repository_id, manifests.c.digest == digest)
        .scalar_subquery()
    )


def _copy(connection: Connection, table: Any, names: Sequence[str], source: Any) -> None:
    copied = upsert(connection)(table).from_select(names, source)
    connection.execute(copied.on_conflict_do_nothing())


def _repository(row: Any) -> RemovedRepository:
    values = RemovedRepository(*row)
    return values._replace(public=bool(values.public))
