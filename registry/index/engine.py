"""The index as the services see it: reads and changes, run in threads, on SQLite or PostgreSQL."""

import asyncio
import sqlite3
import sys
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from registry.index.group_writer import GroupWriter, lock_file
from registry.oci.errors import StorageFull, Unavailable

if TYPE_CHECKING:  # whoever has SQLite never needs psycopg, which takes a while to import
    import psycopg

    from registry.index.snapshots import Snapshots

__all__ = ["Connection", "Index", "open_index"]

Result = TypeVar("Result")

ATTEMPTS = 5
"""How often a change is tried that lost against another one. One whose connection broke is not tried again
here: it may have been committed, and only the client knows whether asking twice does harm."""

CONNECT_SECONDS = 5
STATEMENT_SECONDS = 30
"""How long PostgreSQL may take to let us in, and for a statement."""

RETRIED_STATES = {
    "40001",  # serialization failure
    "40P01",  # deadlock
    "55P03",  # a lock that was not to be waited for so long, lest others wait behind
    "23503",  # what this row references went away in between, or came: looked at again, it has an answer
    "23505",  # somebody else entered the same in between
}


class Writer(Protocol):
    """Runs a change in a transaction of its own or in one that it shares; in either case all or nothing."""

    async def run(self, change: Callable[[Connection], Result], *, durable: bool) -> Result: ...

    def close(self) -> None: ...


class Index:
    """Queries and changes are plain functions of a connection: see the modules of this package.

    They run in threads, so that the event loop never waits for a database.
    """

    def __init__(
        self,
        engine: Engine,
        writer: Writer,
        threads: ThreadPoolExecutor,
        watch: "sqlite3.Connection | Snapshots",
    ) -> None:
        self._engine = engine
        self._writer = writer
        self._threads = threads
        self._watch = watch.cursor() if isinstance(watch, sqlite3.Connection) else watch

    async def read(self, query: Callable[[Connection], Result]) -> Result:
        """Run a query. Its statements each see the newest committed state.

        Raises Unavailable when the database does not answer.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._read, query)

    def _read(self, query: Callable[[Connection], Result]) -> Result:
        with translated_errors(), self._engine.connect() as connection, noticed_loss(connection):
            return query(connection)

    async def snapshot(self, query: Callable[[Connection], Result]) -> Result:
        """Run a query whose statements all see one state, that of its first. Writers go on meanwhile.

        It may take long. SQLite's write-ahead log grows until it ends. Raises Unavailable.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._snapshot, query)

    def _snapshot(self, query: Callable[[Connection], Result]) -> Result:
        with (
            translated_errors(),
            self._engine.connect() as connection,
            noticed_loss(connection),
            unchanging(connection),
        ):
            return query(connection)

    async def write(self, change: Callable[[Connection], Result], *, durable: bool = True) -> Result:
        """Run a change as one transaction, which is on the disk when this returns.

        `durable=False` lets a power cut (not a crash of the process) undo it: for what a client can do
        again without noticing. A change may run more than once before it commits, so it must have no
        effect but on the connection. Raises what the change raises, StorageFull and Unavailable.
        """
        return await self._writer.run(change, durable=durable)

    async def generation(self) -> Hashable:
        """Another value whenever any process has committed a change.

        What was read after asking for a generation is true as long as the same one is answered. On SQLite
        it costs some 5 µs and touches shared memory only, which is why it may run in the event loop; it
        never waits there. PostgreSQL is asked once for all who wait. Raises Unavailable when the database is
        busy or can't be read.
        """
        if not isinstance(self._watch, sqlite3.Cursor):
            with translated_errors():
                return await self._watch.now()
        try:
            (version,) = self._watch.execute("PRAGMA data_version").fetchone()
        except sqlite3.Error as error:  # a context manager would cost as much as the question
            raise translate(error) from error
        return int(version)

    def close(self) -> None:
        """End the threads and connections, after the changes that are under way."""
        self._writer.close()
        self._threads.shutdown()
        self._engine.dispose()
        watch = self._watch.connection if isinstance(self._watch, sqlite3.Cursor) else self._watch
        watch.close()


class PooledWriter:
    """For PostgreSQL: a transaction a change, many side by side."""

    def __init__(self, engine: Engine, threads: ThreadPoolExecutor) -> None:
        self._transactions = engine.execution_options(isolation_level="READ COMMITTED")
        self._threads = threads

    async def run(self, change: Callable[[Connection], Result], *, durable: bool) -> Result:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, partial(self._run, change))

    def _run(self, change: Callable[[Connection], Result]) -> Result:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with (
                    translated_errors(),
                    self._transactions.begin() as connection,
                    noticed_loss(connection),
                ):
                    return change(connection)
            except Unavailable as error:
                if attempt == ATTEMPTS or not may_retry(error.__cause__):
                    raise
        raise AssertionError("the loop returns or raises")

    def close(self) -> None:
        """Nothing: threads and connections belong to the index."""


@contextmanager
def unchanging(connection: Connection) -> Iterator[None]:
    """A transaction that reads one state and changes nothing."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN DEFERRED")
        try:
            yield
        finally:
            connection.exec_driver_sql("ROLLBACK")
    else:
        connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        with connection.begin():
            yield


@contextmanager
def noticed_loss(connection: Connection) -> Iterator[None]:
    """Have the pool drop a connection that broke. Statements run past SQLAlchemy, which would try to roll
    back, and tell at length that it can't."""
    try:
        yield
    except database_errors() as error:
        state = getattr(error, "sqlstate", None)
        if is_operational(error) and (state is None or state.startswith(("08", "57P"))):
            connection.invalidate(error)
        raise


def may_retry(error: BaseException | None) -> bool:
    """Whether the database itself undid the transaction, so that it may simply run again."""
    return getattr(error, "sqlstate", None) in RETRIED_STATES


def database_errors() -> tuple[type[Exception], ...]:
    """What databases raise. Where psycopg was never imported nobody raises its errors."""
    kinds = (SQLAlchemyError, sqlite3.Error)
    psycopg = sys.modules.get("psycopg")
    return kinds if psycopg is None else (*kinds, psycopg.Error)


def is_operational(error: BaseException) -> bool:
    """Whether it is PostgreSQL's, about the connection or the server and not about what was asked."""
    psycopg = sys.modules.get("psycopg")
    return psycopg is not None and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn what the database says into the registry's own errors; the database's is their cause."""
    try:
        yield
    except database_errors() as error:
        told = getattr(error, "orig", None) or error
        raise translate(told) from told


def translate(error: BaseException) -> Exception:
    """The registry's error for a driver's: a full disk, a database that can't serve now, or a defect."""
    state = getattr(error, "sqlstate", None) or ""
    if state == "53100" or getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
        return StorageFull("the index has no room left on its disk")
    if isinstance(error, sqlite3.OperationalError) or state in RETRIED_STATES:
        return Unavailable("the index can't be used now")
    unreachable = isinstance(error, PoolTimeout) or is_operational(error)
    if unreachable or state[:2] in ("08", "53", "57", "58") or state == "25006":
        return Unavailable("the index database does not answer now")
    return error if isinstance(error, Exception) else RuntimeError(str(error))


def open_index(url: str, *, pool_size: int) -> Index:
    """Open the index at an SQLAlchemy URL. Its schema must be there (registry.index.migrations)."""
    if make_url(url).get_backend_name() == "sqlite":
        return open_sqlite(url, pool_size)
    from registry.index.snapshots import Snapshots  # with psycopg

    engine = postgresql_engine(url, pool_size)
    threads = ThreadPoolExecutor(pool_size, thread_name_prefix="index")

    def connect() -> "psycopg.Connection":
        """A connection that the pool no longer counts."""
        with translated_errors():
            pooled = engine.raw_connection()
            connection = cast("psycopg.Connection", pooled.driver_connection)
            pooled.detach()
            return connection

    return Index(engine, PooledWriter(engine, threads), threads, Snapshots(connect, threads))


def postgresql_engine(url: str, pool_size: int) -> Engine:
    """An engine that gives up a server which went silent, and doesn't mind one that was restarted.

    What the URL sets itself, such as `?options=-c statement_timeout=60000`, counts.
    """
    from registry.index.silence import SILENCE_SECONDS, give_up_silent_peers  # with psycopg

    chosen = make_url(url).query
    limits: dict[str, object] = {
        "connect_timeout": CONNECT_SECONDS,
        "tcp_user_timeout": int(SILENCE_SECONDS * 1000),
        "keepalives": 1,  # they end a silence in which we only wait: nothing that we sent is missing then
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
    }
    arguments = {name: value for name, value in limits.items() if name not in chosen}
    options = chosen.get("options", ())
    arguments["options"] = " ".join(
        (
            f"-c statement_timeout={STATEMENT_SECONDS * 1000}",
            *((options,) if isinstance(options, str) else options),
        )
    )
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=30,
        pool_pre_ping=True,
        # Reads are single statements: BEGIN and ROLLBACK around each would cost two more round trips.
        isolation_level="AUTOCOMMIT",
        connect_args=arguments,
    )
    give_up_silent_peers(engine)
    return engine


def open_sqlite(url: str, pool_size: int) -> Index:
    engine = sqlite_engine(url, pool_size)
    threads = ThreadPoolExecutor(pool_size, thread_name_prefix="index")
    path = make_url(url).database
    if not path or path == ":memory:":
        raise ValueError("the index needs a file: SQLite in memory is not shared between connections")
    # It is asked in the event loop, which must not wait.
    watch = sqlite3.connect(path, isolation_level=None, timeout=0, check_same_thread=False)
    return Index(engine, GroupWriter(engine, lock_file(path), translated_errors), threads, watch)


def sqlite_engine(url: str, pool_size: int) -> Engine:
    """An engine whose connections are durable at commit, check foreign keys and begin nothing unasked."""
    engine = create_engine(
        url, pool_size=pool_size, max_overflow=1, connect_args={"check_same_thread": False, "timeout": 30}
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # the driver's implicit BEGIN is a deferred one, too late for us
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")

    return engine
