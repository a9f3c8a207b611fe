"""An index on either database: transactions that leave nothing behind, and the plans of what runs in them.

A plan is that of the very statement that the index ran, with its parameters.
"""

import re
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

import psycopg
from sqlalchemy import Connection, Engine, event, text

from registry.index.engine import postgresql_engine, sqlite_engine

EXPLAINED = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE)\b", re.IGNORECASE)
LITERAL = re.compile(r"'[^']*'(::[a-z]+( precision)?(\[\])?)?|(?<=[ (])[0-9]+(?=\))")


class Plan(NamedTuple):
    """What a statement does: lines for readers, and PostgreSQL's tree of nodes for programs."""

    lines: tuple[str, ...]
    tree: dict[str, Any] | None = None


class Database(ABC):
    """An index. `url` as SQLAlchemy takes it."""

    name: str

    def __init__(self, url: str, engine: Engine) -> None:
        self.url = url
        self._engine = engine

    @contextmanager
    def trying(self) -> Iterator[Connection]:
        """A connection in a transaction that is rolled back at the end."""
        with self._engine.connect() as connection:
            connection.exec_driver_sql(self._begin)
            try:
                yield connection
            finally:
                connection.exec_driver_sql("ROLLBACK")

    _begin: str

    @abstractmethod
    def explaining(self, connection: Connection, plans: list[Plan]) -> AbstractContextManager[None]:
        """A block in which the plan of every statement on this connection is added to `plans`."""

    @abstractmethod
    def counting(self, connection: Connection) -> AbstractContextManager[list[int]]:
        """A block whose work is counted, in a measure that is the same each time: [number] at its end."""

    @abstractmethod
    def bytes_of_tables(self) -> dict[str, tuple[int, int]]:
        """Bytes of each table: of its rows, and of its indexes."""

    def remove_quotas(self) -> None:
        """For good."""
        with self._engine.connect() as connection:
            connection.exec_driver_sql("DELETE FROM quotas")

    def close(self) -> None:
        self._engine.dispose()


class Sqlite(Database):
    name = "SQLite"
    _begin = "BEGIN IMMEDIATE"

    def __init__(self, url: str) -> None:
        super().__init__(url, sqlite_engine(url, 2))

    @contextmanager
    def explaining(self, connection: Connection, plans: list[Plan]) -> Iterator[None]:
        driver: Any = connection.connection.driver_connection
        seen: list[str] = []
        driver.set_trace_callback(seen.append)
        try:
            yield
        finally:
            driver.set_trace_callback(None)
        for statement in filter(EXPLAINED.match, seen):
            rows = driver.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
            plans.append(Plan(tuple(indented(rows))))

    @contextmanager
    def counting(self, connection: Connection) -> Iterator[list[int]]:
        """Steps of SQLite's virtual machine."""
        driver: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]
        count = [0]

        def step() -> int:
            count[0] += 1
            return 0

        driver.set_progress_handler(step, 1)
        try:
            yield count
        finally:
            driver.set_progress_handler(None, 1)

    def bytes_of_tables(self) -> dict[str, tuple[int, int]]:
        query = (
            "SELECT tbl_name, sum(iif(type = 'table', size, 0)), sum(iif(type = 'table', 0, size)) FROM "
            "(SELECT name, sum(pgsize) AS size FROM dbstat GROUP BY name) "
            "JOIN sqlite_schema USING (name) GROUP BY tbl_name"
        )
        with self._engine.connect() as connection:
            return {name: (rows, indexes) for name, rows, indexes in connection.execute(text(query))}


def indented(rows: Sequence[tuple[int, int, int, str]]) -> Iterator[str]:
    """The lines of EXPLAIN QUERY PLAN, each below its parent."""
    depth = {0: 0}
    for id, parent, _, detail in rows:
        depth[id] = depth[parent] + 1
        yield "  " * depth[parent] + detail


class Postgresql(Database):
    name = "PostgreSQL"
    _begin = "BEGIN"

    def __init__(self, url: str) -> None:
        engine = postgresql_engine(url, 2)

        @event.listens_for(engine, "connect")
        def prepare(connection: Any, _record: object) -> None:
            connection.prepare_threshold = 0  # at once, as what a server runs is prepared after a while

        super().__init__(url, engine)

    @contextmanager
    def explaining(self, connection: Connection, plans: list[Plan]) -> Iterator[None]:
        driver: Any = connection.connection.driver_connection

        class Explaining(psycopg.Cursor[Any]):
            """Explains each statement before it runs it."""

            def execute(self, query: Any, *arguments: Any, **options: Any) -> Any:
                if EXPLAINED.match(query):
                    tree = self._plan("EXPLAIN (FORMAT JSON, COSTS OFF) ", query, *arguments)[0][0][0]["Plan"]
                    lines = [
                        LITERAL.sub("?", row[0])
                        for row in self._plan("EXPLAIN (COSTS OFF) ", query, *arguments)
                    ]
                    plans.append(Plan(tuple(lines), tree))
                return super().execute(query, *arguments, **options)

            def executemany(self, query: Any, params_seq: Any, *, returning: bool = False) -> None:
                for values in params_seq:
                    self.execute(query, values)

            def _plan(self, explain: str, query: str, *arguments: Any) -> list[Any]:
                super().execute(explain + query, *arguments[:1])
                return self.fetchall()

        usual = driver.cursor_factory
        driver.cursor_factory = Explaining
        try:
            yield
        finally:
            driver.cursor_factory = usual

    @contextmanager
    def counting(self, connection: Connection) -> Iterator[list[int]]:
        """Rows that were read from tables, whole or by an index, those for foreign keys included."""
        before = self._rows_read(connection)
        count = [0]
        yield count
        count[0] = self._rows_read(connection) - before

    def _rows_read(self, connection: Connection) -> int:
        query = (
            "SELECT (SELECT sum(seq_tup_read) FROM pg_stat_xact_user_tables) + "
            "(SELECT sum(pg_stat_get_xact_tuples_returned(indexrelid)) FROM pg_stat_user_indexes)"
        )
        return int(connection.execute(text(query)).scalar_one())

    def bytes_of_tables(self) -> dict[str, tuple[int, int]]:
        query = "SELECT relname, pg_table_size(relid), pg_indexes_size(relid) FROM pg_stat_user_tables"
        with self._engine.connect() as connection:
            return {name: (rows, indexes) for name, rows, indexes in connection.execute(text(query))}


def nodes(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All nodes of a plan of PostgreSQL."""
    yield tree
    for child in tree.get("Plans", ()):
        yield from nodes(child)
