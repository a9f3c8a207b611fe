"""What decides who may do what with a repository, and the counter that tells when any of that changed.

Each function of this package that gives or takes rights calls `bump` or `changed`: no service can forget it.
"""

import json
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, select

from registry.index.statements import Statement
from registry.index.tables import access_epoch, repositories


class RepositoryFacts(NamedTuple):
    """What decides about access to a repository. `uid` tells it from others that had its name."""

    id: int
    uid: str
    public: bool
    immutable_tags: tuple[str, ...]


EPOCH = Statement(select(access_epoch.c.value).where(access_epoch.c.id == 1))

BUMP = Statement(
    lambda insert: insert(access_epoch).on_conflict_do_update(
        index_elements=[access_epoch.c.id], set_={"value": access_epoch.c.value + 1}
    )
)

FACTS = Statement(
    select(repositories.c.id, repositories.c.uid, repositories.c.public, repositories.c.immutable_tags).where(
        repositories.c.name == bindparam("name")
    )
)


def epoch(connection: Connection) -> int:
    """A number that is another one after every change of rights."""
    value: int | None = EPOCH.scalar(connection, {})
    return value or 0


def bump(connection: Connection) -> None:
    """Tell every process, once this transaction is committed, that rights have changed."""
    BUMP.run(connection, {"id": 1, "value": 1})


def changed(connection: Connection, rows: int) -> bool:
    """Whether a change of rights found any row; if it did, every process is told."""
    if rows:
        bump(connection)
    return rows > 0


def facts(connection: Connection, name: str) -> RepositoryFacts | None:
    """The facts of a repository, if it exists. Creating one does not change the epoch."""
    row = FACTS.first(connection, {"name": name})
    if row is None:
        return None
    return RepositoryFacts(row[0], row[1], bool(row[2]), tuple(json.loads(row[3])))
