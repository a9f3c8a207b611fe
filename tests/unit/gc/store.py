"""An index and a storage in memory, and what a client and the collector do to them."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text

from auth.actor import Actor
from registry.gc.collector import JOB, Collector
from registry.gc.jobs import Jobs
from registry.index import Connection, Index, blobs, manifests, repositories, tags
from registry.oci.digest import Digest
from registry.oci.manifest import parse_manifest
from registry.services.audit import Audit
from registry.services.manifest_entries import NewManifest, enter
from storage_drivers.memory import MemoryDriver
from tests.unit.oci.documents import descriptor, encode, image

LONG_AGO = 1_000.0

"""When rows were made, so that no lease is running unless a test says so."""

APP = "acme/app"

CI = Actor("robot:ci")


async def no_uploads() -> int:
    return 3


async def pieces(content: bytes) -> AsyncIterator[list[bytes]]:
    yield [content]


@dataclass
class Store:
    """An index and a storage, and what a client does to them."""

    index: Index
    driver: MemoryDriver = field(default_factory=MemoryDriver)
    delay: float = 0.0
    window: float = 0.0
    expire_uploads: Callable[[], Awaitable[int]] = no_uploads

    async def push(self, content: bytes, *names: str, lease: float = 0.0) -> str:
        """Store a blob and let repositories read it; its digest."""
        digest = Digest.of(content, "sha256")

        upload = await self.driver.append(await self.driver.begin(), pieces(content))
        location = await self.driver.commit(upload, digest)

        def change(connection: Connection) -> str:
            row = blobs.record(connection, digest, len(content), location, lease, LONG_AGO)
            for name in names or (APP,):
                id = repositories.ensure(connection, name, LONG_AGO)
                blobs.link(connection, id, row.id, LONG_AGO)
            return row.location

        if await self.index.write(change) != location:
            await self.driver.delete(location)
        return digest

    async def push_image(self, *contents: bytes, tag: str = "latest", name: str = APP) -> str:
        """A manifest of these layers, of which those must be there that are; its digest."""
        layers = [descriptor(digest=Digest.of(content, "sha256"), size=len(content)) for content in contents]
        body = encode(image(config=layers[0], layers=layers[1:]))
        digest = Digest.of(body, "sha256")

        def change(connection: Connection) -> None:
            id = repositories.ensure(connection, name, LONG_AGO)
            new = NewManifest(digest, body, parse_manifest(body, None), "user:ci", LONG_AGO)
            manifest_id, _ = enter(connection, id, new, sparse=True)
            tags.point(connection, id, tag, manifest_id, digest, "user:ci", LONG_AGO)

        await self.index.write(change)
        return digest

    async def delete_image(self, digest: str, *, keep: bool = False, name: str = APP) -> None:
        def change(connection: Connection) -> None:
            row = manifests.find_by_digest(connection, name, digest)
            id = repositories.find(connection, name)
            assert row is not None
            assert id is not None
            tags.remove_of_manifest(connection, id, row.id, "user:ci", LONG_AGO)
            manifests.remove(connection, row.id, "user:ci", time.time(), keep=keep)

        await self.index.write(change)

    def collector(self) -> Collector:
        return Collector(
            self.index,
            self.driver,
            Audit(self.index, 1000),
            delay_seconds=self.delay,
            window_seconds=self.window,
            expire_uploads=self.expire_uploads,
        )

    async def collect(self, **options: Any) -> Mapping[str, Any]:
        """Collect to the end; the report."""
        async with Jobs(self.index).hold(JOB) as job:
            report = await self.collector().collect(job, **options)
            assert report is not None
            await job.finish(report)
        return report

    async def held(self, name: str = APP) -> set[str]:
        """The blobs that a repository may read; their bytes are there."""
        query = text(
            "SELECT blobs.digest, location FROM blobs JOIN repository_blobs ON blob_id = blobs.id "
            "JOIN repositories ON repositories.id = repository_id WHERE name = :name"
        )
        rows = await self.index.read(lambda connection: connection.execute(query, {"name": name}).all())
        for digest, location in rows:
            content = b"".join([part async for part in self.driver.read(location)])
            assert Digest.of(content, "sha256") == digest
        return {digest for digest, _ in rows}

    async def count(self, table: str) -> int:
        query = text(f"SELECT count(*) FROM {table}")
        return int(await self.index.read(lambda connection: connection.execute(query).scalar_one()))

    async def objects(self) -> int:
        return len([one async for one in self.driver.scan()])
