"""The name of an index: it stands in what the index writes into the storage, so that two registries which
were set up on one storage by mistake can be told apart. A backup carries it, so a restored index has it, too.
"""

import secrets

from sqlalchemy import Connection, select

from registry.index.statements import Statement
from registry.index.upkeep_tables import index_identity

ONLY = 1

NAME = Statement(select(index_identity.c.name))
TAKE = Statement(lambda insert: insert(index_identity).on_conflict_do_nothing())


def name(connection: Connection) -> str | None:
    """None for an index that has written nothing yet."""
    found: str | None = NAME.scalar(connection, {})
    return found


def take(connection: Connection, wanted: str) -> None:
    """Give an index this name if it has none."""
    TAKE.run(connection, {"id": ONLY, "name": wanted})


def ensure(connection: Connection) -> str:
    """The name, drawn if there is none."""
    take(connection, secrets.token_hex(16))
    found = name(connection)
    assert found is not None
    return found
