"""A server of PostgreSQL that ends connections, falls silent, restarts or is not there."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import cast

import psycopg
import pytest
from sqlalchemy import func, select, text

from registry.index import Connection, Index, open_index, repositories, silence, snapshots
from registry.index.snapshots import Snapshots
from registry.index.statements import Statement
from registry.oci.errors import Unavailable
from tests.support.postgres import PostgresServer
from tests.unit.index.asking import is_steady, names

POSTGRES_ONLY = pytest.mark.parametrize("index_url", ["postgresql"], indirect=True)


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
