"""The memory driver keeps the contract."""

from collections.abc import Mapping

import pytest

from registry.drivers import driver_class
from storage_drivers.memory import MemoryDriver
from tests.contract.suite import StorageDriverContract


class TestMemory(StorageDriverContract):
    driver_class = MemoryDriver

    @pytest.fixture
    def settings(self) -> Mapping[str, object]:
        return {}


def test_it_is_found_by_its_name() -> None:
    assert driver_class(MemoryDriver.name) is MemoryDriver
