"""Quarantined blobs count as not there, and a push heals them."""

import asyncio

from sqlalchemy import select

from registry.index import Connection, Index, blobs, manifests, quarantine, quotas, repositories
from registry.index.tables import discarded
from tests.unit.index.rows import blob

DIGEST = "sha256:" + 64 * "a"
LOCATION = f"at {DIGEST}"


async def quarantined(index: Index) -> int:
    """The id of a blob of acme/app that is in quarantine."""

    def change(connection: Connection) -> int:
        id = blob(connection, "acme/app", DIGEST, 10)
        assert quarantine.begin(connection, id, LOCATION, 5.0)
        return id

    return await index.write(change)


def discarded_now(connection: Connection) -> list[tuple[str, float, int | None]]:
    return [(row.location, row.since, row.size) for row in connection.execute(select(discarded))]


async def test_it_is_not_there_but_counts(index: Index) -> None:
    await quarantined(index)

    def look(connection: Connection) -> None:
        repository_id = repositories.find(connection, "acme/app")
        assert repository_id is not None
        assert blobs.find(connection, "acme/app", DIGEST) is None
        assert manifests.sizes_of_blobs(connection, repository_id, [DIGEST]) == {}
        assert not blobs.extend_lease(connection, DIGEST, 100.0)
        assert quotas.set(connection, "acme/app", 100, 1.0, "user:admin") == 10

    await index.write(look)


async def test_a_push_heals_it(index: Index) -> None:
    id = await quarantined(index)

    def push(connection: Connection) -> blobs.BlobRow:
        return blobs.record(connection, DIGEST, 11, "elsewhere", 50.0, 7.0)

    healed = blobs.BlobRow(id, DIGEST, 11, "elsewhere", 50.0)
    assert await index.write(push) == healed
    assert await index.read(lambda c: blobs.find(c, "acme/app", DIGEST)) == healed
    assert await index.read(discarded_now) == [(LOCATION, 7.0, 10)]
    # Whoever still holds the old location against it comes too late.
    assert not await index.write(lambda c: quarantine.begin(c, id, LOCATION, 8.0))
    assert await index.read(lambda c: blobs.find(c, "acme/app", DIGEST)) == healed


async def test_of_many_pushes_at_once_one_heals_it(index: Index) -> None:
    await quarantined(index)

    def push(number: int) -> object:
        return index.write(lambda c: blobs.record(c, DIGEST, 10, f"new {number}", 50.0, 7.0))

    rows = await asyncio.gather(*(push(number) for number in range(8)))  # type: ignore[call-overload]

    assert len({row.location for row in rows}) == 1
    assert await index.read(discarded_now) == [(LOCATION, 7.0, 10)]


async def test_it_is_released_when_its_bytes_are_right_after_all(index: Index) -> None:
    id = await quarantined(index)

    assert not await index.write(lambda c: quarantine.end(c, id, "elsewhere"))
    assert await index.write(lambda c: quarantine.end(c, id, LOCATION))
    assert await index.read(lambda c: blobs.find(c, "acme/app", DIGEST)) is not None
    assert not await index.write(lambda c: quarantine.end(c, id, LOCATION))


async def test_it_can_be_deleted(index: Index) -> None:
    await quarantined(index)

    assert await index.write(lambda c: blobs.unlink(c, "acme/app", DIGEST, 9.0))


async def test_the_list(index: Index) -> None:
    id = await quarantined(index)
    await index.write(lambda c: blobs.link(c, repositories.ensure(c, "acme/other", 1.0), id, 1.0))
    await index.write(lambda c: blob(c, "acme/app", "sha256:" + 64 * "b", 1))
    await index.write(lambda c: quarantine.begin(c, id, LOCATION, 9.0))

    (row,) = await index.read(lambda c: quarantine.page(c, None, 10))

    assert row == (id, DIGEST, 10, LOCATION, 5.0, 2, "acme/app")
    assert await index.read(lambda c: quarantine.page(c, id, 10)) == []
