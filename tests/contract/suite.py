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
from tests.contract.lazy_runs import LazyRunContract
from tests.contract.model import ModelContract
from tests.contract.objects import ObjectContract
from tests.contract.shared import SharedContract
from tests.contract.uploads import UploadContract


class StorageDriverContract(UploadContract, LazyRunContract, ObjectContract, ModelContract, SharedContract):
    driver_class: ClassVar[type[StorageDriver]]

    def __init_subclass__(cls) -> None:
        """A driver that says it shares nothing has none of the tests of sharing."""
        if not cls.driver_class.shared:
            for test in filter(lambda name: name.startswith("test_"), vars(SharedContract)):
                setattr(cls, test, None)

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
        driver = self.driver_class.from_settings(settings)
        yield driver
        await driver.aclose()
