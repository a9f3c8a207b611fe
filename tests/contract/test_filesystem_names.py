"""The filesystem driver where somebody changes folders and files behind its back."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from storage_drivers import NotFound
from storage_drivers.filesystem import FilesystemDriver
from tests.contract.sources import DIGEST, get, put, runs_of


@pytest.fixture
async def driver(tmp_path: Path) -> AsyncIterator[FilesystemDriver]:
    driver = FilesystemDriver(str(tmp_path / "store"))
    yield driver
    await driver.aclose()


@pytest.mark.parametrize("removed", ["blobs/sha256/5e", "blobs/sha256", "blobs"])
async def test_an_empty_folder_that_is_tidied_away_comes_back(
    driver: FilesystemDriver, tmp_path: Path, removed: str
) -> None:
    for number in range(2):
        location = await put(driver, b"first")
        await driver.delete(location)
        folder = tmp_path / "store" / "blobs" / "sha256" / "5e"
        stop = (tmp_path / "store" / removed).parent
        while folder != stop:
            folder.rmdir()
            folder = folder.parent
        content = f"after the tidying {number}".encode()

        location = await put(driver, content)

        assert await get(driver, location) == content
        await driver.delete(location)


@pytest.mark.parametrize("other", [b"", b"shorter", b"longer than what was staged"])
async def test_an_object_of_another_size_is_not_taken_for_ours(
    driver: FilesystemDriver, tmp_path: Path, other: bytes
) -> None:
    upload = await driver.append(await driver.begin(), runs_of(b"these were staged"))
    location = await driver.commit(upload, DIGEST)
    (tmp_path / "store" / location).write_bytes(other)

    with pytest.raises(NotFound):
        await driver.commit(upload, DIGEST)

    assert (tmp_path / "store" / location).read_bytes() == other


async def test_an_object_is_not_taken_for_an_empty_upload(driver: FilesystemDriver) -> None:
    start = await driver.begin()
    location = await driver.commit(await driver.append(start, runs_of(b"something")), DIGEST)

    with pytest.raises(NotFound):
        await driver.commit(start, DIGEST)

    assert await get(driver, location) == b"something"
