"""Merging objects of the journal, so that there are never many, and what is gone for good goes from them.

Objects of like size are merged, the newest first: what is large is rewritten rarely.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import IO

from registry.gc.archive import Archive, ArchiveWriter, BadArchive, verify
from registry.gc.copies import Stored, fetch, places_of, scratch, store_file
from registry.gc.jobs import Job
from registry.index import Connection, Index, identity, index_copies, journal
from registry.index.index_copies import CopyRow
from registry.index.journal import KIND
from registry.services.quarantine import check_storage
from registry.services.storage_errors import translated_errors
from storage_drivers import NotFound, StorageDriver
from storage_drivers.failpoints import declare, failpoint

MERGED = declare("journal.merged.stored")
ENTERED = declare("journal.merged.noted")

MOST_OBJECTS = 24
FEWEST_MERGED = 12

ROWS_AT_ONCE = 500

log = logging.getLogger(__name__)


class LostObject(Exception):
    """An object of the journal is missing or damaged."""

    def __init__(self, location: str, reason: str) -> None:
        super().__init__(location, reason)


class Compaction:
    """Merges objects of the journal of one registry."""

    def __init__(self, index: Index, driver: StorageDriver) -> None:
        self._index = index
        self._driver = driver

    async def run(self, job: Job) -> int:
        """Merge if there are many; how many objects became one. If one of them is lost, all is to be written
        again. Raises LostJob, Unavailable and StorageFull."""
        rows = await self._index.read(partial(index_copies.of_kind, kind=KIND))
        if len(rows) <= MOST_OBJECTS:
            return 0
        chosen = to_merge(rows)
        try:
            stored, lines = await self._merge(chosen, first=chosen[0] == rows[0])
        except LostObject as lost:
            await write_all_again(job, *lost.args)
            return 0
        failpoint(MERGED)
        merged = CopyRow(stored.location, KIND, chosen[0].since, chosen[-1].until, stored.size, lines)

        def replace(connection: Connection) -> None:
            index_copies.enter(connection, merged)
            index_copies.discard(connection, [row.location for row in chosen], time.time())

        await job.write(replace)
        failpoint(ENTERED)
        return len(chosen)

    async def _merge(self, rows: Sequence[CopyRow], *, first: bool) -> tuple[Stored, int]:
        name = await self._index.read(identity.name)
        with translated_errors():
            upload = await self._driver.begin()
        with scratch() as file:
            beginning = {
                "since": rows[0].since, "until": rows[-1].until, "index": name, "places": places_of(upload)
            }  # fmt: skip
            writer = await asyncio.to_thread(ArchiveWriter, file, KIND, beginning)
            for row in rows:
                with ExitStack() as stack:
                    source = stack.enter_context(scratch())
                    await self._fetch(row, source)
                    await self._index.read(partial(copy_lines, source=source, writer=writer, first=first))
            await asyncio.to_thread(writer.end)
            return await store_file(self._driver, KIND, upload, file), writer.lines

    async def _fetch(self, row: CopyRow, file: IO[bytes]) -> None:
        with translated_errors():
            try:
                await fetch(self._driver, row.location, file)
                await asyncio.to_thread(verify, file, KIND)
            except (NotFound, BadArchive) as error:
                await check_storage(self._index, self._driver, out_of_reach(row))
                raise LostObject(row.location, str(error)) from error


def out_of_reach(row: CopyRow) -> str:
    """What is told where no blob can be read either: then it says nothing that this object can't."""
    return f"the {row.kind} {row.location} can't be read, nor any blob"


async def write_all_again(job: Job, location: str, reason: str) -> None:
    """Have the journal write all once more, since this object of it is lost, and forget the object. Raises
    LostJob."""
    log.error("an object of the journal is lost, so all is written again: %s: %s", location, reason)
    after, more = 0, True
    while more:
        last = await job.write(partial(journal.write_again, after=after, limit=ROWS_AT_ONCE))
        after, more = last, last > after
    await job.write(partial(index_copies.discard, locations=[location], now=time.time()))


def to_merge(rows: Sequence[CopyRow]) -> Sequence[CopyRow]:
    """Of all objects, the oldest first, those to be merged: neighbours."""
    count = size = 0
    for row in reversed(rows):
        if count >= FEWEST_MERGED and row.size > size:
            break
        count, size = count + 1, size + row.size
    return rows[len(rows) - count :]


def copy_lines(connection: Connection, source: IO[bytes], writer: ArchiveWriter, *, first: bool) -> None:
    """Copy what is still known. `first`: nothing lies before these objects, so a deletion of what is not
    known any more has nothing to delete."""
    batch = None
    for line in Archive(source, KIND):
        if "batch" in line:
            batch = line
        elif ("removed" in line and not first) or journal.is_known(connection, line):
            if batch is not None:
                writer.line(batch)
                batch = None
            writer.line(line)
