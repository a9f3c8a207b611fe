"""Drivers that serve what others left in their place: files are listed, read and deleted where they lie."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from storage_drivers import Adoptable, NotFound, StorageDriver
from storage_drivers.filesystem import FilesystemDriver
from storage_drivers.memory import MemoryDriver
from storage_drivers.s3 import S3Driver
from tests.contract.sources import get, locations, put
from tests.support.s3_server import S3Server

Leave = Callable[[str, bytes], object]
Place = tuple[StorageDriver, Leave]


@pytest.fixture(params=["filesystem", "s3"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """A driver, and what leaves a file in its place as another program does."""
    driver: StorageDriver
    if request.param == "filesystem":
        driver = FilesystemDriver(str(tmp_path / "store"))

        def leave(name: str, content: bytes) -> None:
            path = tmp_path / "store" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    else:
        server: S3Server = request.getfixturevalue("s3_server")
        bucket = server.create_bucket()
        driver = S3Driver.from_settings({**server.settings(bucket), "prefix": "some/where/"})

        def leave(name: str, content: bytes) -> None:
            server.client.put_object(Bucket=bucket, Key=f"some/where/{name}", Body=content)

    yield driver, leave
    await driver.aclose()


async def files(driver: StorageDriver, under: str) -> dict[str, int]:
    assert isinstance(driver, Adoptable)
    return {found.location: found.size async for found in driver.files(under)}


async def test_files_of_others_are_listed_and_served_where_they_lie(place: Place) -> None:
    driver, leave = place
    own = await put(driver, b"an object")
    for name, content in (("old/a/data", b"first"), ("old/b/c/data", b"second"), ("older/data", b"third")):
        leave(name, content)

    assert await files(driver, "old") == {"old/a/data": 5, "old/b/c/data": 6}
    assert await files(driver, "nothing/here") == {}
    assert await get(driver, "old/b/c/data") == b"second"
    assert await get(driver, "old/a/data", 1, 3) == b"ir"
    assert (await driver.stat("older/data")).size == 5
    assert await locations(driver) == {own}, "a scan tells of objects of our own"

    await driver.delete("old/a/data")
    assert await files(driver, "old") == {"old/b/c/data": 6}


@pytest.mark.parametrize("under", ["..", "../elsewhere", "old/../..", "/etc", "staging", "old//a"])
async def test_a_folder_that_is_not_in_the_place_is_refused(place: Place, under: str) -> None:
    with pytest.raises(NotFound):
        await files(place[0], under)


async def test_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    old = tmp_path / "store" / "old"
    old.mkdir(parents=True)
    (old / "folder").symlink_to(outside)
    (old / "file").symlink_to(outside / "secret")
    (old / "data").write_bytes(b"data")
    (tmp_path / "store" / "link").symlink_to(outside)
    driver = FilesystemDriver(str(tmp_path / "store"))

    assert await files(driver, "old") == {"old/data": 4}
    with pytest.raises(NotFound, match="leads out of the store"):
        await files(driver, "link")
    await driver.aclose()


async def test_many_files_come_in_several_steps(tmp_path: Path) -> None:
    for number in range(1100):
        folder = tmp_path / "old" / str(number)
        folder.mkdir(parents=True)
        (folder / "link").write_bytes(b"")
    driver = FilesystemDriver(str(tmp_path))

    assert len(await files(driver, "old")) == 1100
    await driver.aclose()


def test_a_driver_that_shows_nothing_says_so_by_its_form() -> None:
    assert not isinstance(MemoryDriver(), Adoptable)
