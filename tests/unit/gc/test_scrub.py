"""The scrub finds what is wrong with the storage and the index, goes on where it ended, and believes no
storage that looks like the wrong one. On files, and on both databases."""

import errno
import io
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from sqlalchemy import delete, select, update

import storage_drivers
from auth.actor import Actor
from registry.gc import scrub_blobs, scrub_objects
from registry.gc.archive import verify
from registry.gc.backups import Backups
from registry.gc.jobs import Jobs
from registry.gc.journal import Journal
from registry.gc.pace import Pace
from registry.gc.scrub import Scrub
from registry.gc.scrub_progress import Finding, Progress, Stage
from registry.index import Connection, Index, blobs, index_copies, jobs, open_index, repositories
from registry.index import scrub as scrub_rows
from registry.index.migrations import upgrade
from registry.index.tables import blobs as blob_table
from registry.index.tables import discarded, manifests, repository_blobs
from registry.index.upkeep_tables import index_copies as index_copies_table
from registry.oci.digest import Digest
from registry.oci.errors import Conflict, Unavailable
from registry.services.audit import Audit
from registry.services.quarantine import Quarantine
from storage_drivers import Defective, StorageDriver
from storage_drivers.filesystem import FilesystemDriver
from storage_drivers.s3 import S3Driver
from tests.contract.sources import runs_of
from tests.unit.index import rows

DAY = 86400.0
WEEK = 7 * DAY


@pytest.fixture
async def driver(tmp_path: Path) -> AsyncIterator[FilesystemDriver]:
    made = FilesystemDriver(str(tmp_path / "storage"))
    yield made
    await made.aclose()


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


@pytest.fixture
def store(index: Index, driver: FilesystemDriver, tmp_path: Path) -> Store:
    return Store(index, driver, tmp_path / "storage")


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


async def test_a_storage_that_is_not_mounted_is_not_believed(store: Store) -> None:
    locations = await store.fill(4)
    for location in locations:
        store.file(location).unlink()

    with pytest.raises(Unavailable, match="is it mounted"):
        await store.run()

    assert all([await store.there(b"content %d" % number) for number in range(4)])


async def test_another_storage_is_not_believed_unless_somebody_insists(store: Store) -> None:
    locations = await store.fill(20)
    for location in locations[6:]:
        store.file(location).unlink()

    with pytest.raises(Conflict, match=r"14 of the first 20 .* --quarantine-many"):
        await store.run()
    assert await store.there(b"content 19")

    report = await store.run(quarantine_many=True)
    assert report["quarantined"] == 14


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


async def test_unknown_objects_are_discarded_when_they_are_old(store: Store) -> None:
    await store.fill(12)
    old, young = await store.object(b"nobody's"), await store.object(b"being pushed")
    known = await store.object(b"to be deleted")
    store.make_old(old, WEEK + 60)
    store.make_old(known, WEEK + 60)
    store.make_old(young, WEEK - 60)
    await store.index.write(
        lambda c: c.execute(discarded.insert().values(location=known, since=1.0, size=None))
    )

    report = await store.run()

    assert store.kinds() == {old: "unknown"}
    assert (report["objects"], report["unknown"], report["young"], report["discarded"]) == (15, 1, 1, 1)
    assert set(await store.discarded()) == {old, known}
    assert (await store.run())["unknown"] == 0


async def test_what_a_long_upload_may_be_about_to_enter_is_not_old(store: Store) -> None:
    """A session may live for longer than it lives without a byte."""
    await store.fill(12)
    location = await store.object(b"of a session of two weeks")
    store.make_old(location, 13 * DAY)
    begun = time.time() - 14 * DAY
    await store.index.write(
        lambda c: rows.uploads.create(
            c, "id", "acme/app", "sha256", {"token": "x"}, by="x", now=begun, expires_at=begun + 30 * DAY
        )
    )

    report = await store.run()

    assert (report["unknown"], report["young"]) == (0, 1)
    assert await store.discarded() == []


async def test_too_many_unknown_objects_are_not_discarded_unless_somebody_insists(store: Store) -> None:
    """As with two registries on one bucket, or the wrong database."""
    await store.fill(8)
    other = await store.object(b"of another registry")
    store.make_old(other, 365 * DAY)

    report = await store.run()
    assert "1 of 9 objects are unknown" in report["refused"]
    assert (report["unknown"], report["discarded"]) == (1, 0)
    assert await store.discarded() == []

    report = await store.run(discard_unknown=True)
    assert (report["refused"], report["discarded"]) == (None, 1)
    assert await store.discarded() == [other]


async def test_two_registries_on_one_storage_are_told_apart(store: Store, tmp_path: Path) -> None:
    """However few objects the other one has, and whether its journal is old or new."""
    await store.fill(20)
    upgrade(url := f"sqlite:///{tmp_path / 'other.sqlite'}")
    other = Store(open_index(url, pool_size=1), store.driver, store.root)
    try:
        for each, digest in ((store, "sha256:aa"), (other, "sha256:bb")):
            await each.index.write(partial(rows.manifest, repository="r", digest=digest, size=2, tag="v1"))
            await each.journal()
        theirs = await other.push(b"of the other registry")
        store.make_old(theirs, WEEK + 60)
        report = await store.run()
        assert "another registry keeps its journal or backups here" in report["refused"]
        assert (report["unknown"], report["discarded"]) == (1, 0)
        assert (await store.run(discard_unknown=True))["discarded"] == 1, "who says so means it"
    finally:
        other.index.close()


async def test_what_a_dead_process_left_of_the_journal_is_no_other_registry_s(store: Store) -> None:
    await store.fill(20)
    await store.index.write(partial(rows.manifest, repository="r", digest="sha256:aa", size=2, tag="v1"))
    await store.journal()
    await store.index.write(lambda c: c.execute(delete(index_copies_table)))
    left = [found.location async for found in store.driver.scan() if "/journal/" in found.location]
    store.make_old(left[0], WEEK + 60)
    assert (await store.run())["discarded"] == 1
    assert await store.discarded() == left


async def test_an_empty_index_beside_a_full_storage(store: Store) -> None:
    for number in range(3):
        store.make_old(await store.object(b"%d" % number), 30 * DAY)

    report = await store.run()

    assert "3 of 3 objects" in report["refused"]
    assert await store.discarded() == []


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


async def test_copies_in_a_storage_that_is_not_mounted_are_not_written_again(store: Store) -> None:
    await store.fill(2)
    await store.journal()
    before = await store.copies("journal")
    progress = Progress(1.0, 0, 0, Stage.COPIES)
    store.root.rename(store.root.with_name("away"))
    async with Jobs(store.index).hold("scrub") as job:
        await job.write(lambda connection: job.save(connection, progress.state()))
        with pytest.raises(Unavailable, match="nor any blob"):
            await store.scrub().run(job)
    assert await store.copies("journal") == before != []


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
