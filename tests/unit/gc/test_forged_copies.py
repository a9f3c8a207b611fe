"""What somebody pushes that looks like a journal is a blob, and tells an index nothing."""

from pathlib import Path
from tempfile import TemporaryFile

from registry.gc.archive import ArchiveWriter
from registry.gc.copies import recognised
from registry.gc.jobs import Jobs
from registry.gc.journal import KIND
from registry.gc.rebuild import Rebuild
from registry.gc.rebuild_gate import JOB
from registry.index import Connection, Index, repositories
from registry.oci.digest import Digest
from storage_drivers.filesystem import FilesystemDriver
from tests.unit.gc.store import pieces

# All that a location holds and can be known before an upload begins.
GUESSED = [f"blobs/sha256/{first:02x}/" for first in range(256)]


def forged() -> bytes:
    """A journal in which somebody has a repository."""
    with TemporaryFile() as file:
        writer = ArchiveWriter(file, KIND, {"since": 1.0, "until": 1.0, "index": "none", "places": GUESSED})
        writer.line({"batch": 1.0})
        writer.line(
            {
                "repository": "0" * 16,
                "name": "acme/theirs",
                "created_at": 1.0,
                "public": True,
                "description": "",
                "immutable_tags": "[]",
                "updated_at": None,
            }
        )
        writer.end()
        file.seek(0)
        return file.read()


async def test_a_folder_is_no_secret(new: Index, tmp_path: Path) -> None:
    driver = FilesystemDriver(tmp_path / "storage")
    content = forged()
    upload = await driver.append(await driver.begin(), pieces(content))
    location = await driver.commit(upload, Digest.of(content))
    assert any(place in location for place in GUESSED)

    assert await recognised(driver, location, len(content)) is None
    async with Jobs(new).hold(JOB) as job:
        report = await Rebuild(new, driver, window_seconds=0.0).run(job)

    assert (report["blobs"], report["journal_objects"]) == (1, 0)

    def find(connection: Connection) -> int | None:
        return repositories.find(connection, "acme/theirs")

    assert await new.read(find) is None
