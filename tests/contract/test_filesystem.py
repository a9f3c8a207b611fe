"""The filesystem driver keeps the contract."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from registry.drivers import driver_class
from storage_drivers.filesystem import FilesystemDriver
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
