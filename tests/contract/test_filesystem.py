"""The filesystem driver keeps the contract."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from registry.drivers import driver_class
from storage_drivers import NotFound, Unavailable
from storage_drivers.filesystem import FilesystemDriver
from tests.contract.sources import runs_of
from tests.contract.suite import StorageDriverContract


class TestFilesystem(StorageDriverContract):
    driver_class = FilesystemDriver
    look_ahead = 2 << 20

    @pytest.fixture
    def settings(self, tmp_path: Path) -> Mapping[str, object]:
        return {"root": str(tmp_path / "store")}


def test_it_is_found_by_its_name() -> None:
    assert driver_class(FilesystemDriver.name) is FilesystemDriver


@pytest.mark.parametrize("settings", [{}, {"root": ""}, {"root": 7}])
def test_it_needs_a_root(settings: Mapping[str, object]) -> None:
    with pytest.raises(ValueError, match="root"):
        FilesystemDriver.from_settings(settings)


async def test_of_a_volume_that_is_not_mounted_nothing_counts_as_deleted(tmp_path: Path) -> None:
    root, away = tmp_path / "store", tmp_path / "away"
    driver = FilesystemDriver(str(root))
    upload = await driver.append(await driver.begin(), runs_of(b"content"))
    location = await driver.commit(upload, "sha256:00")
    root.rename(away)
    root.mkdir()
    with pytest.raises(Unavailable, match="is its volume mounted"):
        await driver.delete_many([location])
    root.rmdir()
    away.rename(root)
    await driver.delete_many([location, location])
    with pytest.raises(NotFound):
        await driver.stat(location)
    await driver.aclose()
