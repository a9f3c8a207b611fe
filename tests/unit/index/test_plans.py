"""No hot query gets dearer because there is more in the index: see docs/scale.md, whose queries these are.

On SQLite the steps of its virtual machine are counted, on one index and on another with four times as much.
PostgreSQL is asked for its plans, and for the rows that it read. It is told not to read small tables whole,
as it does with large ones, and to plan without looking at the values, as it does with what comes often.
"""

import re
import shutil
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import Connection, text

from benchmarks.scale.databases import Database, Plan, Postgresql, Sqlite, nodes
from benchmarks.scale.filling import copy_to_postgresql, fill_sqlite
from benchmarks.scale.queries import Query, all_queries
from benchmarks.scale.sample import Sample
from benchmarks.scale.shape import Scale
from benchmarks.scale.timing import work
from registry.index import blobs
from tests.support.postgres import PostgresServer

SMALL, LARGE = Scale(6_000), Scale(24_000)
"""In the small one, too, the largest repository and the list of repositories fill a page of 100."""

LARGE_TABLES = {
    "audit",
    "blobs",
    "manifest_blobs",
    "manifest_children",
    "manifests",
    "repository_blobs",
    "tag_history",
    "tags",
}

HOT = [query for query in all_queries() if query.grows is None]

MOST_ROWS = 2000
"""That a hot query may read on PostgreSQL; the largest repository has more of nearly everything."""

FREQUENT = {"the audit of a repository that is used much", "the audit of a user"}
"""PostgreSQL knows what is frequent: walking all entries from the newest on fills a page soon."""


@pytest.fixture(autouse=True)
def _short_pages_of_holders(monkeypatch: pytest.MonkeyPatch) -> None:
    """No layer has 200 holders here."""
    monkeypatch.setattr(blobs, "HOLDERS_AT_ONCE", 5)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[Scale, Path]:
    folder = tmp_path_factory.mktemp("scale")
    paths = {scale: folder / f"{scale.blobs}.sqlite" for scale in (SMALL, LARGE)}
    for scale, path in paths.items():
        fill_sqlite(path, scale, time.time())
    return paths


@pytest.fixture(scope="module")
def small_and_large(files: dict[Scale, Path]) -> Iterator[tuple[Sqlite, Sqlite]]:
    databases = [Sqlite(f"sqlite:///{files[scale]}") for scale in (SMALL, LARGE)]
    yield databases[0], databases[1]
    for one in databases:
        one.close()


@pytest.fixture
def on_postgresql(files: dict[Scale, Path], postgres_server: PostgresServer) -> Iterator[Postgresql]:
    name = postgres_server.create_database()
    copy_to_postgresql(files[LARGE], postgres_server.url(name))
    settings = "-c enable_seqscan=off -c plan_cache_mode=force_generic_plan"
    url = f"{postgres_server.sqlalchemy_url(name)}&options={quote(settings)}"
    database = Postgresql(url)
    yield database
    database.close()
    postgres_server.drop_database(name)


def sample_of(database: Database, scale: Scale) -> Sample:
    with database.trying() as connection:
        return Sample(connection, scale)


def grown(databases: tuple[Sqlite, Sqlite], queries: Sequence[Query]) -> dict[str, tuple[int, int]]:
    """The queries that take half as many steps again, or more, in the large index; steps in both."""
    small, large = (
        work(database, sample_of(database, scale), queries)
        for database, scale in zip(databases, (SMALL, LARGE), strict=True)
    )
    return {label: (count, large[label]) for label, count in small.items() if large[label] > 1.5 * count + 50}


def first_columns(connection: Connection) -> dict[str, str]:
    """The first column of each index of the large tables."""
    query = text(
        "SELECT indexrelid::regclass::text AS name, attname FROM pg_index "
        "JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0] "
        "WHERE indrelid::regclass::text = ANY (:tables)"
    )
    return {row.name: row.attname for row in connection.execute(query, {"tables": list(LARGE_TABLES)})}


def reads_too_much(plan: Plan, columns: Mapping[str, str]) -> bool:
    """Whether a statement reads a large table whole, or all of an index: without a condition on its first
    column, unless it walks it in order until a page is full."""
    assert plan.tree is not None
    every = list(nodes(plan.tree))
    limited = any(node["Node Type"] == "Limit" for node in every)
    for node in every:
        if node["Node Type"] == "Seq Scan" and node["Relation Name"] in LARGE_TABLES:
            return True
        first = columns.get(node.get("Index Name", ""))
        walks = limited and not {"Index Cond", "Filter"} & node.keys()
        if first is not None and not walks and not re.search(rf"\b{first}\b", node.get("Index Cond", "")):
            return True
    return False


def tables_read_whole(connection: Connection) -> set[str]:
    """By any statement of this transaction, those that check foreign keys included."""
    query = text("SELECT relname FROM pg_stat_xact_user_tables WHERE seq_scan > 0")
    return set(connection.execute(query).scalars()) & LARGE_TABLES


def faults_on_postgresql(
    database: Postgresql, queries: Sequence[Query], before: str | None = None
) -> dict[str, object]:
    sample = sample_of(database, LARGE)
    found: dict[str, object] = {}
    for query in queries:
        plans: list[Plan] = []
        with database.trying() as connection:
            if before is not None:
                connection.execute(text(before))
            key = query.draw(connection, sample)
            with database.explaining(connection, plans):
                assert query.ask(connection, key), query.label
            whole = tables_read_whole(connection)
            columns = first_columns(connection)
        dear = [plan.lines for plan in plans if reads_too_much(plan, columns)]
        if whole or dear:
            found[query.label] = whole or dear
    return found


def test_no_hot_query_takes_more_steps_in_a_larger_index(small_and_large: tuple[Sqlite, Sqlite]) -> None:
    assert grown(small_and_large, HOT) == {}


def test_a_missing_index_is_noticed_on_sqlite(files: dict[Scale, Path], tmp_path: Path) -> None:
    databases = []
    for scale in (SMALL, LARGE):
        path = shutil.copy(files[scale], tmp_path)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("DROP INDEX ix_tags_manifest_id")
        databases.append(Sqlite(f"sqlite:///{path}"))
    queries = [query for query in HOT if query.label == "delete a manifest of the largest repository"]
    assert grown((databases[0], databases[1]), queries)
    for database in databases:
        database.close()


def test_no_hot_query_reads_a_large_table_whole(on_postgresql: Postgresql) -> None:
    assert faults_on_postgresql(on_postgresql, HOT).keys() <= FREQUENT
    rows = work(on_postgresql, sample_of(on_postgresql, LARGE), HOT)
    assert {label: count for label, count in rows.items() if count > MOST_ROWS} == {}


def test_a_missing_index_is_noticed_on_postgresql(on_postgresql: Postgresql) -> None:
    queries = [query for query in HOT if query.label in ("a manifest's bytes", "delete a blob")]
    dropped = "DROP INDEX ix_manifest_blobs_repository_id_blob_id"
    assert faults_on_postgresql(on_postgresql, queries, dropped).keys() == {"delete a blob"}
