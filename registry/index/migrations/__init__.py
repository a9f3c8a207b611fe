"""Bring the index to the form that this version knows: `upgrade`.

The steps are the modules of `versions`. Each is written by hand, and never changed once released.
"""

import fcntl
import os
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from registry.index.group_writer import lock_file

__all__ = ["NEWEST", "MigrationError", "upgrade"]

NEWEST = "0003"
"""The revision that this version works on: the last of `versions`."""

LOCK = 0x656E747265706F74
"""The advisory lock of PostgreSQL that whoever migrates holds: "entrepot" in ASCII."""

WAIT_SECONDS = 60

DEADLOCK = "40P01"
ATTEMPTS = 20
"""Tries on PostgreSQL: clients of the version before work meanwhile, with locks in an order of their own. Who
lost against one of them has changed nothing."""


class MigrationError(Exception):
    """The index can't be brought to this version's form; the message says why, without secrets."""


def upgrade(url: str) -> None:
    """Create or migrate the index at an SQLAlchemy URL, all or nothing.

    Several processes may do so at once: one works, the others wait and find nothing left to do. The data
    of a newer version is refused untouched. Raises MigrationError.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise MigrationError("index.url can't be understood as the URL of a database") from None
    connect = _sqlite if parsed.get_backend_name() == "sqlite" else _postgresql
    try:
        for attempt in range(1, ATTEMPTS + 1):
            if _revisions(parsed) == [NEWEST]:
                return
            try:
                with connect(parsed) as connection:
                    _upgrade(connection)
            except OperationalError as error:
                if attempt == ATTEMPTS or getattr(error.orig, "sqlstate", None) != DEADLOCK:
                    raise
                time.sleep(random.uniform(0, 1))  # noqa: S311
    except (DBAPIError, OSError) as error:
        reason = getattr(error, "orig", None) or error
        raise MigrationError(
            f"the index at {parsed.set(query={}).render_as_string()} can't be migrated: {str(reason).strip()}"
        ) from error


def _revisions(url: URL) -> list[str]:
    """What an index says of its form: one revision; none if there is no index yet. Nothing is locked."""
    if url.get_backend_name() == "sqlite" and not Path(str(url.database)).exists():
        return []  # to connect would make the file
    timeout = {"timeout": WAIT_SECONDS} if url.get_backend_name() == "sqlite" else {"connect_timeout": 10}
    with create_engine(url, poolclass=NullPool, connect_args=timeout).connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return []
        return list(connection.scalars(text("SELECT version_num FROM alembic_version")))


def _upgrade(connection: Connection) -> None:
    from alembic import command  # here: it takes a while to import, and most starts find nothing to do
    from alembic.config import Config
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    known = {revision.revision for revision in ScriptDirectory.from_config(config).walk_revisions()}
    strange = set(MigrationContext.configure(connection).get_current_heads()) - known
    if strange:
        raise MigrationError(
            f"the index has the form {', '.join(sorted(strange))}, which this version of Entrepot does not "
            "know: a newer one made it. Run that version or a later one; nothing was changed."
        )
    command.upgrade(config, "head")


@contextmanager
def _postgresql(url: URL) -> Iterator[Connection]:
    """A transaction that nobody else migrates beside."""
    engine = create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": 10})
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
        yield connection


@contextmanager
def _sqlite(url: URL) -> Iterator[Connection]:
    """A transaction that nobody else migrates or writes beside."""
    engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": WAIT_SECONDS})

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # the driver's own BEGIN would leave out CREATE and ALTER
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN EXCLUSIVE")

    # The writers' lock: switching to WAL does not wait for SQLite's own locks, it fails.
    with _file_lock(lock_file(str(url.database))), engine.begin() as connection:
        yield connection


@contextmanager
def _file_lock(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
