"""The index as a whole: every row that a backup carries, read and entered.

What belongs to running processes stays where it is: upload sessions, and who does which job. Values are as
JSON has them, bytes in base64, so that each kind of database reads what the other one wrote.
"""

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from alembic.migration import MigrationContext
from sqlalchemy import Connection, LargeBinary, Table, delete, func, insert, select, text

from registry.index import access
from registry.index.tables import access_epoch, metadata, quotas

LEFT_OUT = frozenset({"uploads", "jobs"})

ROWS_AT_ONCE = 1000
BODIES_AT_ONCE = 16
"""Rows that are in memory; a manifest may have 4 MiB."""

GAP = 1_000_000
"""Ids that are left out after a restore, where no id is ever given twice: those that were given between the
backup and the loss of the index may still stand in somebody's token."""


def revision(connection: Connection) -> str | None:
    """The form that the index has; None before the first migration."""
    return MigrationContext.configure(connection).get_current_revision()


def tables() -> Sequence[str]:
    """The names of the tables, each behind those that it refers to.

    Quotas are the last: what is used of one is counted when it is entered, instead of with each row. To
    update a row once more in a transaction, PostgreSQL has to pass all its versions before.
    """
    names = [table.name for table in metadata.sorted_tables if table.name not in LEFT_OUT]
    names.remove(quotas.name)
    return [*names, quotas.name]


def columns(name: str) -> Sequence[str]:
    """The names of a table's columns."""
    return [column.name for column in metadata.tables[name].columns]


def rows(connection: Connection, name: str) -> Iterator[list[Any]]:
    """The rows of a table in the order of its key, read as they are asked for. PostgreSQL needs a transaction
    for that."""
    table = metadata.tables[name]
    bodies = _bodies(table)
    at_once = BODIES_AT_ONCE if bodies else ROWS_AT_ONCE
    statement = select(table).order_by(*table.primary_key.columns)
    streamed = {"stream_results": True, "yield_per": at_once, "max_row_buffer": at_once}
    for row in connection.execute(statement, execution_options=streamed):
        values = list(row)
        for position in bodies:
            values[position] = base64.b64encode(values[position]).decode()
        yield values


def last_id(connection: Connection, name: str) -> int | None:
    """The last id that was given to a row of a table; None of one whose rows have no numbers."""
    table = metadata.tables[name]
    column = table.autoincrement_column
    if column is None:
        return None
    largest = connection.scalar(select(func.coalesce(func.max(column), 0))) or 0
    if connection.dialect.name == "postgresql":
        given = text("SELECT pg_sequence_last_value(pg_get_serial_sequence(:name, :column)::regclass)")
        found = connection.scalar(given, {"name": name, "column": column.name})
    else:
        found = connection.scalar(text("SELECT seq FROM sqlite_sequence WHERE name = :name"), {"name": name})
    return int(max(largest, found or 0))


def used_table(connection: Connection) -> str | None:
    """A table that has rows, though nothing was ever entered by hand or by a server; None: there is none."""
    for name in tables():
        if name != access_epoch.name and connection.execute(select(metadata.tables[name]).limit(1)).first():
            return name
    return None


def enter(connection: Connection, name: str, values: Sequence[Sequence[Any]]) -> None:
    """Enter rows as `rows` gave them."""
    table = metadata.tables[name]
    bodies = _bodies(table)
    names = columns(name)
    entered = []
    for given in values:
        row = list(given)
        for position in bodies:
            row[position] = base64.b64decode(row[position], validate=True)
        entered.append(dict(zip(names, row, strict=True)))
    if entered:
        connection.execute(insert(table), entered)


def clear_epoch(connection: Connection) -> None:
    """Make room for the counter of a backup."""
    connection.execute(delete(access_epoch))


def finish(connection: Connection, last_ids: Mapping[str, int]) -> None:
    """Have rows to come numbered behind those that are there and were there, and tell every process that
    rights have changed."""
    for name, last in last_ids.items():
        table = metadata.tables[name]
        lasting = bool(table.dialect_options["sqlite"]["autoincrement"])
        value = last + GAP if lasting else last
        if connection.dialect.name == "postgresql":
            column = table.autoincrement_column
            assert column is not None
            number = text("SELECT setval(pg_get_serial_sequence(:name, :column), :value, :used)")
            values = {"name": name, "column": column.name, "value": max(value, 1), "used": value > 0}
            connection.execute(number, values)
        elif lasting:
            connection.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), {"name": name})
            number = text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :value)")
            connection.execute(number, {"name": name, "value": value})
    access.bump(connection)


def _bodies(table: Table) -> Sequence[int]:
    return [position for position, column in enumerate(table.columns) if isinstance(column.type, LargeBinary)]
