"""Repositories: a name, and what hangs on it."""

from collections.abc import Sequence

from sqlalchemy import Connection, select

from registry.index.statements import insert
from registry.index.tables import repositories


def find(connection: Connection, name: str) -> int | None:
    """The id of a repository."""
    return connection.execute(select(repositories.c.id).where(repositories.c.name == name)).scalar()


def ensure(connection: Connection, name: str, now: float) -> int:
    """The id of a repository that is there from now on."""
    found = find(connection, name)
    if found is not None:
        return found
    statement = insert(connection, repositories).values(name=name, created_at=now)
    created: int | None = connection.execute(
        statement.on_conflict_do_nothing().returning(repositories.c.id)
    ).scalar()
    # Nothing comes back when somebody else created it in between.
    return (
        created
        if created is not None
        else connection.execute(select(repositories.c.id).where(repositories.c.name == name)).scalar_one()
    )


def page(connection: Connection, last: str | None, limit: int) -> Sequence[str]:
    """At most `limit` names after `last`, in byte order."""
    statement = select(repositories.c.name).order_by(repositories.c.name).limit(limit)
    if last is not None:
        statement = statement.where(repositories.c.name > last)
    return connection.execute(statement).scalars().all()
