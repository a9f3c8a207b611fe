"""Group commit for SQLite: one transaction, and so one sync of the disk, for all changes that wait.

SQLite has one writer at a time. Instead of letting changes queue for its lock, each with a sync of its
own, one thread takes all that have gathered, runs each in a savepoint and commits them together.
"""

import asyncio
import fcntl
import os
import queue
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Connection, Engine

Result = TypeVar("Result")

LARGEST_GROUP = 64
"""Changes in one transaction: enough to share a sync, few enough that the first does not wait long."""


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
        self._thread = threading.Thread(target=self._work, name="index-writer", daemon=True)
        self._thread.start()

    async def run(self, change: Callable[[Connection], Result], *, durable: bool) -> Result:
        """See Index.write."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        self._queue.put(Waiting(change, durable, loop, future))
        return await future

    def close(self) -> None:
        """End the thread after what waits now."""
        self._queue.put(None)
        self._thread.join()
        if self._connection is not None:
            self._connection.close()
        os.close(self._lock)

    def _work(self) -> None:
        ended = False
        while not ended and (first := self._queue.get()) is not None:
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            try:
                # Only now: while another process had the lock, more has gathered.
                group, ended = self._gather(first)
                outcomes = self._commit(group)
            finally:
                fcntl.flock(self._lock, fcntl.LOCK_UN)
            self._answer(group, outcomes)

    def _gather(self, first: Waiting) -> tuple[list[Waiting], bool]:
        """All that waits now, and whether it is the last."""
        group = [first]
        while len(group) < LARGEST_GROUP and not self._queue.empty():
            following = self._queue.get()
            if following is None:
                return group, True
            group.append(following)
        return group, False

    def _commit(self, group: list[Waiting]) -> list[Any]:
        """What each change returned or raised. When the commit itself fails, all have failed."""
        try:
            return self._committed(group)
        except Exception as error:  # noqa: BLE001 - handed to everyone who waits, none of it is lost
            self._reconnect()
            return [error] * len(group)

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

    def _reconnect(self) -> None:
        """Whatever state a failed commit left the connection in, the next group starts with a new one."""
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None

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

    @staticmethod
    def _answer(group: list[Waiting], outcomes: list[Any]) -> None:
        def deliver() -> None:
            for waiting, outcome in zip(group, outcomes, strict=True):
                if waiting.future.cancelled():
                    continue
                if isinstance(outcome, Exception):
                    waiting.future.set_exception(outcome)
                else:
                    waiting.future.set_result(outcome)

        group[0].loop.call_soon_threadsafe(deliver)
