"""Repositories: a name, and what hangs on it."""

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, select

from registry.index.statements import with_insert
from registry.index.tables import repositories

FIND = select(repositories.c.id).where(repositories.c.name == bindparam("name"))

CREATE = with_insert(
    lambda insert: insert(repositories).on_conflict_do_nothing().returning(repositories.c.id)
)

PAGE = select(repositories.c.name).order_by(repositories.c.name).limit(bindparam("limit"))
PAGE_AFTER = PAGE.where(repositories.c.name > bindparam("last"))


def find(connection: Connection, name: str) -> int | None:
    """The id of a repository."""
    return connection.execute(FIND, {"name": name}).scalar()


def ensure(connection: Connection, name: str, now: float) -> int:
    """The id of a repository that is there from now on."""
    found = find(connection, name)
    if found is None:
        found = connection.execute(CREATE(connection), {"name": name, "created_at": now}).scalar()
    if found is None:  # somebody else created it in between
        found = connection.execute(FIND, {"name": name}).scalar_one()
    return found


def page(connection: Connection, last: str | None, limit: int) -> Sequence[str]:
    """At most `limit` names after `last`, in byte order."""
    if last is None:
        return connection.execute(PAGE, {"limit": limit}).scalars().all()
    return connection.execute(PAGE_AFTER, {"limit": limit, "last": last}).scalars().all()
