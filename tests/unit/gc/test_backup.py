"""A backup holds the index as it was at one moment, and either database takes what the other one gave."""

import asyncio
import gzip
import io
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO, Any

import pytest
from sqlalchemy import insert, select, text

from registry.gc.archive import ArchiveWriter, BadArchive
from registry.gc.backup import KIND, restore, take
from registry.gc.jobs import Jobs
from registry.gc.rebuild_gate import JOB
from registry.index import Connection, Index, access, jobs, open_index, principals, quotas, whole
from registry.index.migrations import upgrade
from registry.index.tables import metadata
from registry.oci.errors import Conflict
from tests.unit.index import rows

BODY = bytes(range(256))
"""Of a manifest: nothing that JSON could hold as it is."""


async def backup_of(index: Index) -> IO[bytes]:
    file = io.BytesIO()
    await take(index, file, "1.2.3")
    file.seek(0)
    return file


async def enter(index: Index, file: IO[bytes]) -> None:
    await restore(index, file, lambda _count: None, lambda _connection, _taken: None)


def a_row_of_each(connection: Connection) -> None:
    """A row in each table that a backup carries, whose columns all have values."""
    for name in whole.tables():
        table = metadata.tables[name]
        if name == "credentials":  # one that refers to another
            connection.execute(insert(table), {**values_of(table, 1), "parent_id": None})
        connection.execute(insert(table), values_of(table, 2 if name == "credentials" else 1))


def values_of(table: Any, id: int) -> dict[str, object]:
    values: dict[str, object] = {}
    for column in table.columns:
        kind = column.type.python_type
        if column.name == "id":
            values[column.name] = id
        elif kind is bytes:
            values[column.name] = BODY
        elif kind is str:
            # "€" takes three bytes, the rest has to be written with care
            values[column.name] = f'€"\\{table.name[:4]}{id}' if len(column.foreign_keys) == 0 else "uid"
        else:
            values[column.name] = {int: 1, float: 1e9 + 1 / 3, bool: True}[kind]
    if table.name == "removed_repositories":
        values["uid"] = "uid"
    return values


def content(connection: Connection) -> dict[str, list[tuple[Any, ...]]]:
    found = {}
    for name in whole.tables():
        table = metadata.tables[name]
        statement = select(table).order_by(*table.primary_key.columns)
        found[name] = [tuple(row) for row in connection.execute(statement)]
    del found["access_epoch"]
    return found


async def test_from_one_database_to_another_and_back(index: Index, new: Index, tmp_path: Path) -> None:
    await index.write(a_row_of_each)
    before = await index.read(content)
    assert all(before.values()), "each table has a row"
    await enter(new, await backup_of(index))
    assert await new.read(content) == before
    assert await new.read(access.epoch) == await index.read(access.epoch) + 1
    url = f"sqlite:///{tmp_path / 'third.sqlite'}"
    upgrade(url)
    third = open_index(url, pool_size=2)
    await enter(third, await backup_of(new))
    assert await third.read(content) == before
    await asyncio.to_thread(third.close)


async def test_into_an_empty_index_of_this_kind(index: Index, new: Index) -> None:
    """What comes afterwards has ids of its own, in the tables whose ids are never given twice with a gap."""
    await new.write(a_row_of_each)
    gone = await new.write(partial(rows.user, name="gone"))
    await new.write(partial(principals.remove, id=gone))
    await enter(index, await backup_of(new))
    assert await index.read(content) == await new.read(content)
    user = await index.write(partial(rows.user, name="new"))
    assert user > gone + 1000
    repository = await index.write(lambda connection: rows.repositories.ensure(connection, "new", 1.0))
    assert repository == 2


async def test_what_is_committed_meanwhile_is_not_in_it(index: Index, new: Index) -> None:
    await index.write(partial(rows.user, name="before"))

    def query(connection: Connection) -> int:
        count = connection.execute(text("SELECT count(*) FROM principals")).scalar_one()
        future = asyncio.run_coroutine_threadsafe(index.write(partial(rows.user, name="meanwhile")), loop)
        future.result(30)  # nobody waits for the one who reads
        again = connection.execute(text("SELECT count(*) FROM principals")).scalar_one()
        assert again == count
        return int(count)

    loop = asyncio.get_running_loop()
    assert await index.snapshot(query) == 1
    assert await index.read(lambda connection: principals_of(connection)) == ["before", "meanwhile"]


def principals_of(connection: Connection) -> list[str]:
    return sorted(connection.execute(text("SELECT name FROM principals")).scalars())


async def test_an_index_with_anything_in_it_is_refused(index: Index, new: Index) -> None:
    file = await backup_of(new)
    await index.write(partial(rows.user, name="alice"))
    with pytest.raises(Conflict, match="not empty"):
        await enter(index, file)


async def test_what_deletes_waits_after_a_restore(index: Index, new: Index) -> None:
    await enter(index, await backup_of(new))
    found = {row.name: row for row in await Jobs(index).status()}
    assert found.keys() == {"gc", "retention", "scrub", JOB}
    assert found[JOB].state.keys() == {"restored_to"}
    async with Jobs(index).hold("gc"):
        pass  # whoever asks for it gets it
    later = await index.read(partial(jobs.get, name="scrub"))
    assert later is not None
    assert later.held_until > 1e9


DAMAGES: dict[str, Callable[[list[str]], list[str]]] = {
    "the end is missing": lambda lines: lines[:-1],
    "a line is missing": lambda lines: [*lines[:-3], *lines[-2:]],
    "a line is another one": lambda lines: [line.replace("alice", "mallory") for line in lines],
    "it is something else": lambda lines: [lines[0].replace("backup", "journal"), *lines[1:]],
    "it has another format": lambda lines: [lines[0].replace('"format":1', '"format":2'), *lines[1:]],
    "it is no JSON": lambda _lines: ["nonsense"],
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
async def test_a_damaged_backup_is_refused(new: Index, damage: Callable[[list[str]], list[str]]) -> None:
    await new.write(partial(rows.user, name="alice"))
    lines = gzip.decompress((await backup_of(new)).read()).decode().splitlines()
    changed = gzip.compress("".join(f"{line}\n" for line in damage(lines)).encode())
    with pytest.raises(BadArchive):
        await enter(new, io.BytesIO(changed))


@pytest.mark.parametrize("size", [0, 5, 300])
async def test_half_a_backup_is_refused(new: Index, size: int) -> None:
    await new.write(partial(rows.user, name="alice"))
    whole_one = (await backup_of(new)).read()
    with pytest.raises(BadArchive):
        await enter(new, io.BytesIO(whole_one[:size]))
    with pytest.raises(BadArchive):
        await enter(new, io.BytesIO(whole_one[:-20] + bytes(20)))


async def test_another_form_of_the_index_is_refused(new: Index) -> None:
    """In words that say what to do."""
    file = io.BytesIO()
    beginning = {"revision": "0002", "version": "0.1.0", "at": 1.0, "places": []}
    ArchiveWriter(file, KIND, beginning).end(rows={})
    with pytest.raises(Conflict, match=r"form 0002 .* Entrepot 0\.1\.0 made"):
        await enter(new, file)


async def test_what_is_used_of_a_quota_is_counted_once(index: Index, new: Index) -> None:
    """And not with each row: PostgreSQL has to pass all versions before, of a million links for hours."""

    def fill(connection: Connection) -> None:
        for number in range(3):
            rows.blob(connection, "acme/app", f"sha256:{number}", 100)
        quotas.set(connection, "acme", 1000, 1.0, rows.BY)

    await index.write(fill)
    file = await backup_of(index)
    with gzip.open(file) as archive:
        lines = [json.loads(line) for line in archive]
    file.seek(0)
    await enter(new, file)

    assert [line["table"] for line in lines if "table" in line][-1] == "quotas", "behind what is counted"
    limits = await new.read(partial(quotas.of_repository, repository="acme/app"))
    assert [limit.used for limit in limits] == [300]
