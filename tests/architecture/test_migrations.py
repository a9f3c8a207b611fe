"""Expand first, contract in the next version (docs/operations.md, "Upgrades"): each migration leaves an index
that the version before can work on."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

import registry.index.migrations as migrations
from tests.architecture.schemas import Schema, breaks, schema_of
from tests.unit.migrations.test_accounts_migration import upgrade_to

FIRST_TO_KEEP_IT = "0003"
"""0002 requires `repositories.uid`, which the code of 0001 does not give. Both are of the first release, so
that no registry runs on 0001 alone."""


def revisions() -> list[str]:
    """All of them, the oldest first."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent).replace("%", "%%"))
    found = [one.revision for one in ScriptDirectory.from_config(config).walk_revisions()]
    return found[::-1]


PAIRS = list(pairwise(revisions()))

Made = Callable[[str], Schema]


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    """The schema that a revision leaves."""

    def of(revision: str) -> Schema:
        url = f"sqlite:///{tmp_path / revision}.sqlite"
        upgrade_to(url, revision, monkeypatch)
        with create_engine(url, poolclass=NullPool).connect() as connection:
            return schema_of(connection)

    return of


@pytest.mark.parametrize(("before", "after"), PAIRS, ids=[after for _, after in PAIRS])
def test_the_version_before_can_work_on(made: Made, before: str, after: str) -> None:
    expected = [] if after >= FIRST_TO_KEEP_IT else ["repositories.uid: new, required and without a default"]
    assert breaks(made(before), made(after)) == expected


CHANGES = {
    "CREATE TABLE others (id INTEGER PRIMARY KEY)": [],
    "CREATE INDEX ix_things_size ON things (size)": [],
    "ALTER TABLE things ADD COLUMN note TEXT": [],
    "ALTER TABLE things ADD COLUMN note TEXT NOT NULL DEFAULT ''": [],
    "DROP TABLE things": ["things: dropped"],
    "ALTER TABLE things RENAME TO items": ["things: dropped"],
    "ALTER TABLE things DROP COLUMN size": ["things.size: dropped"],
    "ALTER TABLE things RENAME COLUMN size TO bytes": ["things.size: dropped"],
    "CREATE UNIQUE INDEX uq_things_size ON things (size)": ["things: new rule, unique ['size']"],
    "ALTER TABLE things ADD COLUMN other INTEGER REFERENCES things (id)": [
        "things: new rule, reference ['other'] to things['id'] {}"
    ],
    "CREATE TABLE things_2 (id INTEGER PRIMARY KEY, name TEXT NOT NULL, size TEXT NOT NULL,"
    " kind TEXT NOT NULL)": [
        "things.size: was INTEGER, is TEXT",
        "things.size: required now",
        "things.kind: has no default any more",
        "things: dropped rule, unique ['name']",
    ],
    "CREATE TABLE things_2 (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, size INTEGER,"
    " kind TEXT NOT NULL DEFAULT 'a', colour TEXT NOT NULL)": [
        "things.colour: new, required and without a default"
    ],
}
"""What each change breaks. A table `things_2` takes the place of `things`."""


@pytest.mark.parametrize(("change", "broken"), CHANGES.items())
def test_what_would_break_the_version_before_is_found(change: str, broken: list[str]) -> None:
    with create_engine("sqlite://").connect() as connection:
        connection.execute(
            text(
                "CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, size INTEGER,"
                " kind TEXT NOT NULL DEFAULT 'a')"
            )
        )
        before = schema_of(connection)
        connection.execute(text(change))
        if "things_2" in change:
            connection.execute(text("DROP TABLE things"))
            connection.execute(text("ALTER TABLE things_2 RENAME TO things"))
        after = schema_of(connection)
    assert sorted(breaks(before, after)) == sorted(broken)
