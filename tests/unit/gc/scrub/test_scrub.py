"""The scrub finds what is wrong with bytes, manifests and marks, and goes on where it ended. On files, and on
both databases."""

import errno
import io
import os
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from sqlalchemy import select, update

import storage_drivers
from auth.actor import Actor
from registry.gc import scrub_blobs, scrub_objects
from registry.gc.archive import verify
from registry.gc.backups import Backups
from registry.gc.pace import Pace
from registry.gc.scrub_progress import Finding
from registry.index import Connection, Index, blobs, jobs
from registry.index import scrub as scrub_rows
from registry.index.tables import blobs as blob_table
from registry.index.tables import manifests, repository_blobs
from registry.oci.digest import Digest
from registry.oci.errors import Unavailable
from registry.services.audit import Audit
from registry.services.quarantine import Quarantine
from storage_drivers import Defective
from storage_drivers.filesystem import FilesystemDriver
from storage_drivers.s3 import S3Driver
from tests.unit.gc.scrub.store import WEEK, Store
from tests.unit.index import rows


async def test_a_store_that_is_all_right(store: Store) -> None:
    await store.fill(5)
    await store.push(b"")

    report = await store.run()

    assert report["all_right"]
    assert (report["blobs"], report["objects"]) == (6, 6)
    assert report["bytes"] == 5 * len(b"content 0")
    assert store.found == []


async def test_what_is_wrong_is_quarantined_and_healed(store: Store) -> None:
    locations = await store.fill(12)
    flipped, short, long, missing = locations[3], locations[5], locations[7], locations[11]
    store.file(flipped).write_bytes(b"cOntent 3")
    store.file(short).write_bytes(b"content ")
    store.file(long).write_bytes(b"content 7 and more")
    store.file(missing).unlink()

    report = await store.run()

    assert store.kinds() == {flipped: "digest", short: "size", long: "size", missing: "missing"}
    assert not report["all_right"]
    assert (report["quarantined"], report["wrong"]) == (4, 4)
    assert len(report["found"]) == 4
    for number in range(12):
        assert await store.there(b"content %d" % number) == (number not in (3, 5, 7, 11))

    # It says so again as long as it is so, and changes nothing.
    again = await store.run()
    assert (again["quarantined"], again["wrong"]) == (0, 4)

    # A push heals; so do the right bytes in the old place.
    await store.push(b"content 3")
    store.file(missing).write_bytes(b"content 11")
    healed = await store.run()
    assert (healed["wrong"], healed["released"]) == (2, 1)
    assert await store.there(b"content 3")
    assert await store.there(b"content 11")
    assert await store.discarded() == [flipped]


@pytest.mark.parametrize("index_url", ["sqlite"], indirect=True)
async def test_on_s3(
    index: Index, s3_settings: Mapping[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on files. The age of objects can't be made up there, so that all count as old."""
    monkeypatch.setattr(scrub_objects, "SHORTEST_AGE", 0.0)
    driver = S3Driver.from_settings(s3_settings)
    store = Store(index, driver, tmp_path)
    locations = await store.fill(12)
    flipped, cut, missing = locations[1], locations[2], locations[3]
    await driver._bucket.put(flipped, b"cOntent 1", lasting=True)
    await driver._bucket.put(cut, b"conten", lasting=True)
    await driver.delete(missing)
    stranger = await store.object(b"nobody's")

    report = await store.run(upload_seconds=0.0)

    assert store.kinds() == {flipped: "digest", cut: "size", missing: "missing", stranger: "unknown"}
    assert await store.discarded() == [stranger]
    assert report["bytes"] == 12 * 9 + 2
    for content in (b"content 1", b"content 2", b"content 3"):
        await store.push(content)
    assert (await store.run(upload_seconds=WEEK))["all_right"]
    await driver.aclose()


async def test_a_push_while_it_is_read_wins(store: Store) -> None:
    """What was found wrong is not what the blob has by then."""
    await store.fill(3)
    wrong = await store.push(b"pushed again")
    store.file(wrong).write_bytes(b"PUSHED again")
    inspect = Quarantine.inspect
    looks = 0

    async def heal_at_the_second_look(keeper: Quarantine, row: blobs.BlobRow, **options: Any) -> Any:
        nonlocal looks
        fault = await inspect(keeper, row, **options)
        if row.location == wrong and (looks := looks + 1) == 2:
            await store.index.write(
                lambda c: c.execute(
                    update(blob_table).where(blob_table.c.location == wrong).values(location="newer")
                )
            )
        return fault

    with patch.object(Quarantine, "inspect", heal_at_the_second_look):
        report = await store.run()

    assert looks == 2
    assert report["wrong"] == 0
    assert await store.there(b"pushed again")


def failing(location: str, error: Exception) -> Callable[..., AsyncIterator[bytes]]:
    read = FilesystemDriver.read

    async def fail(driver: FilesystemDriver, wanted: str, *span: Any) -> AsyncIterator[bytes]:
        if wanted == location:
            raise error
        async for part in read(driver, wanted, *span):
            yield part

    return fail


async def test_a_bad_sector_is_quarantined(store: Store) -> None:
    locations = await store.fill(10)
    with patch("os.pread", _bad_sector(store.file(locations[4]))):
        report = await store.run()

    assert store.kinds() == {locations[4]: "unreadable"}
    assert report["quarantined"] == 1
    assert not await store.there(b"content 4")


def _bad_sector(file: Path) -> Callable[[int, int, int], bytes]:
    pread = os.pread
    inode = file.stat().st_ino

    def read(descriptor: int, count: int, offset: int) -> bytes:
        if os.fstat(descriptor).st_ino == inode:
            raise OSError(errno.EIO, "Input/output error")
        return pread(descriptor, count, offset)

    return read


async def test_an_object_that_can_not_be_read_now_is_only_told(store: Store) -> None:
    locations = await store.fill(10)
    busy = failing(locations[4], storage_drivers.Unavailable("slow down"))
    with patch.object(FilesystemDriver, "read", busy):
        report = await store.run()

    assert store.kinds() == {locations[4]: "unavailable"}
    assert (report["quarantined"], report["unavailable"]) == (0, 1)
    assert not report["all_right"]
    assert await store.there(b"content 4")


async def test_an_outage_ends_it_and_it_goes_on_from_there(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrub_blobs, "ROWS", 10)
    locations = await store.fill(15)
    store.file(locations[12]).unlink()
    read = FilesystemDriver.read
    seen: list[str] = []
    working = 12

    async def until_it_breaks(driver: FilesystemDriver, wanted: str, *span: Any) -> AsyncIterator[bytes]:
        if len(seen) >= working:
            raise Defective("the disk is gone")
        if span != (0, 1):  # a look at whether any other can be read
            seen.append(wanted)
        async for part in read(driver, wanted, *span):
            yield part

    with patch.object(FilesystemDriver, "read", until_it_breaks), pytest.raises(Unavailable):
        await store.run()
    row = await store.index.read(lambda c: jobs.get(c, "scrub"))
    assert row is not None
    assert row.state["blobs"] == 10
    assert row.holder is None

    seen.clear()
    working = 1000
    with patch.object(FilesystemDriver, "read", until_it_breaks):
        report = await store.run()

    assert not set(locations[:10]) & set(seen), "what was read is not read again"
    assert (report["blobs"], report["quarantined"]) == (15, 1)


@pytest.mark.parametrize("harm", ["changed", "missing"])
async def test_a_wrong_journal_is_written_again_and_a_wrong_backup_told(store: Store, harm: str) -> None:
    await store.fill(2)
    await store.index.write(lambda c: rows.manifest(c, "acme/app", Digest.of(b"{}"), 2, "v1"))
    await store.journal()
    nobody = Backups(store.index, store.driver, Audit(store.index, 1000.0), "1.0")
    (journal,) = await store.copies("journal")
    (backup, _) = await nobody.to_storage(Actor("operator:me"), None, lambda _rows: None)
    report = await store.run()
    assert (report["all_right"], report["copies"], report["wrong_copies"]) == (True, 2, 0)

    for location in (journal, backup.location):
        if harm == "missing":
            store.file(location).unlink()
        else:
            content = bytearray(store.file(location).read_bytes())
            content[len(content) // 2] ^= 1
            store.file(location).write_bytes(content)
    report = await store.run()
    assert store.kinds() == {journal: "journal", backup.location: "backup"}
    assert (report["all_right"], report["wrong_copies"]) == (False, 2)
    assert await store.copies("journal") == []
    assert journal in await store.discarded()

    await store.journal()
    (new,) = await store.copies("journal")
    assert verify(io.BytesIO(store.file(new).read_bytes()), "journal").end["lines"] == 4, (
        "a batch, the repository, the manifest, the tag"
    )
    assert (await store.run())["wrong_copies"] == 1, "a backup can't be made anew of what was then"


async def test_what_nothing_holds_is_left_to_the_collector(store: Store) -> None:
    """A mark that is missing where one belongs is set, and none where something holds."""

    def fill(connection: Connection) -> None:
        held = rows.blob(connection, "acme/app", str(Digest.of(b"held")), 4)
        rows.manifest(connection, "acme/app", str(Digest.of(b"{}")), 2, "latest", (held,))
        loose = rows.blob(connection, "acme/app", str(Digest.of(b"loose")), 5)
        blobs.record(connection, Digest.of(b"bare"), 4, "bare", 0.0, 1.0)
        connection.execute(update(repository_blobs).values(examine_at=None))
        assert held != loose

    def marked(connection: Connection) -> tuple[list[str], list[str]]:
        links = (
            select(blob_table.c.digest)
            .join(repository_blobs, repository_blobs.c.blob_id == blob_table.c.id)
            .where(repository_blobs.c.examine_at.is_not(None))
        )
        bare = select(blob_table.c.digest).where(blob_table.c.examine_at.is_not(None))
        return list(connection.execute(links).scalars()), list(connection.execute(bare).scalars())

    await store.index.write(fill)
    for digest, size in ((b"held", 4), (b"loose", 5), (b"bare", 4)):
        location = await store.object(digest)
        await store.index.write(
            lambda c, location=location, digest=digest: c.execute(
                update(blob_table).where(blob_table.c.digest == Digest.of(digest)).values(location=location)
            )
        )
        assert len(digest) == size

    with patch.object(scrub_rows, "mark", wraps=scrub_rows.mark) as mark:
        report = await store.run()

    assert report["marked"] == 2
    assert report["all_right"]
    written = [id for call in mark.call_args_list for id in call.args[1]]
    assert len(written) == 2, "what is right is looked at where no other writer waits for it"
    assert await store.index.read(marked) == ([Digest.of(b"loose")], [Digest.of(b"bare")])


async def test_a_manifest_whose_bytes_are_wrong_is_told(store: Store) -> None:
    def fill(connection: Connection) -> None:
        ids = [
            rows.manifest(connection, f"acme/app{number}", str(Digest.of(b"{}")), 2, "latest")
            for number in range(3)
        ]
        connection.execute(update(manifests).where(manifests.c.id == ids[1]).values(body=b"[]"))

    await store.index.write(fill)

    report = await store.run()

    assert (report["manifests"], report["wrong_manifests"]) == (3, 1)
    assert store.found == [Finding("manifest", Digest.of(b"{}"), repository="acme/app1")]
    assert not report["all_right"]


async def test_no_more_than_a_piece_of_each_is_in_memory(store: Store) -> None:
    """However large the blobs are: what is read is dropped before the next piece is asked for."""
    await store.push(os.urandom(3 << 20))
    await store.push(os.urandom(1 << 20))
    read = FilesystemDriver.read
    pieces: list[int] = []

    async def measured(driver: FilesystemDriver, *span: Any) -> AsyncIterator[bytes]:
        async for part in read(driver, *span):
            pieces.append(len(part))
            yield part

    with patch.object(FilesystemDriver, "read", measured):
        report = await store.run()

    assert report["bytes"] == sum(pieces) == 4 << 20
    assert max(pieces) <= 1 << 20


async def test_it_reads_no_faster_than_is_set() -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock[0] += seconds

    clock = [0.0]
    pace = Pace(1 << 20, sleep, lambda: clock[0])
    for _ in range(6):
        await pace.spend(512 << 10)

    assert clock[0] == pytest.approx(3.0)
    assert slept == [0.5] * 6


async def test_the_audit_tells_of_a_quarantine(store: Store) -> None:
    locations = await store.fill(5)
    store.file(locations[1]).unlink()
    await store.run()

    (row,) = await Audit(store.index, 1000.0).page({"action": "blob.quarantine"}, None, 10)

    assert (row.actor, row.target, row.detail["fault"]) == ("system", Digest.of(b"content 1"), "missing")


async def test_the_oldest_blobs_are_not_all_there_is(store: Store) -> None:
    """They may be lost together, with a folder or a day, while the storage is the right one."""
    lost = (await store.fill(40))[:9]
    for location in lost:
        store.file(location).unlink()

    await store.run()

    assert store.kinds() == dict.fromkeys(lost, "missing")
