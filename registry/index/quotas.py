"""Quotas: how many bytes there may be in a repository and all below it, and how many there are.

The latter is kept by triggers (`migrations/quota_triggers.py`), in the transactions that change it.
"""

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import NamedTuple

from sqlalchemy import Connection, String, bindparam, delete, func, select

from registry.index import access
from registry.index.manifests import in_batches
from registry.index.statements import Statement
from registry.index.tables import quotas

LOCK_MILLISECONDS = 1000
"""How long to wait at a time, when a quota is set, for changes under way: pushes queue up behind."""


class Limit(NamedTuple):
    """In the repository `prefix` and all below `prefix/` there may be so many `bytes`, and `used` are there:
    of manifests, and of blobs, each once, however many repositories hold it."""

    prefix: str
    bytes: int
    used: int


LIMITS = select(quotas.c.prefix, quotas.c.bytes, quotas.c.used)

# Every push asks. There are few quotas, and this way the statement is always the same.
SELECT_OF_REPOSITORY = LIMITS.where(
    (quotas.c.prefix == bindparam("repository"))
    | (
        func.substr(bindparam("repository", type_=String), 1, func.length(quotas.c.prefix) + 1)
        == quotas.c.prefix + "/"
    )
).order_by(quotas.c.prefix)
OF_REPOSITORY = Statement(SELECT_OF_REPOSITORY)
LOCK_OF_REPOSITORY = Statement(SELECT_OF_REPOSITORY.with_for_update(key_share=True))

LOCK = (
    select(quotas.c.prefix)
    .where(quotas.c.prefix.in_(bindparam("prefixes", expanding=True)))
    .order_by(quotas.c.prefix)
    .with_for_update(key_share=True)
)

SET = Statement(lambda insert: insert(quotas))

USED = Statement(select(quotas.c.used).where(quotas.c.prefix == bindparam("prefix")))

REMOVE = Statement(delete(quotas).where(quotas.c.prefix == bindparam("prefix")))


def of_repository(connection: Connection, repository: str) -> list[Limit]:
    """The quotas that count for a repository, existing or not, the shortest first."""
    return [Limit(*row) for row in OF_REPOSITORY.all(connection, {"repository": repository})]


def lock_of_repository(connection: Connection, repository: str) -> bool:
    """Have whoever changes what lies below one of a repository's quotas wait for the end of this transaction.
    False: there are none.

    Who is going to change what a repository holds calls this first, before anything else is locked: then two
    never wait for each other.
    """
    return bool(LOCK_OF_REPOSITORY.all(connection, {"repository": repository}))


def lock_of_repositories(connection: Connection, repositories: Iterable[str]) -> None:
    """The same, of several repositories."""
    prefixes = {prefix for name in repositories for prefix in accumulate(name.split("/"), "{}/{}".format)}
    for batch in in_batches(sorted(prefixes)):
        connection.execute(LOCK, {"prefixes": batch})


def set(connection: Connection, prefix: str, bytes: int, created_at: float, created_by: str) -> int:
    """Set the quota of a prefix, in place of the one that it had; how many bytes are there. They are counted
    anew; who changes anything that repositories hold waits for that."""
    values = {"prefix": prefix, "bytes": bytes, "created_at": created_at, "created_by": created_by}
    if connection.dialect.name == "postgresql":
        # The trigger does, too, but with the lock of an INSERT already: two would wait for each other.
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {LOCK_MILLISECONDS}")
        connection.exec_driver_sql("LOCK TABLE quotas IN EXCLUSIVE MODE")
        connection.exec_driver_sql("SET LOCAL lock_timeout TO DEFAULT")
    REMOVE.run(connection, {"prefix": prefix})
    SET.run(connection, values)
    access.bump(connection)
    return int(USED.scalar(connection, {"prefix": prefix}))


def remove(connection: Connection, prefix: str) -> bool:
    """Delete a quota. False: there was none."""
    return access.changed(connection, REMOVE.run(connection, {"prefix": prefix}))


def page(connection: Connection, last: str | None, limit: int) -> Sequence[Limit]:
    """At most `limit` quotas after the prefix `last`, in byte order."""
    statement = LIMITS.order_by(quotas.c.prefix).limit(limit)
    if last is not None:
        statement = statement.where(quotas.c.prefix > last)
    return [Limit(*row) for row in connection.execute(statement)]
