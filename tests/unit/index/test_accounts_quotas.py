"""Quotas: which count for a repository, and how much of them is used."""

import pytest
from sqlalchemy import text

from registry.index import Connection, Index, quotas, repositories
from registry.index.quotas import Limit
from registry.index.ranges import below
from registry.index.tables import repositories as repository_table
from tests.unit.index import rows

PREFIXES = ["acme", "acme-2", "acme/app", "acme/app/sub", "acme/application", "b"]


async def test_quotas_are_set_and_removed(index: Index) -> None:
    def change(connection: Connection) -> None:
        for prefix in reversed(PREFIXES):
            quotas.set(connection, prefix, 10, 1.0, rows.BY)
        quotas.set(connection, "acme", 5 * 2**40, 2.0, "user:bob")
        assert quotas.page(connection, None, 2) == [
            Limit("acme", 5 * 2**40, 0),
            Limit("acme-2", 10, 0),
        ]
        assert [row.prefix for row in quotas.page(connection, "acme-2", 99)] == PREFIXES[2:]
        assert quotas.remove(connection, "acme")
        assert not quotas.remove(connection, "acme")

    await index.write(change)


@pytest.mark.parametrize(
    ("repository", "expected"),
    [
        ("acme", ["acme"]),
        ("acme/app", ["acme", "acme/app"]),
        ("acme/app/sub/deep", ["acme", "acme/app", "acme/app/sub"]),
        ("acme/app-2", ["acme"]),
        ("acme-2/app", ["acme-2"]),
        ("acm", []),
        ("acme_/x", []),
        ("other/acme", []),
    ],
)
async def test_all_quotas_on_the_way_count(index: Index, repository: str, expected: list[str]) -> None:
    def change(connection: Connection) -> None:
        for number, prefix in enumerate(PREFIXES):
            quotas.set(connection, prefix, number, 1.0, rows.BY)
        found = quotas.of_repository(connection, repository)
        assert found == [Limit(prefix, PREFIXES.index(prefix), 0) for prefix in expected]

    await index.write(change)


async def test_a_blob_counts_once_for_a_prefix(index: Index) -> None:
    def change(connection: Connection) -> None:
        for repository in ("acme", "acme/app", "acme/zoo", "acme-2/app", "acme0", "acme.x/app"):
            rows.blob(connection, repository, "sha256:shared", 1000)
        own = rows.blob(connection, "acme/app", "sha256:own", 100)
        rows.manifest(connection, "acme/app", "sha256:m", 10, "latest", (own,))
        rows.manifest(connection, "acme/zoo", "sha256:m", 10, "latest")
        rows.manifest(connection, "acme-2/app", "sha256:m", 7, "latest")
        used = {
            prefix: quotas.set(connection, prefix, 1, 1.0, rows.BY)
            for prefix in ("acme", "acme/app", "acme/zoo", "acme/a", "acme-2", "acme0", "acm", "nobody")
        }
        assert used == {
            "acme": 1120,
            "acme/app": 1110,
            "acme/zoo": 1010,
            "acme/a": 0,
            "acme-2": 1007,
            "acme0": 1000,
            "acm": 0,
            "nobody": 0,
        }
        assert isinstance(used["acme"], int)

    await index.write(change)


async def test_usage_beyond_what_an_integer_of_four_bytes_holds(index: Index) -> None:
    def change(connection: Connection) -> None:
        for number in range(3):
            rows.blob(connection, "acme/app", f"sha256:{number}", 2**62 // 2)
        assert quotas.set(connection, "acme", 2**62, 1.0, rows.BY) == 3 * 2**61
        rows.blob(connection, "acme/app", "sha256:4", 1)
        assert quotas.of_repository(connection, "acme/app") == [Limit("acme", 2**62, 3 * 2**61 + 1)]

    await index.write(change)


@pytest.mark.parametrize("index_url", ["sqlite"], indirect=True)
async def test_a_range_of_names_is_served_by_the_index_of_names(index: Index) -> None:
    def plan(connection: Connection) -> str:
        condition = below(repository_table.c.name, "acme").compile(compile_kwargs={"literal_binds": True})
        statement = f"EXPLAIN QUERY PLAN SELECT id FROM repositories WHERE {condition}"
        return "\n".join(str(row[3]) for row in connection.execute(text(statement)))

    await index.write(lambda connection: repositories.ensure(connection, "acme/app", 1.0))
    told = await index.read(plan)

    assert "SCAN" not in told
    assert told.count("USING COVERING INDEX") + told.count("USING INDEX") == 2, told
