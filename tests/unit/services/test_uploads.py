"""What an upload promises to whoever asks for its end once more."""

import time
from collections.abc import AsyncGenerator

import pytest
from sqlalchemy import select, update

from registry.index import Connection, Index, blobs
from registry.index.tables import blobs as blob_table
from registry.oci.digest import Digest
from registry.oci.errors import UploadUnknown
from registry.oci.name import RepositoryName
from registry.services.access_cache import Epoch
from registry.services.policies import QuotaGate
from registry.services.upload_sessions import Body
from registry.services.uploads import Uploads
from storage_drivers import Run
from storage_drivers.memory import MemoryDriver

NAME = RepositoryName.parse("acme/app")
LEASE = 1000.0


async def content(piece: bytes) -> AsyncGenerator[Run]:
    yield [piece]


async def test_a_repeated_end_promises_the_blob_once_more(index: Index) -> None:
    uploads = Uploads(
        index,
        MemoryDriver(),
        QuotaGate(index, Epoch(index, 60)),
        expire_seconds=1000,
        tombstone_seconds=1000,
        claim_seconds=30,
        blob_lease_seconds=LEASE,
    )
    digest = Digest.of(b"layer")
    session = await uploads.start(NAME, "sha256", "user:ci")
    await uploads.finish(NAME, session.id, digest, Body(content(b"layer")))

    # The promise of the first end is nearly over when the client asks again.
    later = time.time() + 1
    await index.write(lambda connection: connection.execute(update(blob_table).values(lease_until=later)))
    await uploads.finish(NAME, session.id, digest, None)
    until = await index.read(lambda connection: connection.scalar(select(blob_table.c.lease_until)))
    assert until is not None
    assert until > later + LEASE / 2

    def gone(connection: Connection) -> bool:
        return blobs.unlink(connection, NAME, digest, later)

    assert await index.write(gone)
    with pytest.raises(UploadUnknown):
        await uploads.finish(NAME, session.id, digest, None)
