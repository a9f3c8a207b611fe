"""`python -m benchmarks.scale`: what an index of a million blobs costs, written into docs/scale.md."""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import func, select

from benchmarks.scale import load, page
from benchmarks.scale.databases import Database, Postgresql, Sqlite
from benchmarks.scale.filling import copy_to_postgresql, fill_sqlite
from benchmarks.scale.queries import all_queries
from benchmarks.scale.sample import Sample
from benchmarks.scale.shape import COLUMNS, Scale
from benchmarks.scale.timing import costs, plans, work
from benchmarks.scale.week import Organisation
from registry.index.tables import metadata
from tests.support.postgres import PostgresServer, postgres

SIZES = (10_000, 100_000, 1_000_000)


def main() -> int:
    """Fill, ask, and write the page."""
    arguments = _arguments()
    queries = all_queries()
    measured: list[page.Measured] = []
    loads: dict[str, list[tuple[str, str, Sample]]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="scale-", dir=arguments.work_dir) as folder,
        postgres(durable=True) as server,
    ):
        for blobs in arguments.blobs:
            for database, url in _filled(Path(folder), server, Scale(blobs)):
                largest = blobs == arguments.blobs[-1]
                with database.trying() as connection:
                    sample = Sample(connection, Scale(blobs))
                measured.append(_measure(database, sample, with_plans=largest))
                if largest or blobs == arguments.blobs[0]:
                    database.remove_quotas()  # what they cost is told apart
                    loads.setdefault(database.name, []).append((f"blobs-{blobs}", url, sample))
                database.close()
        outcomes = {
            name: list(
                zip(
                    (arguments.blobs[0], arguments.blobs[-1]),
                    load.compare(indexes, arguments.load_seconds, Path(folder)),
                    strict=True,
                )
            )
            for name, indexes in loads.items()
            if arguments.load_seconds and len(indexes) == 2
        }
    parts = {
        "costs": page.costs(measured, queries),
        "tables": page.tables(measured),
        "week": page.week(measured, Organisation()),
        "plans": page.plans(measured, queries),
    }
    if outcomes:
        parts["load"] = page.load(outcomes, arguments.load_seconds)
    print("\n\n".join(part for name, part in parts.items() if name != "plans"))
    if arguments.write:
        page.write(parts)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--blobs", nargs="+", type=int, metavar="N", default=SIZES, help="sizes, in order")
    parser.add_argument("--load-seconds", type=float, default=120.0, metavar="S", help="0: no run under load")
    parser.add_argument("--work-dir", type=Path, help="needs 8 GB for a million; default: a temporary folder")
    parser.add_argument(
        "--write", action=argparse.BooleanOptionalAction, default=True, help="write into docs/scale.md"
    )
    return parser.parse_args()


def _filled(folder: Path, server: PostgresServer, scale: Scale) -> Iterator[tuple[Database, str]]:
    """An index on SQLite and the same one on PostgreSQL, with what `index.url` takes."""
    path = folder / f"{scale.blobs}.sqlite"
    start = time.perf_counter()
    fill_sqlite(path, scale, time.time())
    _tell(f"{scale.blobs} blobs in SQLite: {time.perf_counter() - start:.0f} s")
    name = server.create_database()
    start = time.perf_counter()
    copy_to_postgresql(path, server.url(name))
    _tell(f"{scale.blobs} blobs in PostgreSQL: {time.perf_counter() - start:.0f} s")
    yield Sqlite(f"sqlite:///{path}"), f"sqlite:///{path}"
    yield Postgresql(server.sqlalchemy_url(name)), server.url(name)


def _measure(database: Database, sample: Sample, *, with_plans: bool) -> page.Measured:
    queries = all_queries()
    with database.trying() as connection:
        rows = {
            table: int(
                connection.execute(select(func.count()).select_from(metadata.tables[table])).scalar_one()
            )
            for table in COLUMNS
        }
    found = page.Measured(
        database.name,
        sample.scale.blobs,
        rows,
        database.bytes_of_tables(),
        costs(database, sample, queries),
        work(database, sample, queries),
    )
    if with_plans:
        found.plans = {query.label: plans(database, sample, query) for query in queries}
    _tell(f"{sample.scale.blobs} blobs on {database.name}: asked")
    return found


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
