"""Tags: names that point to manifests, and the history of where they pointed."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, select

from registry.index.statements import Statement
from registry.index.tables import manifests, repositories, tag_history, tags


class TagRow(NamedTuple):
    """A tag, and the manifest that it points to since `updated_at`."""

    name: str
    digest: str
    media_type: str
    updated_at: float


HERE = (tags.c.repository_id == bindparam("repository_id")) & (tags.c.name == bindparam("name"))

NAMES = (
    select(tags.c.name)
    .where(tags.c.repository_id == bindparam("repository_id"))
    .order_by(tags.c.name)
    .limit(bindparam("limit"))
)
PAGE = Statement(NAMES)
PAGE_AFTER = Statement(NAMES.where(tags.c.name > bindparam("last")))

DETAILS = Statement(
    select(tags.c.name, manifests.c.digest, manifests.c.media_type, tags.c.updated_at)
    .join(manifests, manifests.c.id == tags.c.manifest_id)
    .where(tags.c.repository_id == bindparam("repository_id"), tags.c.name > bindparam("last"))
    .order_by(tags.c.name)
    .limit(bindparam("limit"))
)

DIGEST = Statement(
    select(manifests.c.digest)
    .join(tags, tags.c.manifest_id == manifests.c.id)
    .join(repositories, repositories.c.id == tags.c.repository_id)
    .where(repositories.c.name == bindparam("repository"), tags.c.name == bindparam("name"))
)

TARGET = Statement(select(tags.c.manifest_id).where(HERE))

POINT = Statement(
    lambda insert: insert(tags).on_conflict_do_update(
        index_elements=[tags.c.repository_id, tags.c.name],
        set_={
            "manifest_id": insert(tags).excluded.manifest_id,
            "updated_at": insert(tags).excluded.updated_at,
        },
    )
)

ADD = Statement(lambda insert: insert(tags).on_conflict_do_nothing())

REMOVE = Statement(delete(tags).where(HERE))

REMOVE_OF_MANIFEST = Statement(
    delete(tags)
    .where(
        tags.c.repository_id == bindparam("repository_id"),
        tags.c.manifest_id == bindparam("manifest_id"),
    )
    .returning(tags.c.name)
)

RECORD_HISTORY = Statement(insert(tag_history))


def page(connection: Connection, repository_id: int, last: str | None, limit: int) -> Sequence[str]:
    """At most `limit` tags after `last`, in byte order."""
    values: dict[str, object] = {"repository_id": repository_id, "limit": limit}
    if last is None:
        rows = PAGE.all(connection, values)
    else:
        rows = PAGE_AFTER.all(connection, {**values, "last": last})
    return [name for (name,) in rows]


def details(connection: Connection, repository_id: int, last: str | None, limit: int) -> Sequence[TagRow]:
    """At most `limit` tags after `last`, in byte order, with what they point to."""
    values = {"repository_id": repository_id, "limit": limit, "last": last or ""}
    return [TagRow(*row) for row in DETAILS.all(connection, values)]


def digest_of(connection: Connection, repository: str, tag: str) -> str | None:
    """The digest that a tag points to now."""
    found: str | None = DIGEST.scalar(connection, {"repository": repository, "name": tag})
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
    here = {"repository_id": repository_id, "name": tag}
    before = TARGET.scalar(connection, here)
    POINT.run(connection, {**here, "manifest_id": manifest_id, "updated_at": now})
    if before != manifest_id:
        record_history(connection, repository_id, [tag], digest, by, now)


def add(
    connection: Connection,
    repository_id: int,
    tag: str,
    manifest_id: int,
    digest: str,
    by: str | None,
    now: float,
) -> bool:
    """Point a tag that points nowhere. False: it does, to whatever."""
    values = {"repository_id": repository_id, "name": tag, "manifest_id": manifest_id, "updated_at": now}
    if not ADD.run(connection, values):
        return False
    record_history(connection, repository_id, [tag], digest, by, now)
    return True


def remove(connection: Connection, repository_id: int, tag: str, by: str | None, now: float) -> bool:
    """Delete a tag; False if there was none."""
    if not REMOVE.run(connection, {"repository_id": repository_id, "name": tag}):
        return False
    record_history(connection, repository_id, [tag], None, by, now)
    return True


def remove_of_manifest(
    connection: Connection, repository_id: int, manifest_id: int, by: str | None, now: float
) -> Sequence[str]:
    """Delete every tag on a manifest, and return their names."""
    values = {"repository_id": repository_id, "manifest_id": manifest_id}
    names = [name for (name,) in REMOVE_OF_MANIFEST.all(connection, values)]
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
    for name in names:
        values = {"repository_id": repository_id, "name": name, "digest": digest, "at": now, "by": by}
        RECORD_HISTORY.run(connection, values)
