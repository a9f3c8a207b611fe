"""Reads and changes: all or nothing, tried again where the database asks for it, its errors translated."""

import asyncio
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from typing import cast

import psycopg
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.engine import make_url

from registry.index import Connection, Index, open_index, repositories, silence, snapshots
from registry.index.engine import ATTEMPTS, translate
from registry.index.snapshots import Snapshots
from registry.index.statements import Statement
from registry.oci.errors import StorageFull, Unavailable
from tests.support.postgres import PostgresServer

SQLITE_ONLY = pytest.mark.parametrize("index_url", ["sqlite"], indirect=True)
POSTGRES_ONLY = pytest.mark.parametrize("index_url", ["postgresql"], indirect=True)


async def names(index: Index) -> list[str]:
    read = partial(repositories.page_visible, last=None, limit=100, prefixes=None)
    return [row.name for row in await index.read(read)]


async def is_steady(index: Index) -> bool:
    """Whether a generation outlasts a read. PostgreSQL now and then commits something by itself."""
    for _ in range(20):
        before = await index.generation()
        await names(index)
        if await index.generation() == before:
            return True
    return False


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
async def test_an_end_does_not_break_a_question_that_is_under_way(index: Index) -> None:
    watch = index._watch
    assert isinstance(watch, Snapshots)
    before = await watch.now()
    question = asyncio.create_task(watch.now())
    while not watch._turn.locked():
        await asyncio.sleep(0)
    connection = watch._connection
    assert connection is not None
    watch.close()
    assert (await question)[1] == before[1]
    assert connection.closed


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


@POSTGRES_ONLY
async def test_a_generation_is_told_although_the_server_ended_the_connection(
    index: Index, postgres_server: PostgresServer
) -> None:
    await index.generation()
    postgres_server.administer(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE query LIKE 'SELECT pg_current_snapshot%' AND pid <> pg_backend_pid()"
    )

    assert await is_steady(index)


@POSTGRES_ONLY
async def test_a_generation_is_told_although_the_connection_went_silent(
    index: Index, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its end is stopped: it acknowledges what it gets, and never answers."""
    monkeypatch.setattr(snapshots, "ANSWER_SECONDS", 0.2)
    await index.generation()
    with psycopg.connect(postgres_server.url("postgres")) as connection:
        asked = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'SELECT pg_current_snapshot%' AND pid <> "
        silent = [pid for (pid,) in connection.execute(asked + "pg_backend_pid()")]
    assert silent
    with stopped(silent):
        answers = await asyncio.wait_for(asyncio.gather(*(index.generation() for _ in range(3))), 20)
        assert await is_steady(index)

    assert all(answers)


@contextmanager
def stopped(processes: Sequence[int]) -> Iterator[None]:
    """Processes of the server stand still: their end acknowledges what it gets, and never answers, as that of
    a proxy does which hangs."""
    assert processes
    for pid in processes:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in processes:
            os.kill(pid, signal.SIGCONT)


def process_of(connection: Connection) -> int:
    pid: int = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    return pid


@POSTGRES_ONLY
async def test_connections_of_the_pool_that_went_silent_are_replaced(
    index_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "SILENCE_SECONDS", 0.2)
    index = open_index(index_url, pool_size=2)
    met = threading.Barrier(2)

    def at_once(connection: Connection) -> int:
        met.wait(10)
        return process_of(connection)

    try:
        silent = await asyncio.gather(*(index.read(at_once) for _ in range(2)))
        with stopped(silent):
            found = await asyncio.wait_for(asyncio.gather(*(names(index) for _ in range(4))), 20)
            await asyncio.wait_for(index.write(partial(repositories.ensure, name="a", now=1.0)), 20)
        assert found == [[], [], [], []]
    finally:
        await asyncio.to_thread(index.close)


@POSTGRES_ONLY
async def test_an_answer_that_never_comes_is_not_waited_for(
    index_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The limit of a statement is the server's to keep, which it can't."""
    monkeypatch.setattr(silence, "SILENCE_SECONDS", 0.2)
    options = "options=-cstatement_timeout=100"
    index = open_index(f"{index_url}{'&' if '?' in index_url else '?'}{options}", pool_size=1)

    def ask(connection: Connection) -> None:
        with stopped([process_of(connection)]):
            Statement(select(func.now())).all(connection, {})

    try:
        for run in (index.read, index.write):
            with pytest.raises(Unavailable) as refusal:
                await asyncio.wait_for(run(ask), 20)
            assert "nothing came for" in str(refusal.value.__cause__)
            assert await names(index) == []
    finally:
        await asyncio.to_thread(index.close)
    assert [record.getMessage() for record in caplog.records] == []


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
async def test_the_server_may_drop_every_connection(index: Index, postgres_server: PostgresServer) -> None:
    """As it does when it restarts: after a moment of refusals everything works again."""
    for round_number in range(3):
        await asyncio.gather(
            *(index.read(lambda c: c.execute(text("SELECT pg_sleep(0.05)")).all()) for _ in range(4))
        )
        await index.write(partial(repositories.ensure, name=f"before{round_number}", now=1.0))
        drop = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'entrepot_%'"
        await asyncio.to_thread(postgres_server.administer, drop)

        refused = 0
        deadline = time.monotonic() + 20
        while True:
            try:
                await index.write(partial(repositories.ensure, name=f"after{round_number}", now=1.0))
                await names(index)
                break
            except Unavailable:
                refused += 1
                assert time.monotonic() < deadline, "it never recovers"
        assert refused <= 8, "no more than one for each connection that was dropped, and kind"
        found = await asyncio.gather(*(names(index) for _ in range(8)))
        assert all(f"after{round_number}" in one for one in found)


@POSTGRES_ONLY
async def test_no_request_fails_after_a_restart(index: Index, postgres_server: PostgresServer) -> None:
    """Connections that the server dropped are noticed before they are used."""
    others = "FROM pg_stat_activity WHERE datname LIKE 'entrepot_%'"
    await asyncio.gather(*(index.read(lambda c: c.execute(text("SELECT pg_sleep(0.05)"))) for _ in range(4)))
    await asyncio.to_thread(postgres_server.administer, f"SELECT pg_terminate_backend(pid, 10000) {others}")

    await asyncio.gather(
        index.write(partial(repositories.ensure, name="a", now=1.0)), *(names(index) for _ in range(8))
    )

    assert await names(index) == ["a"]


@POSTGRES_ONLY
async def test_a_connection_that_ends_in_the_middle(index: Index, caplog: pytest.LogCaptureFixture) -> None:
    """It is dropped without a word of the pool's: whoever asked hears of it."""
    end = Statement(select(func.pg_terminate_backend(func.pg_backend_pid())))
    for run in (index.read, index.write):
        for _ in range(3):
            with pytest.raises(Unavailable):
                await run(lambda connection: end.all(connection, {}))
        assert await names(index) == []
    assert [record.getMessage() for record in caplog.records] == []


@POSTGRES_ONLY
async def test_a_server_is_not_waited_for_without_end(index: Index) -> None:
    def limits(connection: Connection) -> tuple[object, dict[str, str]]:
        timeout = connection.execute(text("SHOW statement_timeout")).scalar_one()
        driver = cast(psycopg.Connection[object], connection.connection.driver_connection)
        return timeout, driver.info.get_parameters()

    timeout, parameters = await index.read(limits)

    assert timeout == "30s"
    assert parameters["connect_timeout"] == "5"
    assert parameters["tcp_user_timeout"] == "10000"
    assert parameters["keepalives"] == "1"


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


async def test_a_server_that_is_not_there(tmp_path: object) -> None:
    index = open_index(f"postgresql+psycopg://nobody@/nothing?host={tmp_path}", pool_size=1)
    try:
        with pytest.raises(Unavailable) as refusal:
            await names(index)
        with pytest.raises(Unavailable):
            await index.write(partial(repositories.ensure, name="a", now=1.0))
    finally:
        index.close()
    assert str(tmp_path) not in refusal.value.message, "clients are not told where the database is"


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
