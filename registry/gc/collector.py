"""The collector: frees what nothing needs, beside pushes and pulls.

In this order, and in batches of a transaction each: it completes what the version before left open, ends the
time in which deletions can be undone, ends upload sessions that nobody continues, takes links that no
manifest needs, then blobs without links, and at last deletes the bytes of what was discarded a while ago.
Each step finds its work in the index, so that after a crash anywhere the next collection just goes on.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from auth.actor import SYSTEM, Actor
from registry.gc.jobs import Job
from registry.gc.tally import Run, Tally, ever
from registry.index import Connection, Index, collection, collection_preview, missing, removed
from registry.index.collection_preview import Share, Waiting
from registry.index.missing import Incomplete
from registry.oci.errors import Conflict, ManifestInvalid, RegistryError
from registry.oci.manifest import Manifest, parse_manifest
from registry.services.audit import Audit
from registry.services.manifest_entries import complete
from registry.services.quarantine import check_storage
from registry.services.storage_errors import translated_errors
from storage_drivers import StorageDriver
from storage_drivers.failpoints import declare, failpoint

JOB = "gc"

COMPLETED = declare("gc.manifests.completed")
EXPIRED = declare("gc.removed.expired")
LINKS_TAKEN = declare("gc.links.taken")
BLOBS_TAKEN = declare("gc.blobs.taken")
CHOSEN = declare("gc.bytes.chosen")
DELETED = declare("gc.bytes.deleted")
FORGOTTEN = declare("gc.bytes.forgotten")

BATCH = 250
"""Rows in a transaction: some 10 ms, in which SQLite has no other writer."""

BODIES = 20
"""Manifests in a transaction: each may have 4 MiB and thousands of edges."""

YOUNG_SECONDS = 3600.0
"""Bytes come before their row: an object is unknown, and nothing wrong, for as long as its push takes."""

OBJECTS = 1000
"""Locations that a driver is asked to delete at once."""

MOST_FAILURES = 3
"""Batches of objects that can't be deleted before the storage is left alone: one object that can't be must
not keep all others."""


class IndexEmpty(Conflict):
    """The index knows of no blob, and the storage is full of them."""

    def __init__(self, location: str) -> None:
        super().__init__(
            f"the index knows of no blob, but the storage holds objects, such as {location}: this index is "
            "lost, new or of another registry, so nothing is collected. Restore a backup of it, or check "
            "index.url and the settings of the storage"
        )


class Collector:
    """Collects for one registry. `delay_seconds`: how long discarded bytes stay for those who read them now;
    `window_seconds`: how long deletions can be undone; `expire_uploads`: ends sessions that nobody continues.
    """

    def __init__(
        self,
        index: Index,
        driver: StorageDriver,
        audit: Audit,
        *,
        delay_seconds: float,
        window_seconds: float,
        expire_uploads: Callable[[], Awaitable[int]],
    ) -> None:
        self._index = index
        self._driver = driver
        self._audit = audit
        self.delay_seconds = delay_seconds
        self._window_seconds = window_seconds
        self._expire_uploads = expire_uploads

    async def run(self, job: Job) -> Mapping[str, Any]:
        """Collect to the end; the report, a JSON object. Raises as `collect` does."""
        report = await self.collect(job)
        assert report is not None, "without an end in time it goes on until it is done"
        return report

    async def collect(
        self,
        job: Job,
        *,
        actor: Actor = SYSTEM,
        purge_removed: bool = False,
        seconds: float | None = None,
    ) -> Mapping[str, Any] | None:
        """Collect to the end, or for so many seconds: then None, and the next one goes on.

        `purge_removed`: nothing that was deleted can be restored any more. Raises IndexEmpty, LostJob,
        Conflict for a manifest that can't be read, Unavailable and StorageFull.
        """
        await self._check_index(job)
        run = Run(job, seconds)
        steps: dict[str, Callable[[], Awaitable[bool]]] = {
            "manifests": partial(self._complete, run),
            "removed": partial(self._expire, run, self._removed_before(run.began, purge_removed)),
            "uploads": partial(self._end_uploads, run),
            "links": partial(self._take_links, run),
            "blobs": partial(self._take_blobs, run),
            "bytes": self._byte_step(run),
        }
        for name, step in steps.items():
            with run.timed(name):
                while await step():
                    if run.is_late:
                        return None
        if run.tally.changed:
            await self._tell(run, actor, purge_removed)
        return run.tally.report(job.previous_report)

    async def preview(self, *, purge_removed: bool = False) -> Sequence[Share]:
        """The blobs that a collection would look at now, by what becomes of them. Nothing is changed."""
        now = time.time()
        query = partial(
            collection_preview.shares,
            now=now,
            removed_before=self._removed_before(now, purge_removed),
            window_seconds=self._window_seconds,
        )
        return await self._index.read(query)

    async def waiting(self) -> Waiting:
        """What there is to do."""
        return await self._index.read(collection_preview.waiting)

    def _removed_before(self, now: float, purge_removed: bool) -> float:
        return now if purge_removed else now - self._window_seconds

    async def _check_index(self, job: Job) -> None:
        """Raise IndexEmpty for an index that knows no blob, and never had one collected, on a storage that
        holds objects which it doesn't know, and did so before the first push can have begun."""
        young = time.time() - YOUNG_SECONDS
        if ever(job.previous_report)["blobs"] or not await self._index.read(collection.knows_nothing):
            return
        with translated_errors():
            async for found in self._driver.scan():
                known = partial(collection.knows, location=found.location)
                if found.modified < young and not await self._index.read(known):
                    raise IndexEmpty(found.location)

    async def _complete(self, run: Run) -> bool:
        rows = await self._index.read(partial(missing.incomplete, limit=BODIES))
        if not rows:
            return False
        parsed = await asyncio.to_thread(lambda: [(row, _parse(row)) for row in rows])

        def change(connection: Connection) -> int:
            for row, manifest in parsed:
                complete(connection, row.id, row.repository_id, manifest)
            return len(parsed)

        await run.write(change, lambda tally, count: tally.plus(completed=count))
        failpoint(COMPLETED)
        return True

    async def _expire(self, run: Run, before: float) -> bool:
        expire = partial(removed.expire, before=before, limit=BATCH)
        expired = await run.write(expire, lambda tally, found: tally.plus(expired=found.ended))
        failpoint(EXPIRED)
        return expired.rows > 0

    async def _end_uploads(self, run: Run) -> bool:
        run.tally = run.tally.plus(uploads=await self._expire_uploads())
        return False

    async def _take_links(self, run: Run) -> bool:
        settle = partial(collection.settle_links, due=run.began, now=time.time(), limit=BATCH)
        settled = await run.write(settle, Tally.plus_links)
        failpoint(LINKS_TAKEN)
        return settled.examined > 0

    async def _take_blobs(self, run: Run) -> bool:
        settle = partial(collection.settle_blobs, due=run.began, now=time.time(), limit=BATCH)
        settled = await run.write(settle, Tally.plus_blobs)
        failpoint(BLOBS_TAKEN)
        return settled.examined > 0

    def _byte_step(self, run: Run) -> Callable[[], Awaitable[bool]]:
        """Deletes a batch of objects that were discarded long enough ago. One that can't be deleted must not
        keep all others: the error is raised behind them, unless it goes on and on."""
        after = (0.0, "")
        before: float | None = None
        failures: list[RegistryError] = []

        async def step() -> bool:
            nonlocal after, before
            if before is None:  # once, so that what is postponed does not come again
                before = time.time() - self.delay_seconds
            rows = await self._index.read(
                partial(collection.discarded_before, before=before, after=after, limit=OBJECTS)
            )
            if not rows:
                if failures:
                    raise failures[0]
                return False
            after = rows[-1].since, rows[-1].location
            locations = [row.location for row in rows]
            failpoint(CHOSEN)
            # Or who was paused since would delete what others deleted already, and adopted again.
            await run.job.renew()
            try:
                with translated_errors():
                    await self._driver.delete_many(locations)
            except RegistryError as error:
                failures.append(error)
                # Or each collection would begin with the same ones, and end there.
                await run.job.write(partial(collection.postpone, locations=locations, now=time.time()))
                if len(failures) == MOST_FAILURES:
                    raise
                return True
            failpoint(DELETED)
            # Or it was perhaps not there.
            told = "no blob can be read, so nothing that was deleted counts as gone"
            await check_storage(self._index, self._driver, told)
            freed = sum(row.size or 0 for row in rows)
            await run.write(
                partial(collection.forget, locations=locations),
                lambda tally, _none: tally.plus(objects=len(rows), freed=freed),
            )
            failpoint(FORGOTTEN)
            return True

        return step

    async def _tell(self, run: Run, actor: Actor, purge_removed: bool) -> None:
        """Enter in the audit what went."""
        tally = run.tally
        detail = {name: getattr(tally, name) for name in ("expired", "links", "blobs", "bytes", "freed")}
        if purge_removed:
            detail["purge_removed"] = True
        enter = partial(self._audit.record, actor=actor, action="gc.run", detail=detail)
        self._audit.tell(await run.job.write(enter))


def _parse(row: Incomplete) -> Manifest:
    try:
        return parse_manifest(row.body, row.media_type)
    except ManifestInvalid as error:
        raise Conflict(
            f"nothing is collected, since what the manifest {row.digest} of {row.repository} needs can't be "
            f"told: {error.message}; push it again or delete it"
        ) from error
