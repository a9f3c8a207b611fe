"""An index of the first release, with rows in it, becomes one with accounts."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, create_engine, text

from registry.index import access, repositories, tags
from registry.index.migrations import MigrationError, upgrade
from tests.unit.migrations.test_migrations import NEWEST, connected, empty_url

__all__ = ["empty_url"]

ROWS = (
    "INSERT INTO repositories (id, name, created_at) VALUES (3, 'acme/app', 1.5), (7, 'acme/other', 2.5)",
    "INSERT INTO blobs (id, digest, size, location, lease_until, created_at)"
    " VALUES (1, 'sha256:b', 10, 'there', 0, 1)",
    "INSERT INTO repository_blobs (repository_id, blob_id, created_at) VALUES (3, 1, 1), (7, 1, 1)",
    "INSERT INTO manifests (id, repository_id, digest, media_type, size, body, pushed_at)"
    " VALUES (1, 3, 'sha256:m', 'application/json', 2, '{}', 1)",
    "INSERT INTO manifest_blobs (manifest_id, repository_id, blob_id) VALUES (1, 3, 1)",
    "INSERT INTO tags (repository_id, name, manifest_id, updated_at) VALUES (3, 'latest', 1, 1)",
    "INSERT INTO tag_history (repository_id, name, digest, at) VALUES (3, 'latest', 'sha256:m', 1)",
)


def upgrade_to(url: str, revision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the release did whose newest step that was."""

    def to_revision(config: Config, _head: str) -> None:
        original(config, revision)

    original = command.upgrade
    with monkeypatch.context() as patched:
        patched.setattr(command, "upgrade", to_revision)
        upgrade(url)


@contextmanager
def writing(url: str) -> Iterator[Connection]:
    engine = create_engine(url)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


@pytest.fixture
def old_url(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An index as the first release left it."""
    upgrade_to(empty_url, "0001", monkeypatch)
    with writing(empty_url) as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "0001"
        for statement in ROWS:
            connection.execute(text(statement))
    return empty_url


def test_repositories_keep_what_they_have_and_get_what_is_new(old_url: str) -> None:
    upgrade(old_url)

    with connected(old_url) as connection:
        app = repositories.details(connection, "acme/app")
        other = repositories.details(connection, "acme/other")
        assert app is not None
        assert other is not None
        assert app == (3, "acme/app", app.uid, False, "", (), 1.5, None)
        assert other == (7, "acme/other", other.uid, False, "", (), 2.5, None)
        assert all(re.fullmatch("[0-9a-f]{16}", row.uid) for row in (app, other))
        assert app.uid != other.uid
        assert tags.digest_of(connection, "acme/app", "latest") == "sha256:m"
        assert access.epoch(connection) == 0


def test_references_to_repositories_still_hold(old_url: str) -> None:
    """SQLite builds the table anew: what refers to it must refer to the new one."""
    upgrade(old_url)

    with writing(old_url) as connection:
        if connection.dialect.name == "sqlite":
            connection.execute(text("PRAGMA foreign_keys = ON"))
            assert connection.execute(text("PRAGMA foreign_key_check")).all() == []
            assert connection.execute(text("PRAGMA integrity_check")).all() == [("ok",)]
        assert repositories.remove(connection, 3, "user:admin", 2.0)

    with connected(old_url) as connection:
        for table in ("tags", "tag_history", "manifests", "manifest_blobs"):
            assert connection.scalar(text(f"SELECT count(*) FROM {table}")) == 0
        assert connection.scalar(text("SELECT count(*) FROM repository_blobs")) == 1


def test_a_migration_that_fails_half_way_leaves_the_old_index(
    old_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with writing(old_url) as connection:
        connection.execute(text("CREATE TABLE sign_in_failures (id integer)"))  # the last one to be made

    with pytest.raises(MigrationError, match="sign_in_failures"):
        upgrade(old_url)

    with writing(old_url) as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "0001"
        columns = connection.execute(text("SELECT * FROM repositories WHERE id = 3")).one()
        assert columns == (3, "acme/app", 1.5)
        connection.execute(text("DROP TABLE sign_in_failures"))

    upgrade(old_url)

    with connected(old_url) as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == NEWEST
