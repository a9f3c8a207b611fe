"""Group commit on SQLite: changes share a transaction, and nothing else."""

import asyncio
import errno
import fcntl
import multiprocessing
import os
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, text

from registry.index import repositories
from registry.index.engine import sqlite_engine, translated_errors
from registry.index.group_writer import LARGEST_GROUP, GroupWriter
from registry.index.migrations import upgrade
from registry.oci.errors import Unavailable

Change = Callable[[Connection], object]


class Written:
    """A writer, the statements that it ran, and the lock that all writers share."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = Path(f"{path}.lock")
        self.statements: list[str] = []
        engine = sqlite_engine(f"sqlite:///{path}", pool_size=2)
        event.listen(engine, "connect", lambda opened, _: opened.set_trace_callback(self.statements.append))
        self.engine = engine
        self.writer = GroupWriter(engine, self.lock, translated_errors)

    async def together(self, *changes: Change, durable: Sequence[bool] = ()) -> list[object]:
        """Run changes (durable ones unless told) that gather while an earlier one is running; what they
        return or raise."""
        running, go_on = threading.Event(), threading.Event()

        def earlier(_: Connection) -> None:
            running.set()
            go_on.wait(10)

        first = asyncio.ensure_future(self.writer.run(earlier, durable=False))
        await asyncio.to_thread(running.wait, 10)
        waiting = [
            asyncio.ensure_future(self.writer.run(change, durable=is_durable))
            for change, is_durable in zip(changes, durable or [True] * len(changes), strict=True)
        ]
        await asyncio.sleep(0)  # each has put itself into the queue then
        self.statements.clear()
        go_on.set()
        await first
        return await asyncio.gather(*waiting, return_exceptions=True)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be another process that is writing."""
        descriptor = os.open(self.lock, os.O_RDWR)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            os.close(descriptor)

    def names(self) -> list[str]:
        with sqlite3.connect(self.path) as connection:
            found = [row[0] for row in connection.execute("SELECT name FROM repositories ORDER BY name")]
        connection.close()
        return found


@pytest.fixture
async def written(tmp_path: Path) -> AsyncIterator[Written]:
    path = tmp_path / "index.sqlite"
    upgrade(f"sqlite:///{path}")
    written = Written(path)
    yield written
    await asyncio.to_thread(written.writer.close)
    written.engine.dispose()


def create(name: str) -> Change:
    return partial(repositories.ensure, name=name, now=1.0)


def create_and_raise(connection: Connection) -> None:
    repositories.ensure(connection, "undone", 1.0)
    raise LookupError("this one changed its mind")


def create_and_break_a_rule(connection: Connection) -> None:
    repositories.ensure(connection, "undone", 1.0)
    connection.execute(text("INSERT INTO tags VALUES (4711, 'a', 4711, 1)"))


def break_a_rule_at_commit(connection: Connection) -> None:
    connection.execute(text("PRAGMA defer_foreign_keys = ON"))
    connection.execute(text("INSERT INTO tags VALUES (4711, 'a', 4711, 1)"))


async def test_changes_that_wait_share_a_transaction(written: Written) -> None:
    results = await written.together(*(create(f"r{number:02}") for number in range(20)))

    assert len(set(map(str, results))) == 20
    assert written.names() == [f"r{number:02}" for number in range(20)]
    # One ends the change before them, one is theirs.
    assert written.statements.count("COMMIT") <= 2


async def test_a_group_has_a_largest_size(written: Written) -> None:
    await written.together(*(create(f"r{number}") for number in range(3 * LARGEST_GROUP)))

    assert len(written.names()) == 3 * LARGEST_GROUP
    assert 3 <= written.statements.count("COMMIT") <= 5


@pytest.mark.parametrize(
    ("failing", "kind"),
    [(create_and_raise, LookupError), (create_and_break_a_rule, sqlite3.IntegrityError)],
)
async def test_a_change_that_fails_does_not_hurt_its_group(
    written: Written, failing: Change, kind: type[Exception]
) -> None:
    first, broken, last = await written.together(create("first"), failing, create("last"))

    assert isinstance(first, int)
    assert isinstance(broken, kind)
    assert isinstance(last, int)
    assert written.names() == ["first", "last"], "and nothing of the one that failed"


async def test_a_commit_that_fails_fails_them_all(written: Written) -> None:
    results = await written.together(create("first"), break_a_rule_at_commit, create("last"))

    assert [type(result) for result in results] == 3 * [sqlite3.IntegrityError]
    assert written.names() == [], "nobody was told of a success that is none"
    await written.writer.run(create("later"), durable=True)
    assert written.names() == ["later"]


async def test_one_durable_change_makes_its_group_durable(written: Written) -> None:
    """WAL is synced at commit with FULL and not with NORMAL."""
    for durable, mode in (
        ((True, True), "FULL"),
        ((False, True), "FULL"),
        ((True, False), "FULL"),
        ((False, False), "NORMAL"),
    ):
        await written.together(create("a"), create("b"), durable=durable)
        modes = [statement for statement in written.statements if "synchronous" in statement]
        assert modes == [f"PRAGMA synchronous = {mode}"]


async def test_whoever_stops_waiting_hinders_nobody(written: Written) -> None:
    with written.held():
        running = [asyncio.ensure_future(written.writer.run(create(name), durable=True)) for name in "abc"]
        await asyncio.sleep(0.1)
        running[1].cancel()

    results = await asyncio.gather(*running, return_exceptions=True)

    assert isinstance(results[1], asyncio.CancelledError)
    assert all(isinstance(result, int) for result in (results[0], results[2]))


async def test_closing_waits_for_what_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "index.sqlite"
    upgrade(f"sqlite:///{path}")
    written = Written(path)
    with written.held():
        running = [asyncio.ensure_future(written.writer.run(create(name), durable=True)) for name in "abc"]
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(asyncio.to_thread(written.writer.close))
        await asyncio.sleep(0.1)
        assert not closing.done()
    await closing
    await asyncio.gather(*running)
    written.engine.dispose()

    assert written.names() == ["a", "b", "c"]


async def within_a_moment(written: Written, change: Change) -> object:
    """A test that hangs says less than one that fails."""
    async with asyncio.timeout(10):
        return await written.writer.run(change, durable=True)


async def test_a_lock_that_fails_fails_its_change_alone(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = OSError(errno.ENOLCK, "no locks available")

    def refuse(descriptor: int, operation: int) -> None:
        raise refusal

    with monkeypatch.context() as patched:
        patched.setattr(fcntl, "flock", refuse)
        with pytest.raises(Unavailable) as told:
            await within_a_moment(written, create("first"))
    await within_a_moment(written, create("second"))

    assert told.value.__cause__ is refusal
    assert written.names() == ["second"]


async def test_a_connection_that_can_not_be_dropped(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = OSError(errno.EIO, "input/output error")

    def refuse(connection: Connection) -> None:
        raise refusal

    with monkeypatch.context() as patched:
        patched.setattr(Connection, "invalidate", refuse)
        results = await written.together(create("first"), break_a_rule_at_commit)
    await within_a_moment(written, create("later"))

    assert [type(result) for result in results] == 2 * [Unavailable]
    assert all(isinstance(result, Unavailable) and result.__cause__ is refusal for result in results)
    assert written.names() == ["later"]


async def test_a_change_that_ends_its_thread_does_not(written: Written) -> None:
    def leave(_: Connection) -> None:
        raise SystemExit(1)

    with pytest.raises(Unavailable) as told:
        await within_a_moment(written, leave)
    await within_a_moment(written, create("later"))

    assert isinstance(told.value.__cause__, SystemExit)
    assert written.names() == ["later"]


async def test_a_loop_that_was_closed_hinders_nobody(written: Written) -> None:
    """Whose change is the first of the group, with others behind it."""

    def leave_behind() -> None:
        async def ask() -> None:
            asking = asyncio.ensure_future(written.writer.run(create("left"), durable=True))
            await asyncio.sleep(0)  # it has put itself into the queue then
            asking.cancel()

        asyncio.run(ask())

    with written.held():
        await asyncio.to_thread(leave_behind)
        others = [asyncio.ensure_future(within_a_moment(written, create(name))) for name in "ab"]
        await asyncio.sleep(0)
    await asyncio.gather(*others)
    await within_a_moment(written, create("c"))

    assert written.names() == ["a", "b", "c", "left"]


async def test_a_writer_that_was_closed_says_so(tmp_path: Path) -> None:
    written = Written(tmp_path / "index.sqlite")
    await asyncio.to_thread(written.writer.close)
    written.engine.dispose()

    with pytest.raises(Unavailable):
        await within_a_moment(written, create("late"))


CHANGES = 60


def write_many(path: Path, writer: int) -> None:
    """What another process does: read, add one, write, as often as told."""

    async def run() -> None:
        written = Written(path)
        await asyncio.gather(
            *(
                written.writer.run(partial(add_one, name=f"{writer}-{n}"), durable=True)
                for n in range(CHANGES)
            )
        )
        written.writer.close()
        written.engine.dispose()

    asyncio.run(run())


def add_one(connection: Connection, name: str) -> None:
    """Loses an update wherever two transactions overlap."""
    repositories.ensure(connection, name, 1.0)
    count = connection.execute(
        text("SELECT created_at FROM repositories WHERE name = 'counter'")
    ).scalar_one()
    connection.execute(
        text("UPDATE repositories SET created_at = :n WHERE name = 'counter'"), {"n": count + 1}
    )


async def test_two_processes_write_one_index(written: Written) -> None:
    await written.writer.run(partial(repositories.ensure, name="counter", now=0.0), durable=True)
    spawn = multiprocessing.get_context("spawn")
    others = [spawn.Process(target=write_many, args=(written.path, number)) for number in range(2)]
    for other in others:
        other.start()
    await asyncio.gather(
        *(written.writer.run(partial(add_one, name=f"own-{n}"), durable=True) for n in range(CHANGES))
    )
    for other in others:
        await asyncio.to_thread(other.join, 60)

    assert [other.exitcode for other in others] == [0, 0]
    assert len(written.names()) == 3 * CHANGES + 1
    with sqlite3.connect(written.path) as connection:
        assert connection.execute(
            "SELECT created_at FROM repositories WHERE name = 'counter'"
        ).fetchone() == (3 * CHANGES,)
    connection.close()
