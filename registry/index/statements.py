"""Statements of SQLAlchemy Core, each built and compiled once for each kind of database.

What SQLAlchemy does anew for every execution costs several times what SQLite needs to run a statement.
The statements made here don't need it: their text goes to the driver as it is. Those with a list of unknown
length in an IN do need it, and go through SQLAlchemy (manifests.py, referrers.py).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection
from sqlalchemy.sql.expression import ClauseElement

Row = tuple[Any, ...]


class Compiled(NamedTuple):
    """A driver's statement. `names` are its parameters in order, or None where it takes them by name."""

    text: str
    names: Sequence[str] | None
    constants: Mapping[str, object]

    def given(self, values: Mapping[str, object]) -> Mapping[str, object] | Sequence[object]:
        """The parameters as the driver takes them."""
        named = {**self.constants, **values}
        return named if self.names is None else [named[name] for name in self.names]


class Statement:
    """A statement with named parameters, which must always be given the same."""

    def __init__(self, build: Callable[[Any], ClauseElement] | ClauseElement) -> None:
        """A clause for both databases, or what makes one from an INSERT that knows ON CONFLICT."""
        self._build = build
        self._compiled: dict[str, Compiled] = {}

    def first(self, connection: Connection, values: Mapping[str, object]) -> Row | None:
        """The first row."""
        row: Row | None = self._run(connection, values).fetchone()
        return row

    def scalar(self, connection: Connection, values: Mapping[str, object]) -> Any:
        """The first column of the first row, or None."""
        row = self.first(connection, values)
        return None if row is None else row[0]

    def all(self, connection: Connection, values: Mapping[str, object]) -> list[Row]:
        """All rows."""
        rows: list[Row] = self._run(connection, values).fetchall()
        return rows

    def run(self, connection: Connection, values: Mapping[str, object]) -> int:
        """Execute; the number of rows that were changed."""
        return int(self._run(connection, values).rowcount)

    def run_each(self, connection: Connection, rows: Sequence[Mapping[str, object]]) -> None:
        """Execute once for each row of values. PostgreSQL gets them all without being waited for."""
        if not rows:
            return
        compiled = self._compiled_for(connection, rows[0])
        driver: Any = connection.connection.driver_connection
        driver.cursor().executemany(compiled.text, [compiled.given(values) for values in rows])

    def _run(self, connection: Connection, values: Mapping[str, object]) -> Any:
        compiled = self._compiled_for(connection, values)
        driver: Any = connection.connection.driver_connection
        return driver.execute(compiled.text, compiled.given(values))

    def _compiled_for(self, connection: Connection, values: Mapping[str, object]) -> Compiled:
        compiled = self._compiled.get(connection.dialect.name)
        if compiled is None:
            compiled = self._compiled[connection.dialect.name] = self._compile(connection, values)
        return compiled

    def _compile(self, connection: Connection, values: Mapping[str, object]) -> Compiled:
        clause = self._build
        if not isinstance(clause, ClauseElement):
            clause = clause(upsert(connection))
        compiled: Any = clause.compile(dialect=connection.dialect, column_keys=list(values))
        return Compiled(compiled.string, compiled.positiontup, compiled.params)


def upsert(connection: Connection) -> Any:
    """The `insert` that knows ON CONFLICT in a connection's database: each dialect has one of its own, and
    takes a while to import."""
    if connection.dialect.name == "sqlite":
        from sqlalchemy.dialects.sqlite import insert
    else:
        from sqlalchemy.dialects.postgresql import insert  # type: ignore[assignment]
    return insert
