"""Connections to PostgreSQL that don't wait for an answer without end.

The limits of TCP end a network that went silent. They don't end a proxy that stands still, nor a server's
process: their machines go on acknowledging what is sent. So whoever waits looks at the clock, too.
"""

import time
from collections.abc import Generator
from typing import Any, Self, TypeVar

import psycopg
from psycopg.abc import PQGen
from sqlalchemy import Engine, event

Result = TypeVar("Result")

SILENCE_SECONDS = 10.0
"""How long an answer may take beyond what its statement may. One to nothing but "are you there" takes far
less than a second."""

LONGEST_STATEMENT = "SELECT setting::bigint FROM pg_settings WHERE name = 'statement_timeout'"
"""In milliseconds; 0: there is no limit. It may be the URL's, the role's or the database's."""


class Connection(psycopg.Connection[Any]):
    """A connection that waits for `patience` seconds while nothing comes, and then is closed; None: for ever.
    `longest_answer` is the patience that statements need."""

    patience: float | None = SILENCE_SECONDS
    longest_answer: float | None = None

    @classmethod
    def open(cls, *arguments: Any, **parameters: Any) -> Self:
        """Connect as psycopg does. Raises psycopg.Error."""
        connection = cls.connect(*arguments, **parameters)
        connection.patience = SILENCE_SECONDS
        connection.autocommit = True
        row = connection.execute(LONGEST_STATEMENT).fetchone()
        connection.autocommit = False
        assert row is not None
        connection.longest_answer = row[0] / 1000 + SILENCE_SECONDS if row[0] else None
        connection.patience = connection.longest_answer
        return connection

    def wait(self, gen: PQGen[Result], *arguments: Any, **options: Any) -> Result:
        """As psycopg does, which calls it for each exchange. Raises psycopg.OperationalError when nothing
        came for too long."""
        try:
            return super().wait(_not_for_ever(gen, self.patience), *arguments, **options)
        except TimeoutError as error:
            self.close()  # an answer that comes later would be taken for that to the next question
            raise psycopg.OperationalError(f"nothing came for {self.patience} seconds") from error


def give_up_silent_peers(engine: Engine) -> None:
    """Have an engine open such connections. One that lies in the pool is only asked whether it is there."""

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: Any, _record: Any, arguments: Any, parameters: Any) -> Connection:
        return Connection.open(*arguments, **parameters)

    @event.listens_for(engine, "checkout")
    def lend(connection: Connection, *_: object) -> None:
        connection.patience = connection.longest_answer

    @event.listens_for(engine, "checkin")
    def take_back(connection: Connection | None, _record: object) -> None:
        if connection is not None:  # it broke, and is not taken back
            connection.patience = SILENCE_SECONDS


def _not_for_ever(gen: PQGen[Result], seconds: float | None) -> Generator[Any, Any, Result]:
    """The same exchange; TimeoutError when for so long neither side could go on. psycopg wakes it ten times a
    second to tell that nothing happened."""
    happened = time.monotonic()
    try:
        awaited = next(gen)
        while True:
            ready = yield awaited
            now = time.monotonic()
            if ready:
                happened = now
            elif seconds is not None and now - happened > seconds:
                raise TimeoutError
            awaited = gen.send(ready)
    except StopIteration as end:
        result: Result = end.value
        return result
