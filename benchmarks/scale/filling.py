"""Fill an index fast: rows go into SQLite in one transaction, and from there into PostgreSQL by COPY.

Foreign keys are not checked on the way; that they hold is a test of the shape.
"""

import sqlite3
from collections import defaultdict
from pathlib import Path

import psycopg
from psycopg import sql

from benchmarks.scale.shape import COLUMNS, Scale, Shape
from registry.index.migrations import upgrade
from registry.index.tables import metadata

AT_ONCE = 10_000
"""Rows of a table that are written with one call."""


def fill_sqlite(path: Path, scale: Scale, now: float) -> None:
    """Make an index with the schema of this version, and fill it."""
    upgrade(f"sqlite:///{path}")
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("synchronous = OFF", "foreign_keys = OFF", "cache_size = -500000"):
        connection.execute(f"PRAGMA {pragma}")
    statements = {
        table: f"INSERT INTO {table} ({', '.join(map(quoted, columns))}) "
        f"VALUES ({', '.join('?' * len(columns))})"
        for table, columns in COLUMNS.items()
    }
    waiting: dict[str, list[tuple[object, ...]]] = defaultdict(list)
    connection.execute("BEGIN")
    for table, row in Shape(scale, now).rows():
        rows = waiting[table]
        rows.append(row)
        if len(rows) == AT_ONCE:
            connection.executemany(statements[table], rows)
            rows.clear()
    for table, rows in waiting.items():
        connection.executemany(statements[table], rows)
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def quoted(column: str) -> str:
    return f'"{column}"'


def copy_to_postgresql(source: Path, url: str) -> None:
    """Copy a filled SQLite index into an empty one with the schema. `url` as psycopg takes it."""
    rows = sqlite3.connect(source)
    with psycopg.connect(url) as connection:
        connection.execute("SET session_replication_role = replica")  # foreign keys are triggers
        for table, columns in COLUMNS.items():
            names = ", ".join(map(quoted, columns))
            flags = {
                position
                for position, column in enumerate(columns)
                if metadata.tables[table].c[column].type.python_type is bool
            }
            copy = sql.SQL("COPY {} ({}) FROM STDIN").format(
                sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
            )
            with connection.cursor() as cursor, cursor.copy(copy) as writer:
                for row in rows.execute(f"SELECT {names} FROM {table}"):
                    writer.write_row(
                        [bool(value) if position in flags else value for position, value in enumerate(row)]
                    )
            if "id" in columns and table != "uploads":
                table_name = sql.Literal(table)
                connection.execute(
                    sql.SQL("SELECT setval(pg_get_serial_sequence({}, 'id'), max(id)) FROM {}").format(
                        table_name, sql.Identifier(table)
                    )
                )
    rows.close()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")  # as autovacuum does after a while
