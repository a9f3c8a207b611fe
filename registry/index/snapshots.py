"""What PostgreSQL says of the present: which transactions can be seen now.

Two equal snapshots of one server see the same rows. Transactions are numbered in one order, and one that has
ended never becomes open again: so nothing was committed between the two questions either.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor

import psycopg
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn, PGresult

Snapshot = tuple[bytes | None, bytes | None]
"""The snapshot, and since when the server runs: another one, after a failover, may count alike."""

ANSWER_SECONDS = 10.0
"""How long an answer is waited for. It takes far less than a millisecond; without a bound, one connection
that went silent behind a proxy, which acknowledges whatever is sent, would hold up all who ask."""

QUESTION = b"SELECT pg_current_snapshot(), pg_postmaster_start_time()"


class Snapshots:
    """One question at a time, whose answer is for all who were waiting before it was asked.

    It has a connection of its own and is asked in the event loop. To go through a thread and the pool costs
    several times as much as the database does.
    """

    def __init__(self, connect: Callable[[], psycopg.Connection], threads: Executor) -> None:
        self._connect = connect
        self._threads = threads
        self._connection: psycopg.Connection | None = None
        self._turn = asyncio.Lock()
        self._next: asyncio.Task[Snapshot] | None = None
        self._ended = False

    async def now(self) -> Snapshot:
        """Equal to an earlier one if nothing was committed since, by anybody, in any database of the server.

        It is of a moment after this call. Raises psycopg.Error, and what connecting raises.
        """
        if self._next is None:
            self._next = asyncio.create_task(self._ask_next())
            self._next.add_done_callback(_heard)
        return await asyncio.shield(self._next)

    async def _ask_next(self) -> Snapshot:
        async with self._turn:
            self._next = None  # who comes from here on may want to see more than this answer tells
            if self._connection is not None:
                try:
                    return await self._ask(self._connection)
                except psycopg.Error:
                    pass  # it broke, perhaps long ago: a new one tells whether the server is there
            loop = asyncio.get_running_loop()
            self._connection = await loop.run_in_executor(self._threads, self._connect)
            return await self._ask(self._connection)

    async def _ask(self, connection: psycopg.Connection) -> Snapshot:
        """Ask once; a connection that did not answer is closed."""
        try:
            result = await _answer(connection.pgconn)
        except BaseException:
            self._disconnect()
            raise
        if self._ended:
            self._disconnect()
        return result.get_value(0, 0), result.get_value(0, 1)

    def close(self) -> None:
        """End the connection, behind the answer that is waited for, if there is one."""
        self._ended = True
        if not self._turn.locked():
            self._disconnect()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


async def _answer(server: PGconn) -> PGresult:
    """Send the question, and wait for the answer in the event loop.

    Raises psycopg.OperationalError, also when no answer comes.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[PGresult] = loop.create_future()
    results: list[PGresult] = []

    def receive() -> None:
        try:
            server.consume_input()
            while not server.is_busy():
                result = server.get_result()
                if result is None:
                    loop.remove_reader(descriptor)
                    ended.set_result(results[-1])
                    return
                results.append(result)
        except psycopg.Error as error:
            loop.remove_reader(descriptor)
            ended.set_exception(error)

    server.send_query_params(QUESTION, None)
    server.flush()
    descriptor = server.socket
    loop.add_reader(descriptor, receive)
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            result = await ended
    except TimeoutError as error:
        raise psycopg.OperationalError(f"no answer came for {ANSWER_SECONDS} seconds") from error
    finally:
        loop.remove_reader(descriptor)
    if result.status != ExecStatus.TUPLES_OK:
        raise psycopg.OperationalError(result.error_message.decode(errors="replace"))
    return result


def _heard(task: "asyncio.Task[Snapshot]") -> None:
    """Look at an error for which nobody waits any more, so that it isn't told as a forgotten one."""
    if not task.cancelled():
        task.exception()
