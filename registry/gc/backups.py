"""Backups as an operator asks for them: into a file or the storage, back from there, and which there are."""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import IO

from auth.actor import Actor
from registry.gc.backup import KIND, Taken, Watch, restore, take
from registry.gc.copies import beginning_of, fetch, places_of, recognised, scratch, store_file
from registry.index import Connection, Index, index_copies, whole
from registry.index.index_copies import CopyRow
from registry.oci.errors import Unknown
from registry.services.audit import Audit, AuditRow
from registry.services.parallel import in_parallel
from registry.services.storage_errors import translated_errors
from storage_drivers import NotFound, Object, StorageDriver

READ_AT_ONCE = 16
"""Objects whose first bytes are looked at."""


class Backups:
    """Backups of one registry. `version` is the product's."""

    def __init__(self, index: Index, driver: StorageDriver, audit: Audit, version: str) -> None:
        self._index = index
        self._driver = driver
        self._audit = audit
        self._version = version

    async def to_file(self, file: IO[bytes], actor: Actor, target: str, watch: Watch) -> Taken:
        """Write a backup to a file, which the audit calls `target`. Raises Unavailable."""
        taken = await take(self._index, file, self._version, (), watch)
        await self._enter(lambda _connection: None, actor, target, taken)
        return taken

    async def to_storage(self, actor: Actor, keep: int | None, watch: Watch) -> tuple[CopyRow, int]:
        """Store a backup, and discard all but the newest `keep`; it, and how many were discarded. Raises
        Unavailable and StorageFull."""
        with translated_errors():
            upload = await self._driver.begin()
        with scratch() as file:
            taken = await take(self._index, file, self._version, places_of(upload), watch)
            stored = await store_file(self._driver, KIND, upload, file)
        row = CopyRow(stored.location, KIND, taken.at, taken.at, stored.size, taken.rows)

        def change(connection: Connection) -> int:
            index_copies.enter(connection, row)
            old = index_copies.of_kind(connection, KIND)[: -keep if keep else 0]
            index_copies.discard(connection, [one.location for one in old], time.time())
            return len(old)

        return row, await self._enter(change, actor, row.location, taken)

    async def _enter(
        self, change: Callable[[Connection], int | None], actor: Actor, target: str, taken: Taken
    ) -> int:
        def recorded(connection: Connection) -> tuple[int, AuditRow]:
            count = change(connection) or 0
            detail = {"rows": taken.rows}
            return count, self._audit.record(connection, actor, "index.backup", target, detail)

        count, entry = await self._index.write(recorded)
        self._audit.tell(entry)
        return count

    async def stored(self, watch: Watch = lambda _objects: None) -> Sequence[CopyRow]:
        """The backups in the storage, the oldest first. An index that knows of nothing looks at the beginning
        of every object. Raises Unavailable."""
        if await self._index.read(whole.used_table) is not None:
            return await self._index.read(partial(index_copies.of_kind, kind=KIND))
        rows: list[CopyRow] = []
        seen = 0

        async def look(found: Object) -> None:
            try:
                beginning = await recognised(self._driver, found.location, found.size)
            except NotFound:
                return
            if beginning is not None and beginning["entrepot"] == KIND:
                at = float(beginning["at"])
                rows.append(CopyRow(found.location, KIND, at, at, found.size, 0))

        with translated_errors():
            batch: list[Object] = []
            async for found in self._driver.scan():
                batch.append(found)
                seen += 1
                if len(batch) == READ_AT_ONCE * READ_AT_ONCE:
                    await in_parallel(look, batch, READ_AT_ONCE)
                    batch = []
                    watch(seen)
            await in_parallel(look, batch, READ_AT_ONCE)
        return sorted(rows, key=lambda row: row.until)

    async def restore_file(self, file: IO[bytes], actor: Actor, target: str, watch: Watch) -> Taken:
        """Enter a backup from a file. Raises as `backup.restore` does."""
        return await self._restore(file, actor, target, watch, None)

    async def restore_stored(self, location: str, actor: Actor, watch: Watch) -> Taken:
        """Enter a backup from the storage. Raises Unknown, and as `backup.restore` does."""
        with scratch() as file:
            with translated_errors():
                try:
                    await fetch(self._driver, location, file)
                except NotFound:
                    raise Unknown("backup", location) from None
            first = await asyncio.to_thread(file.read, 8192)
            if beginning_of(first, location) is None:
                raise Unknown("backup", location)
            size = await asyncio.to_thread(file.seek, 0, 2)
            return await self._restore(file, actor, location, watch, size)

    async def _restore(
        self, file: IO[bytes], actor: Actor, target: str, watch: Watch, size: int | None
    ) -> Taken:
        """`size`: it lies in the storage, and has so many bytes."""

        def record(connection: Connection, taken: Taken) -> tuple[Taken, AuditRow]:
            if size is not None:
                row = CopyRow(target, KIND, taken.at, taken.at, size, taken.rows)
                index_copies.enter(connection, row)
            detail = {"rows": taken.rows, "state_of": taken.at}
            return taken, self._audit.record(connection, actor, "index.restore", target, detail)

        taken, entry = await restore(self._index, file, watch, record)
        self._audit.tell(entry)
        return taken
