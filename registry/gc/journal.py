"""The journal: what exists in the index alone, written to the storage as well, a minute later at most.

Blobs are in the storage anyway, and can be found again by reading them. What makes a registry of them is
not: manifests, tags, the settings of repositories. Each object of the journal holds what came since the one
before; many small ones are merged. Accounts are not in it: they belong into a backup.
"""

import time
from collections.abc import Mapping
from functools import partial
from typing import IO, Any

from registry.gc.archive import ArchiveWriter
from registry.gc.compaction import Compaction
from registry.gc.copies import store
from registry.gc.jobs import Job
from registry.index import Connection, Index, identity, journal
from registry.index.index_copies import CopyRow
from registry.index.journal import KIND, Batch
from storage_drivers import StorageDriver
from storage_drivers.failpoints import declare, failpoint

JOB = "journal"

STORED = declare("journal.stored")
NOTED = declare("journal.noted")


class Journal:
    """Writes the journal of one registry."""

    def __init__(self, index: Index, driver: StorageDriver) -> None:
        self._index = index
        self._driver = driver
        self._compaction = Compaction(index, driver)

    async def run(self, job: Job) -> Mapping[str, Any]:
        """Write what is not written yet, and merge objects if there are many; the report, a JSON object.

        Whoever dies in between leaves an object that the index does not know: the next one writes its rows
        again, which does no harm, and the scrub discards it. Raises LostJob, Unavailable and StorageFull.
        """
        objects = lines = 0
        more = True
        while more:
            batch = await self._index.snapshot(partial(journal.next_batch, now=time.time()))
            more = batch.more
            if batch.lines:
                await self._write(job, batch)
                objects, lines = objects + 1, lines + len(batch.lines)
        return {"objects": objects, "lines": lines, "merged": await self._compaction.run(job)}

    async def _write(self, job: Job, batch: Batch) -> None:
        name = await self._index.read(identity.name)
        if name is None:
            name = await job.write(identity.ensure)

        def write(file: IO[bytes], places: list[str]) -> None:
            beginning = {"since": batch.at, "until": batch.at, "index": name, "places": places}
            writer = ArchiveWriter(file, KIND, beginning)
            writer.line({"batch": batch.at})
            for line in batch.lines:
                writer.line(line)
            writer.end()

        stored = await store(self._driver, KIND, write)
        failpoint(STORED)
        row = CopyRow(stored.location, KIND, batch.at, batch.at, stored.size, len(batch.lines))

        def note(connection: Connection) -> None:
            journal.note(connection, batch, row)

        await job.write(note)
        failpoint(NOTED)
