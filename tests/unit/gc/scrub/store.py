"""Blobs in a storage and an index, for the scrub to look at."""

import os
import time
from pathlib import Path
from typing import Any

from sqlalchemy import select

from registry.gc.jobs import Jobs
from registry.gc.journal import Journal
from registry.gc.scrub import Scrub
from registry.gc.scrub_progress import Finding
from registry.index import Connection, Index, blobs, index_copies, repositories
from registry.index.tables import discarded
from registry.oci.digest import Digest
from registry.services.audit import Audit
from registry.services.quarantine import Quarantine
from storage_drivers import StorageDriver
from tests.contract.sources import runs_of

DAY = 86400.0

WEEK = 7 * DAY


class Store:
    """Blobs in a storage and an index."""

    def __init__(self, index: Index, driver: StorageDriver, root: Path) -> None:
        self.index = index
        self.driver = driver
        self.root = root
        self.found: list[Finding] = []

    async def object(self, content: bytes) -> str:
        """Its location."""
        upload = await self.driver.append(await self.driver.begin(), runs_of(content))
        return await self.driver.commit(upload, Digest.of(content))

    async def push(self, content: bytes, repository: str = "acme/app") -> str:
        """As an upload does; the location."""
        location = await self.object(content)

        def record(connection: Connection) -> str:
            row = blobs.record(connection, Digest.of(content), len(content), location, 0.0, 1.0)
            blobs.link(connection, repositories.ensure(connection, repository, 1.0), row.id, 1.0)
            return row.location

        return await self.index.write(record)

    async def fill(self, count: int) -> list[str]:
        return [await self.push(b"content %d" % number) for number in range(count)]

    def file(self, location: str) -> Path:
        return self.root / location

    def make_old(self, location: str, seconds: float) -> None:
        then = time.time() - seconds
        os.utime(self.file(location), (then, then))

    def scrub(self, **options: Any) -> Scrub:
        keeper = Quarantine(self.index, self.driver, Audit(self.index, 1000.0))
        options = {"bytes_per_second": 0, "upload_seconds": WEEK, "found": self.found.append} | options
        return Scrub(self.index, self.driver, keeper, **options)

    async def run(self, **options: Any) -> dict[str, Any]:
        """The report of a scrub."""
        self.found.clear()
        async with Jobs(self.index).hold("scrub") as job:
            report = await self.scrub(**options).run(job)
            await job.finish(report)
        return report

    def kinds(self) -> dict[str | None, str]:
        return {finding.location: finding.kind for finding in self.found}

    async def discarded(self) -> list[str]:
        return await self.index.read(lambda c: list(c.execute(select(discarded.c.location)).scalars()))

    async def journal(self) -> None:
        """Write what is new."""
        async with Jobs(self.index).hold("journal") as job:
            await Journal(self.index, self.driver).run(job)

    async def copies(self, kind: str) -> list[str]:
        """Where they are."""
        found = await self.index.read(lambda c: index_copies.of_kind(c, kind))
        return [row.location for row in found]

    async def there(self, content: bytes) -> bool:
        row = await self.index.read(lambda c: blobs.find(c, "acme/app", Digest.of(content)))
        return row is not None
