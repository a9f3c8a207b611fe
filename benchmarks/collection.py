"""`python -m benchmarks.collection`: what a collection costs, beside docker-registry's `garbage-collect`.

First that a collection costs what there is to take, and not what there is: indexes of two sizes with equal
garbage, and one of them with twice as much. Then both programs on equal stores of files, each round on a
fresh copy.
"""

import argparse
import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy import Connection, text

from benchmarks.collection_stores import docker_store, own_store
from benchmarks.scale.databases import Postgresql
from benchmarks.scale.filling import copy_to_postgresql, fill_sqlite
from benchmarks.scale.shape import Scale
from registry.gc.collector import JOB, Collector
from registry.gc.jobs import Jobs
from registry.index import Index, blobs, open_index
from registry.services.audit import Audit
from storage_drivers import StorageDriver
from storage_drivers.filesystem import FilesystemDriver
from storage_drivers.memory import MemoryDriver
from tests.support.postgres import postgres

ROUNDS = 3
GARBAGE_SHARE = 0.01
GOAL = 20.0
"""How many times quicker than docker-registry a collection should be."""


async def no_uploads() -> int:
    return 0


class Bytes(MemoryDriver):
    """Has something to read at each location: the indexes that are measured alone have no objects."""

    async def read(self, location: str, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        yield b"."


def main() -> int:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(prog="collection", description="Measure what a collection costs.")
    parser.add_argument("--blobs", type=int, nargs=2, default=(100_000, 1_000_000), metavar="N")
    parser.add_argument("--files", type=int, default=100_000, metavar="N", help="blobs in stores of files")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", choices=("index", "files"))
    parser.add_argument("--work-dir", type=Path)
    given = parser.parse_args()
    enough = True
    with tempfile.TemporaryDirectory(prefix="collection-", dir=given.work_dir) as folder:
        if given.only != "files":
            by_garbage(Path(folder), tuple(given.blobs), given.rounds)
        if given.only != "index":
            enough = side_by_side(Path(folder), given.files, given.rounds)
    return 0 if enough else 1


def by_garbage(folder: Path, sizes: Sequence[int], rounds: int) -> None:
    """A table: how long a collection takes on indexes of two sizes. Bytes are not part of it."""
    small, large = sizes
    few = round(large * GARBAGE_SHARE)
    print("| index | blobs | garbage | collected in | blobs a second |\n|---|---:|---:|---:|---:|")
    with postgres(durable=True) as server:
        for blobs_there, garbages in ((small, (few,)), (large, (few, 2 * few))):
            path = folder / f"{blobs_there}.sqlite"
            fill_sqlite(path, Scale(blobs_there), time.time())
            name = server.create_database()
            copy_to_postgresql(path, server.url(name))
            for url, tidy in (
                (f"sqlite:///{path}", lambda: None),
                (server.sqlalchemy_url(name), partial(vacuum, server.sqlalchemy_url(name))),
            ):
                for garbage in garbages:
                    taken = [asyncio.run(collected(url, garbage, tidy)) for _ in range(rounds)]
                    seconds = median(taken)
                    kind = "SQLite" if url.startswith("sqlite") else "PostgreSQL"
                    print(
                        f"| {kind} | {blobs_there} | {garbage} | {seconds:.2f} s | {garbage / seconds:.0f} |",
                        flush=True,
                    )


def vacuum(url: str) -> None:
    """As autovacuum does after a while."""
    database = Postgresql(url)
    with database.trying() as connection:
        connection.exec_driver_sql("ROLLBACK")
        connection.exec_driver_sql("VACUUM ANALYZE")
        connection.exec_driver_sql("BEGIN")
    database.close()


async def collected(url: str, garbage: int, tidy: Callable[[], None]) -> float:
    """Make so many blobs that nothing needs, each in a repository; the seconds that collecting them takes."""
    index = open_index(url, pool_size=2)
    try:
        await make_garbage(index, garbage)
        await asyncio.to_thread(tidy)
        took, report = await collect(index, Bytes())
        assert report["blobs"] == garbage, report
        return took
    finally:
        await asyncio.to_thread(index.close)


async def make_garbage(index: Index, count: int) -> None:
    then = time.time() - 1000
    repositories = await index.read(
        lambda connection: list(connection.execute(text("SELECT id FROM repositories")).scalars())
    )

    def change(connection: Connection, numbers: range) -> None:
        for number in numbers:
            digest = f"sha256:{os.urandom(32).hex()}"
            row = blobs.record(connection, digest, 4096, f"garbage/{digest}", then, then)
            blobs.link(connection, repositories[number % len(repositories)], row.id, then)

    for start in range(0, count, 5000):
        await index.write(partial(change, numbers=range(start, min(start + 5000, count))))


def side_by_side(folder: Path, count: int, rounds: int) -> bool:
    """A table of both programs; whether ours is quick enough as it runs by itself, in a registry that serves:
    docker-registry has to be stopped or read-only meanwhile."""
    ours, theirs = folder / "entrepot", folder / "docker-registry"
    garbage = own_store(ours, count, GARBAGE_SHARE)
    docker_store(theirs, count, GARBAGE_SHARE)
    print("| program | blobs | garbage | took |\n|---|---:|---:|---:|")
    taken: dict[str, float] = {}
    for name, store, run, left in (
        ("Entrepot, as it runs by itself", ours, run_inside, own_left),
        ("Entrepot, `entrepot gc run`", ours, partial(run_command, own_command), own_left),
        ("docker-registry, `garbage-collect`", theirs, partial(run_command, docker_command), docker_left),
    ):
        times = [timed(store, run, left, count - garbage) for _ in range(rounds)]
        taken[name] = median(times)
        print(f"| {name} | {count} | {garbage} | {taken[name]:.2f} s |", flush=True)
    inside, command, docker = taken.values()
    print(
        f"\ndocker-registry takes {docker / inside:.1f} times as long as a collection of Entrepot, and "
        f"{docker / command:.1f} times as long as its command, start and all. The goal is {GOAL:g}.",
        flush=True,
    )
    return docker / inside >= GOAL


def timed(store: Path, run: Callable[[Path], float], left: Callable[[Path], int], expected: int) -> float:
    """Seconds that a collection takes on a copy of a store. Fails unless it leaves what it should."""
    with copied(store) as copy:
        took = run(copy)
        assert left(copy) == expected, f"{left(copy)} blobs are left, not {expected}"
    return took


def run_command(command: Callable[[Path], Sequence[str]], store: Path) -> float:
    arguments = command(store)
    began = time.perf_counter()
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    took = time.perf_counter() - began
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return took


def run_inside(store: Path) -> float:
    async def run() -> float:
        index = open_index(f"sqlite:///{store / 'index.sqlite'}", pool_size=2)
        driver = FilesystemDriver.from_settings({"root": str(store / "storage")})
        try:
            return (await collect(index, driver))[0]
        finally:
            await driver.aclose()
            await asyncio.to_thread(index.close)

    return asyncio.run(run())


async def collect(index: Index, driver: StorageDriver) -> tuple[float, Mapping[str, Any]]:
    """The seconds that a collection takes, and its report."""
    collector = Collector(
        index,
        driver,
        Audit(index, 1000),
        delay_seconds=0,
        window_seconds=0,
        expire_uploads=no_uploads,
    )
    began = time.perf_counter()
    async with Jobs(index).hold(JOB) as job:
        report = await collector.run(job)
        await job.finish(report)
    return time.perf_counter() - began, report


@contextmanager
def copied(store: Path) -> Iterator[Path]:
    """A copy that shares the bytes: both programs only ever remove names."""
    copy = store.with_name(f"{store.name}-copy")
    shutil.copytree(store, copy, copy_function=link_or_copy)
    os.sync()
    try:
        yield copy
    finally:
        shutil.rmtree(copy)


def link_or_copy(source: str, target: str) -> None:
    """A database is written to, so it is copied."""
    if "index.sqlite" in source:
        shutil.copy2(source, target)
    else:
        os.link(source, target)


def own_command(store: Path) -> Sequence[str]:
    os.environ["ENTREPOT_GC__DELAY_SECONDS"] = "0"
    return [sys.executable, "-m", "registry", "gc", "run", "--data", str(store)]


def own_left(store: Path) -> int:
    with sqlite3.connect(store / "index.sqlite") as index:
        (rows,) = index.execute("SELECT count(*) FROM blobs").fetchone()
    files = sum(1 for path in (store / "storage" / "blobs").rglob("*") if path.is_file())
    assert rows == files, f"{rows} rows and {files} files"
    return int(rows)


def docker_command(store: Path) -> Sequence[str]:
    configuration = store / "config.yml"
    configuration.write_text(
        "version: 0.1\nlog: {level: error}\n"
        f"storage: {{filesystem: {{rootdirectory: {store}}}, delete: {{enabled: true}}}}\n"
        "http: {addr: 127.0.0.1:0}\n"
    )
    return ["docker-registry", "garbage-collect", str(configuration)]


def docker_left(store: Path) -> int:
    """Without manifests, which are blobs there."""
    registry = store / "docker" / "registry" / "v2"
    revisions = {path.name for path in registry.glob("repositories/*/_manifests/revisions/sha256/*")}
    found = {path.parent.name for path in registry.glob("blobs/sha256/*/*/data")}
    return len(found - revisions)


if __name__ == "__main__":
    sys.exit(main())
