"""Group commit for SQLite: one transaction, and so one sync of the disk, for all changes that wait.

SQLite has one writer at a time. Instead of letting changes queue for its lock, each with a sync of its
own, one thread takes all that have gathered, runs each in a savepoint and commits them together.
"""

import asyncio
import fcntl
import os
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

from sqlalchemy import Connection, Engine

from registry.oci.errors import Unavailable

Result = TypeVar("Result")

LARGEST_GROUP = 64
"""Changes in one transaction: enough to share a sync, few enough that the first does not wait long."""


def lock_file(database: str) -> Path:
    """The file whose lock lines up all that write or migrate an SQLite database."""
    return Path(f"{database}.lock")


class Waiting(NamedTuple):
    """A change and whoever waits for it."""

    change: Callable[[Connection], Any]
    durable: bool
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[Any]"


class GroupWriter:
    """The one writing thread of this process. `lock` is a file that all processes on this index share."""

    def __init__(
        self, engine: Engine, lock: Path, translated_errors: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self._engine = engine
        self._translated_errors = translated_errors
        self._queue: queue.SimpleQueue[Waiting | None] = queue.SimpleQueue()
        # SQLite's own lock is polled with growing sleeps; this one wakes the next process at once.
        self._lock = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._connection: Connection | None = None
        self._closed = False
        self._entering = threading.Lock()  # nothing may enter the queue behind the mark of its end
        self._thread = threading.Thread(target=self._work, name="index-writer", daemon=True)
        self._thread.start()

    async def run(self, change: Callable[[Connection], Result], *, durable: bool) -> Result:
        """See Index.write. Raises Unavailable when the writer was closed."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        with self._entering:
            if self._closed:
                raise Unavailable("the index is closed: this process is ending")
            self._queue.put(Waiting(change, durable, loop, future))
        outcome = await future
        if isinstance(outcome, Exception):
            raise outcome
        return cast(Result, outcome)

    def close(self) -> None:
        """End the thread after what waits now."""
        with self._entering:
            self._closed = True
            self._queue.put(None)
        self._thread.join()
        if self._connection is not None:
            self._connection.close()
        os.close(self._lock)

    def _work(self) -> None:
        ended = False
        while not ended and (first := self._queue.get()) is not None:
            group = [first]
            outcomes: list[Any]
            try:
                with self._locked():
                    # Only now: while another process had the lock, more has gathered.
                    ended = self._gather(group)
                    outcomes = self._commit(group)
            except BaseException as error:  # noqa: BLE001 - everyone who waits is told; others go on
                outcomes = [failure(error)] * len(group)
            for waiting, outcome in zip(group, outcomes, strict=True):
                deliver(waiting, outcome)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other processes from writing. Raises OSError."""
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _gather(self, group: list[Waiting]) -> bool:
        """Add all that waits now; whether that is the last."""
        while len(group) < LARGEST_GROUP and not self._queue.empty():
            following = self._queue.get()
            if following is None:
                return True
            group.append(following)
        return False

    def _commit(self, group: list[Waiting]) -> list[Any]:
        """What each change returned or raised. Raises when the commit itself fails: then all have failed."""
        try:
            return self._committed(group)
        except BaseException:
            self._disconnect()
            raise

    def _committed(self, group: list[Waiting]) -> list[Any]:
        with self._translated_errors():
            connection = self._connection = self._connection or self._engine.connect()
            # The driver's own connection runs what needs neither parameters nor results: SQLAlchemy's way
            # costs ten times as much.
            run = connection.connection.driver_connection.execute  # type: ignore[union-attr]
            # Not durable: the frames are in the write-ahead log, and the next durable commit syncs them.
            durable = any(waiting.durable for waiting in group)
            run(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            run("BEGIN IMMEDIATE")
            outcomes = [self._attempt(connection, run, waiting.change) for waiting in group]
            run("COMMIT")
            return outcomes

    def _disconnect(self) -> None:
        """Whatever state a failed commit left the connection in, the next group starts with a new one."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            connection.invalidate()
        finally:
            connection.close()

    def _attempt(
        self, connection: Connection, run: Callable[[str], object], change: Callable[[Connection], Any]
    ) -> Any:
        run("SAVEPOINT change")
        try:
            with self._translated_errors():
                outcome = change(connection)
        except Exception as error:  # noqa: BLE001 - handed to the one who asked for the change
            run("ROLLBACK TO change")
            outcome = error
        run("RELEASE change")
        return outcome


def failure(error: BaseException) -> Exception:
    """What everyone in a group is told that could not be committed."""
    if isinstance(error, Exception) and not isinstance(error, OSError):
        return error
    unavailable = Unavailable("the index can't be used now")
    unavailable.__cause__ = error
    return unavailable


def deliver(waiting: Waiting, outcome: Any) -> None:
    """Wake the one who waits, if it still does."""

    def wake() -> None:
        if not waiting.future.done():
            waiting.future.set_result(outcome)

    with suppress(RuntimeError):  # its event loop was closed, so nobody waits any more
        waiting.loop.call_soon_threadsafe(wake)
