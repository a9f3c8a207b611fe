"""Quotas of the version before say what is used as soon as its index is brought to the newest form."""

import pytest
from sqlalchemy import text

from registry.index.migrations import upgrade
from tests.unit.migrations.test_accounts_migration import ROWS, upgrade_to, writing
from tests.unit.migrations.test_migrations import empty_url

__all__ = ["empty_url"]

QUOTAS = (
    "INSERT INTO quotas (prefix, bytes, created_at, created_by)"
    " VALUES ('acme', 100, 1, 'x'), ('acme/app', 100, 1, 'x'), ('acme/a', 5, 1, 'x')"
)


def test_what_is_there_is_counted(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    upgrade_to(empty_url, "0001", monkeypatch)
    with writing(empty_url) as connection:
        for statement in ROWS:
            connection.execute(text(statement))
    upgrade_to(empty_url, "0002", monkeypatch)
    with writing(empty_url) as connection:
        connection.execute(text(QUOTAS))

    upgrade(empty_url)

    with writing(empty_url) as connection:
        used = connection.execute(text("SELECT prefix, used FROM quotas ORDER BY prefix"))
        assert [tuple(row) for row in used] == [("acme", 12), ("acme/a", 0), ("acme/app", 12)]
