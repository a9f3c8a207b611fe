"""Quotas: how many bytes there may be in a repository and all below it."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, String, bindparam, delete, func, select

from registry.index import access
from registry.index.ranges import below
from registry.index.statements import Statement
from registry.index.tables import blobs, manifests, quotas, repositories, repository_blobs


class QuotaRow(NamedTuple):
    """The prefix `acme` is the repository `acme` and all below `acme/`; `created_by` a principal as text."""

    prefix: str
    bytes: int
    created_at: float
    created_by: str


QUOTAS = select(quotas.c.prefix, quotas.c.bytes, quotas.c.created_at, quotas.c.created_by)

# Every push asks. There are few quotas, and this way the statement is always the same.
SELECT_OF_REPOSITORY = (
    select(quotas.c.prefix, quotas.c.bytes)
    .where(
        (quotas.c.prefix == bindparam("repository"))
        | (
            func.substr(bindparam("repository", type_=String), 1, func.length(quotas.c.prefix) + 1)
            == quotas.c.prefix + "/"
        )
    )
    .order_by(quotas.c.prefix)
)
OF_REPOSITORY = Statement(SELECT_OF_REPOSITORY)
LOCK_OF_REPOSITORY = Statement(SELECT_OF_REPOSITORY.with_for_update(key_share=True))

SET = Statement(
    lambda insert: insert(quotas).on_conflict_do_update(
        index_elements=[quotas.c.prefix],
        set_={name: insert(quotas).excluded[name] for name in ("bytes", "created_at", "created_by")},
    )
)

REMOVE = Statement(delete(quotas).where(quotas.c.prefix == bindparam("prefix")))


def of_repository(connection: Connection, repository: str) -> list[tuple[str, int]]:
    """The quotas that count for a repository, existing or not: prefix and bytes, the shortest first."""
    return [(prefix, size) for prefix, size in OF_REPOSITORY.all(connection, {"repository": repository})]


def lock_of_repository(connection: Connection, repository: str) -> list[tuple[str, int]]:
    """The same; whoever else locks one of them waits for the end of this transaction, and then sees what it
    brought."""
    return [(prefix, size) for prefix, size in LOCK_OF_REPOSITORY.all(connection, {"repository": repository})]


def usage(connection: Connection, prefix: str) -> int:
    """The bytes in a repository and all below it. A blob counts once, however many of them hold it."""
    held = (
        select(repository_blobs.c.blob_id)
        .join(repositories, repositories.c.id == repository_blobs.c.repository_id)
        .where(below(repositories.c.name, prefix))
    )
    of_blobs = select(func.coalesce(func.sum(blobs.c.size), 0)).where(blobs.c.id.in_(held))
    of_manifests = (
        select(func.coalesce(func.sum(manifests.c.size), 0))
        .join(repositories, repositories.c.id == manifests.c.repository_id)
        .where(below(repositories.c.name, prefix))
    )
    return int(connection.execute(of_blobs).scalar_one() + connection.execute(of_manifests).scalar_one())


def set(connection: Connection, prefix: str, bytes: int, created_at: float, created_by: str) -> None:
    """Set the quota of a prefix, in place of the one that it had."""
    values = {"prefix": prefix, "bytes": bytes, "created_at": created_at, "created_by": created_by}
    SET.run(connection, values)
    access.bump(connection)


def remove(connection: Connection, prefix: str) -> bool:
    """Delete a quota. False: there was none."""
    return access.changed(connection, REMOVE.run(connection, {"prefix": prefix}))


def page(connection: Connection, last: str | None, limit: int) -> Sequence[QuotaRow]:
    """At most `limit` quotas after the prefix `last`, in byte order."""
    statement = QUOTAS.order_by(quotas.c.prefix).limit(limit)
    if last is not None:
        statement = statement.where(quotas.c.prefix > last)
    return [QuotaRow(*row) for row in connection.execute(statement)]
