"""Empty indexes: a copy of one that was made once, or a database that is emptied.

A migration takes longer than most tests, and so does a new database of PostgreSQL.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from registry.index.migrations import upgrade
from registry.index.tables import metadata
from tests.support.postgres import PostgresServer


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the index's schema and nothing in it, to be copied."""
    path = tmp_path_factory.mktemp("template") / "index.sqlite"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_index(tmp_path: Path, sqlite_template: Path) -> str:
    """The `index.url` of a new index in the test's folder."""
    return f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'index.sqlite')}"


@pytest.fixture(scope="session")
def postgres_database(postgres_server: PostgresServer) -> Iterator[str]:
    """The `index.url` of a database with the index's schema."""
    name = postgres_server.create_database()
    yield postgres_server.url(name)
    postgres_server.drop_database(name)


@pytest.fixture
def postgres_index(postgres_database: str) -> str:
    """The same, emptied: one test after the other has it for its own."""
    with psycopg.connect(postgres_database) as connection:  # a new one: tests end all that they find
        connection.execute(
            "; ".join(f"DELETE FROM {table.name}" for table in reversed(metadata.sorted_tables))
        )
    return postgres_database
