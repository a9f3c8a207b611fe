"""The contract of a storage driver. To join, a driver's tests say what it is and where it may write:

class TestMyDriver(StorageDriverContract):
    driver_class = MyDriver

    @pytest.fixture
    def settings(self, tmp_path):
        return {"folder": str(tmp_path)}
"""

from collections.abc import AsyncIterator, Mapping
from typing import ClassVar

import pytest

from storage_drivers import StorageDriver
from tests.contract.model import ModelContract
from tests.contract.objects import ObjectContract
from tests.contract.uploads import UploadContract


class StorageDriverContract(UploadContract, ObjectContract, ModelContract):
    driver_class: ClassVar[type[StorageDriver]]

    @pytest.fixture
    def settings(self) -> Mapping[str, object]:
        """The driver's own table of the configuration, for an empty place of this test alone."""
        raise NotImplementedError("a driver's test says here how the driver is configured")

    @pytest.fixture
    async def driver(self, settings: Mapping[str, object]) -> AsyncIterator[StorageDriver]:
        driver = self.driver_class.from_settings(settings)
        yield driver
        await driver.aclose()

    @pytest.fixture
    async def second_driver(self, settings: Mapping[str, object]) -> AsyncIterator[StorageDriver]:
        """Another instance on the same medium, as another process has it."""
        if not self.driver_class.shared:
            pytest.skip(f"a {self.driver_class.name} store belongs to one instance")
        driver = self.driver_class.from_settings(settings)
        yield driver
        await driver.aclose()
