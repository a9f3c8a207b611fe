"""The migrations make the schema that registry/index/tables.py declares, on both databases."""

import multiprocessing
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.pool import Pool
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData, create_engine, inspect, text
from sqlalchemy.pool import NullPool

from registry.index import migrations
from registry.index.migrations import NEWEST, MigrationError, upgrade
from registry.index.tables import metadata
from tests.support.postgres import PostgresServer


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The SQLAlchemy URL of a database with nothing in it."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'index.sqlite'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    name = server.create_database(template="template1")
    yield server.sqlalchemy_url(name)
    server.drop_database(name)


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        yield connection


def declared() -> MetaData:
    """The tables, with the partial indexes on PostgreSQL that they have on SQLite (see tables.work_left)."""
    copy = MetaData(naming_convention=metadata.naming_convention)
    for table in metadata.sorted_tables:
        for index in table.to_metadata(copy).indexes:
            index.dialect_options["postgresql"]["where"] = index.dialect_options["sqlite"]["where"]
    return copy


def described(connection: Connection) -> dict[str, object]:
    """All that the database itself says about its tables, in an order of ours."""
    inspector = inspect(connection)

    def in_order(facts: object) -> list[str]:
        return sorted(str(sorted(dict(fact).items(), key=str)) for fact in facts)  # type: ignore[attr-defined]

    return {
        table: {
            "columns": [sorted((key, str(value)) for key, value in column.items())
                        for column in inspector.get_columns(table)],
            "primary key": str(inspector.get_pk_constraint(table)),
            "foreign keys": in_order(inspector.get_foreign_keys(table)),
            "unique": in_order(inspector.get_unique_constraints(table)),
            "indexes": in_order(
                {**one, "dialect_options": {key: str(option) for key, option
                                            in one.get("dialect_options", {}).items()}}
                for one in inspector.get_indexes(table)
            ),
        }
        for table in inspector.get_table_names()
        if table != "alembic_version"
    }  # fmt: skip


def test_the_migrated_schema_is_the_declared_one(empty_url: str) -> None:
    upgrade(empty_url)

    with connected(empty_url) as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, declared()) == []


def test_column_by_column_it_is_what_the_declaration_would_create(
    empty_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """compare_metadata looks away from primary keys, collations and ON DELETE; the database does not."""
    upgrade(empty_url)
    with connected(empty_url) as connection:
        migrated = described(connection)
    assert set(migrated) == set(metadata.tables)

    if empty_url.startswith("sqlite"):
        declared_url = f"sqlite:///{tmp_path / 'declared.sqlite'}"
    else:
        server: PostgresServer = request.getfixturevalue("postgres_server")
        declared_url = server.sqlalchemy_url(server.create_database(template="template1"))
    with connected(declared_url) as connection:
        declared().create_all(connection)
        assert migrated == described(connection)


def test_a_second_time_changes_nothing(empty_url: str) -> None:
    upgrade(empty_url)
    with connected(empty_url) as connection:
        connection.execute(
            text("INSERT INTO repositories (name, uid, created_at) VALUES ('kept', '0123', 1)")
        )
        connection.commit()

    upgrade(empty_url)

    with connected(empty_url) as connection:
        assert connection.scalar(text("SELECT name FROM repositories")) == "kept"


def test_processes_that_migrate_at_once_do_not_meet(empty_url: str) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        assert isinstance(pool, Pool)
        assert pool.map(upgrade, [empty_url] * 8, chunksize=1) == [None] * 8

    with connected(empty_url) as connection:
        assert connection.scalars(text("SELECT version_num FROM alembic_version")).all() == [NEWEST]


def test_the_schema_of_a_newer_version_is_refused_and_left_alone(empty_url: str) -> None:
    upgrade(empty_url)
    with connected(empty_url) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        connection.commit()

    with pytest.raises(MigrationError, match=r"9999.*newer"):
        upgrade(empty_url)

    with connected(empty_url) as connection:
        assert connection.scalars(text("SELECT version_num FROM alembic_version")).all() == ["9999"]


def test_a_step_that_fails_leaves_nothing_behind(empty_url: str) -> None:
    """A table in the way stops the first step half-way: what it had made is undone."""
    with connected(empty_url) as connection:
        connection.execute(text("CREATE TABLE uploads (id integer)"))
        connection.commit()

    with pytest.raises(MigrationError, match="uploads"):
        upgrade(empty_url)

    with connected(empty_url) as connection:
        assert inspect(connection).get_table_names() == ["uploads"]


@pytest.mark.parametrize("empty_url", ["postgresql"], indirect=True)
def test_who_loses_against_a_client_tries_again(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients of the version before work meanwhile."""
    real, lost = migrations._upgrade, []

    def deadlocked(connection: Connection) -> None:
        real(connection)
        if not lost:
            lost.append(True)
            connection.execute(text("DO $$ BEGIN RAISE EXCEPTION 'lost' USING ERRCODE = '40P01'; END $$"))

    monkeypatch.setattr(migrations, "_upgrade", deadlocked)
    upgrade(empty_url)
    assert lost
    with connected(empty_url) as connection:
        assert connection.scalars(text("SELECT version_num FROM alembic_version")).all() == [NEWEST]


def test_a_database_that_does_not_answer_is_said_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(MigrationError) as caught:
        upgrade(f"postgresql+psycopg://someone:hunter2@/nothing?host={tmp_path}&password=hunter2")

    assert "can't be migrated" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_url_that_is_none_is_refused_without_showing_it() -> None:
    with pytest.raises(MigrationError) as caught:
        upgrade("postgresql+psycopg://someone:hunter2@host:port/name")

    assert "index.url" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite"
    path.write_bytes(b"something else, long enough to be read as a header" * 100)

    with pytest.raises(MigrationError, match="not a database"):
        upgrade(f"sqlite:///{path}")

    assert path.read_bytes().startswith(b"something else")


def test_sqlite_is_left_with_a_write_ahead_log(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite"
    upgrade(f"sqlite:///{path}")

    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
