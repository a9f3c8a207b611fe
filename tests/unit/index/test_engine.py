"""Reads and changes: all or nothing, tried again where the database asks for it, its errors translated."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Hashable
from functools import partial
from itertools import pairwise

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from registry.index import Connection, Index, open_index, repositories
from registry.index.engine import ATTEMPTS, translate
from registry.oci.errors import StorageFull, Unavailable
from tests.unit.index.asking import is_steady, names

SQLITE_ONLY = pytest.mark.parametrize("index_url", ["sqlite"], indirect=True)

POSTGRES_ONLY = pytest.mark.parametrize("index_url", ["postgresql"], indirect=True)


async def test_what_a_change_did_is_there_when_it_returns(index: Index) -> None:
    created = await index.write(partial(repositories.ensure, name="a", now=1.0))

    assert await index.read(partial(repositories.find, name="a")) == created
    assert await index.write(partial(repositories.ensure, name="a", now=2.0)) == created


async def test_a_change_that_raises_does_nothing(index: Index) -> None:
    def change(connection: Connection) -> None:
        repositories.ensure(connection, "half", 1.0)
        raise LookupError("something is missing")

    with pytest.raises(LookupError, match="something is missing"):
        await index.write(change)
    assert await names(index) == []


async def test_a_read_sees_what_others_committed(index: Index, index_url: str) -> None:
    other = open_index(index_url, pool_size=1)
    try:
        for number in range(5):
            await other.write(partial(repositories.ensure, name=f"r{number}", now=1.0))
            assert len(await names(index)) == number + 1
    finally:
        other.close()


async def test_a_statement_that_is_wrong_is_a_defect_and_no_outage(index: Index) -> None:
    def wrong(connection: Connection) -> object:
        return connection.execute(text("INSERT INTO repositories (id, name) VALUES (1, NULL)"))

    with pytest.raises((sqlite3.IntegrityError, psycopg.errors.NotNullViolation)):
        await index.write(wrong)
    assert await names(index) == []


async def test_the_generation_changes_with_every_commit_of_anybody(index: Index, index_url: str) -> None:
    other = open_index(index_url, pool_size=1)
    try:
        seen = [await index.generation()]
        for number, writer in enumerate([index, other, index, other]):
            assert await is_steady(index), "a read changes nothing"
            await writer.write(partial(repositories.ensure, name=f"r{number}", now=1.0))
            seen.append(await index.generation())
    finally:
        other.close()

    assert all(before != after for before, after in pairwise(seen))


@SQLITE_ONLY
async def test_the_generation_of_a_busy_database_is_not_waited_for(index_url: str) -> None:
    """A rollback journal is what a lock of a writer keeps readers away with; a WAL does so in recovery."""
    path = str(make_url(index_url).database)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("PRAGMA journal_mode = DELETE")
    index = open_index(index_url, pool_size=1)
    try:
        holder.execute("BEGIN EXCLUSIVE")
        asked = time.monotonic()
        with pytest.raises(Unavailable):
            await index.generation()
        assert time.monotonic() - asked < 5, "the event loop would have stood still"
        holder.execute("ROLLBACK")
        assert await index.generation() is not None
    finally:
        holder.close()
        index.close()


@POSTGRES_ONLY
async def test_a_generation_of_a_server_is_never_of_before_the_question(index: Index, index_url: str) -> None:
    """Many ask while somebody commits, and share answers: none of before a commit comes after it."""
    other = open_index(index_url, pool_size=1)
    ended: set[Hashable] = set()
    commits = 50

    async def ask() -> None:
        while len(ended) < commits:
            before = frozenset(ended)
            assert await index.generation() not in before

    askers = [asyncio.create_task(ask()) for _ in range(8)]
    try:
        for number in range(commits):
            generation = await index.generation()
            await other.write(partial(repositories.ensure, name=f"r{number}", now=1.0))
            ended.add(generation)
        await asyncio.gather(*askers)
    finally:
        other.close()


@SQLITE_ONLY
async def test_a_disk_without_room(index: Index) -> None:
    def fill(connection: Connection) -> None:
        connection.execute(text("PRAGMA max_page_count = 1"))  # becomes the size that the file has now
        for number in range(2000):
            repositories.ensure(connection, f"r{number}-{200 * 'x'}", 1.0)

    with pytest.raises(StorageFull):
        await index.write(fill)
    assert await names(index) == []
    await index.write(lambda connection: connection.execute(text("PRAGMA max_page_count = 1000000")))
    await index.write(partial(repositories.ensure, name="a", now=1.0))


@POSTGRES_ONLY
async def test_changes_that_lock_each_other_out_are_tried_again(index: Index) -> None:
    both_hold_one = threading.Barrier(2)
    attempts: list[int] = []

    def change(connection: Connection, first: int, second: int) -> None:
        attempts.append(first)
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": first})
        if attempts.count(first) == 1:
            both_hold_one.wait(10)
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": second})
        repositories.ensure(connection, f"r{first}", 1.0)

    await asyncio.gather(
        index.write(partial(change, first=1, second=2)), index.write(partial(change, first=2, second=1))
    )

    assert await names(index) == ["r1", "r2"]
    assert len(attempts) == 3


@POSTGRES_ONLY
async def test_a_change_is_not_tried_for_ever(index: Index) -> None:
    await index.write(partial(repositories.ensure, name="taken", now=1.0))
    attempts = []

    def take(connection: Connection) -> None:
        attempts.append(1)
        connection.execute(text("INSERT INTO repositories (name, uid, created_at) VALUES ('taken', '', 1)"))

    with pytest.raises(Unavailable):
        await index.write(take)
    assert len(attempts) == ATTEMPTS


@POSTGRES_ONLY
async def test_a_statement_that_takes_too_long(index_url: str) -> None:
    index = open_index(
        f"{index_url}{'&' if '?' in index_url else '?'}options=-cstatement_timeout=50", pool_size=1
    )
    sleep = text("SELECT pg_sleep(20)")
    try:
        for run in (index.read, index.write):
            with pytest.raises(Unavailable) as refusal:
                await run(lambda connection: connection.execute(sleep))
            assert isinstance(refusal.value.__cause__, psycopg.errors.QueryCanceled)
        assert await names(index) == []
    finally:
        await asyncio.to_thread(index.close)


def with_state(kind: type[psycopg.Error], state: str) -> psycopg.Error:
    error = kind("told by the server")
    error.sqlstate = state
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (with_state(psycopg.OperationalError, "53100"), StorageFull),  # disk full
        (with_state(psycopg.OperationalError, "53300"), Unavailable),  # too many connections
        (with_state(psycopg.OperationalError, "57P01"), Unavailable),  # admin shutdown
        (with_state(psycopg.OperationalError, "57014"), Unavailable),  # statement timeout
        (with_state(psycopg.OperationalError, "08006"), Unavailable),  # connection failure
        (with_state(psycopg.OperationalError, "40001"), Unavailable),  # serialization failure
        (with_state(psycopg.OperationalError, "40P01"), Unavailable),  # deadlock
        (with_state(psycopg.InternalError, "25006"), Unavailable),  # read-only: a standby
        (with_state(psycopg.OperationalError, "58030"), Unavailable),  # I/O error
        (psycopg.OperationalError("could not connect"), Unavailable),
        (psycopg.InterfaceError("the connection is closed"), Unavailable),
        (sqlite3.OperationalError("database is locked"), Unavailable),
        (sqlite3.OperationalError("disk I/O error"), Unavailable),
        (with_state(psycopg.ProgrammingError, "42P01"), psycopg.ProgrammingError),  # no such table
        (with_state(psycopg.DataError, "22021"), psycopg.DataError),
        (sqlite3.IntegrityError("FOREIGN KEY constraint failed"), sqlite3.IntegrityError),
    ],
)
def test_what_a_driver_says_is_an_outage_or_a_defect(error: Exception, expected: type[Exception]) -> None:
    assert type(translate(error)) is expected
