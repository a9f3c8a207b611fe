"""Tags: names that point to manifests, and the history of where they pointed."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, select

from registry.index.statements import insert
from registry.index.tables import manifests, repositories, tag_history, tags


def page(connection: Connection, repository_id: int, last: str | None, limit: int) -> Sequence[str]:
    """At most `limit` tags after `last`, in byte order."""
    statement = (
        select(tags.c.name).where(tags.c.repository_id == repository_id).order_by(tags.c.name).limit(limit)
    )
    if last is not None:
        statement = statement.where(tags.c.name > last)
    return connection.execute(statement).scalars().all()


def digest_of(connection: Connection, repository: str, tag: str) -> str | None:
    """The digest that a tag points to now."""
    statement = (
        select(manifests.c.digest)
        .join(tags, tags.c.manifest_id == manifests.c.id)
        .join(repositories, repositories.c.id == tags.c.repository_id)
        .where(repositories.c.name == repository, tags.c.name == tag)
    )
    found: str | None = connection.execute(statement).scalar()
    return found


def point(
    connection: Connection,
    repository_id: int,
    tag: str,
    manifest_id: int,
    digest: str,
    by: str | None,
    now: float,
) -> None:
    """Point a tag to a manifest of its repository. History is written when it moved."""
    here = (tags.c.repository_id == repository_id) & (tags.c.name == tag)
    before: int | None = connection.execute(select(tags.c.manifest_id).where(here)).scalar()
    values = {"repository_id": repository_id, "name": tag, "manifest_id": manifest_id, "updated_at": now}
    statement = insert(connection, tags).values(values)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[tags.c.repository_id, tags.c.name],
            set_={"manifest_id": statement.excluded.manifest_id, "updated_at": statement.excluded.updated_at},
        )
    )
    if before != manifest_id:
        record_history(connection, repository_id, [tag], digest, by, now)


def remove(connection: Connection, repository_id: int, tag: str, by: str | None, now: float) -> bool:
    """Delete a tag; False if there was none."""
    here = (tags.c.repository_id == repository_id) & (tags.c.name == tag)
    if not connection.execute(delete(tags).where(here)).rowcount:
        return False
    record_history(connection, repository_id, [tag], None, by, now)
    return True


def remove_of_manifest(
    connection: Connection, repository_id: int, manifest_id: int, by: str | None, now: float
) -> Sequence[str]:
    """Delete every tag on a manifest, and return their names."""
    here = (tags.c.repository_id == repository_id) & (tags.c.manifest_id == manifest_id)
    names = connection.execute(delete(tags).where(here).returning(tags.c.name)).scalars().all()
    record_history(connection, repository_id, names, None, by, now)
    return names


def record_history(
    connection: Connection,
    repository_id: int,
    names: Sequence[str],
    digest: str | None,
    by: str | None,
    now: float,
) -> None:
    entries = [
        {"repository_id": repository_id, "name": name, "digest": digest, "at": now, "by": by}
        for name in names
    ]
    if entries:
        connection.execute(tag_history.insert(), entries)
