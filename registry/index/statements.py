"""Statements are built once, at import: building one costs several times what SQLite needs to run it.

What the two databases write differently is built for each.
"""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite

Statement = Callable[[Connection], Any]
"""Gives the statement for a connection's database."""


def with_insert(build: Callable[[Any], Any]) -> Statement:
    """A statement that `build` makes with an INSERT which knows ON CONFLICT: `sqlite.insert` or
    `postgresql.insert`."""
    built = {"sqlite": build(sqlite.insert), "postgresql": build(postgresql.insert)}
    return lambda connection: built[connection.dialect.name]
