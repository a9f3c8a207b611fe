"""Backups: the whole index in one file, as it was at one moment, while the registry goes on.

It lies beside no blob: together with the storage it is a registry. Either kind of database reads what the
other one wrote. Secrets are in it: hashes of passwords, and the keys that sign tokens.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import IO, Any, NamedTuple, TypeVar

from registry.gc.archive import Archive, ArchiveWriter, BadArchive, verify
from registry.gc.rebuild_gate import open_gate
from registry.index import Connection, Index, identity, whole
from registry.oci.errors import Conflict

Result = TypeVar("Result")

KIND = "backup"

ROWS_AT_ONCE = 500
BYTES_AT_ONCE = 4 * 1024 * 1024
"""Of rows that are entered with one statement."""

EVERY_ROWS = 1000
"""How often it is told how far it is."""

Watch = Callable[[int], object]
"""Told, in another thread, how many rows are done."""


class Taken(NamedTuple):
    """What a backup holds: the time of its state, and the number of rows."""

    at: float
    rows: int


async def take(
    index: Index, file: IO[bytes], version: str, places: Sequence[str] = (), watch: Watch = lambda _rows: None
) -> Taken:
    """Write a backup of all that is committed now. `places`: see `copies`. Raises Unavailable."""
    return await index.snapshot(partial(_write, file=file, version=version, places=places, watch=watch))


def _write(
    connection: Connection, file: IO[bytes], version: str, places: Sequence[str], watch: Watch
) -> Taken:
    now = time.time()
    beginning = {
        "revision": whole.revision(connection),
        "version": version,
        "at": now,
        "index": identity.name(connection),
        "places": list(places),
    }
    writer = ArchiveWriter(file, KIND, beginning)
    counts: dict[str, int] = {}
    done = 0
    for table in whole.tables():
        last = whole.last_id(connection, table)
        writer.line({"table": table, "columns": whole.columns(table), "last_id": last})
        counts[table] = 0
        for row in whole.rows(connection, table):
            writer.line(row)
            counts[table] += 1
            done += 1
            if done % EVERY_ROWS == 0:
                watch(done)
    writer.end(rows=counts)
    return Taken(now, done)


async def restore(
    index: Index,
    file: IO[bytes],
    watch: Watch,
    also: Callable[[Connection, Taken], Result],
) -> Result:
    """Enter a backup into an index that has its form and nothing in it, all or nothing. Answers what `also`
    does, which is done in the same transaction.

    Raises BadArchive, Conflict for an index that is not empty or has another form, Unavailable and
    StorageFull.
    """
    beginning = (await asyncio.to_thread(verify, file, KIND)).beginning
    revision = await index.read(whole.revision)
    if beginning.get("revision") != revision:
        raise Conflict(
            f"the backup has the form {beginning.get('revision')} of the index, which Entrepot "
            f"{beginning.get('version')} made, and this version has the form {revision}: restore it with "
            "that version, and let this one migrate it then"
        )

    def change(connection: Connection) -> Result:
        return also(connection, _restore(connection, file, watch))

    return await index.write(change)


def _restore(connection: Connection, file: IO[bytes], watch: Watch) -> Taken:
    """May run again: it begins at the beginning."""
    used = whole.used_table(connection)
    if used is not None:
        raise Conflict(
            f"this index is not empty (there are rows in {used}), and a backup is restored into an empty one "
            "only: name another database or another folder. A registry that was started on it has filled it"
        )
    file.seek(0)
    archive = Archive(file, KIND)
    whole.clear_epoch(connection)
    counts: dict[str, int] = {}
    last_ids: dict[str, int] = {}
    done = 0
    for table, rows in _groups(archive, last_ids):
        whole.enter(connection, table, rows)
        counts[table] = counts.get(table, 0) + len(rows)
        done += len(rows)
        watch(done)
    if counts != archive.end.get("rows"):
        raise BadArchive("the backup is damaged: it does not hold as many rows as it says")
    whole.finish(connection, last_ids)
    at = float(archive.beginning["at"])
    open_gate(connection, at)
    return Taken(at, done)


def _groups(archive: Archive, last_ids: dict[str, int]) -> Iterator[tuple[str, Sequence[Sequence[Any]]]]:
    """The rows of each table, some at once; `last_ids` is filled."""
    table = ""
    rows: list[Sequence[Any]] = []
    size = 0
    for line in archive:
        if isinstance(line, Mapping):
            if table:
                yield table, rows
            table, rows, size = _table(line), [], 0
            if line["last_id"] is not None:
                last_ids[table] = int(line["last_id"])
            continue
        rows.append(line)
        size += sum(len(value) for value in line if isinstance(value, str))
        if len(rows) >= ROWS_AT_ONCE or size >= BYTES_AT_ONCE:
            yield table, rows
            rows, size = [], 0
    if table:
        yield table, rows


def _table(line: Mapping[str, Any]) -> str:
    name = str(line.get("table"))
    if name not in whole.tables() or list(line["columns"]) != list(whole.columns(name)):
        raise BadArchive(f"the backup has the table {name} in another form than this version")
    return name
