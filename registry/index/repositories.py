"""Repositories: a name, and what hangs on it."""

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, select

from registry.index.statements import Statement
from registry.index.tables import repositories

FIND = Statement(select(repositories.c.id).where(repositories.c.name == bindparam("name")))

CREATE = Statement(lambda insert: insert(repositories).on_conflict_do_nothing().returning(repositories.c.id))

NAMES = select(repositories.c.name).order_by(repositories.c.name).limit(bindparam("limit"))
PAGE = Statement(NAMES)
PAGE_AFTER = Statement(NAMES.where(repositories.c.name > bindparam("last")))


def find(connection: Connection, name: str) -> int | None:
    """The id of a repository."""
    found: int | None = FIND.scalar(connection, {"name": name})
    return found


def ensure(connection: Connection, name: str, now: float) -> int:
    """The id of a repository that is there from now on."""
    found = find(connection, name)
    if found is None:
        found = CREATE.scalar(connection, {"name": name, "created_at": now})
    if found is None:  # somebody else created it in between
        found = find(connection, name)
    assert found is not None
    return found


def page(connection: Connection, last: str | None, limit: int) -> Sequence[str]:
    """At most `limit` names after `last`, in byte order."""
    if last is None:
        rows = PAGE.all(connection, {"limit": limit})
    else:
        rows = PAGE_AFTER.all(connection, {"limit": limit, "last": last})
    return [name for (name,) in rows]
