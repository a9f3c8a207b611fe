"""The memory driver keeps the contract."""

import asyncio
from collections.abc import Mapping

import pytest

from registry.drivers import driver_class
from storage_drivers import Unavailable
from storage_drivers.base import DELETIONS_AT_ONCE
from storage_drivers.memory import MemoryDriver
from tests.contract.sources import locations, put
from tests.contract.suite import StorageDriverContract


class TestMemory(StorageDriverContract):
    driver_class = MemoryDriver

    @pytest.fixture
    def settings(self) -> Mapping[str, object]:
        return {}


def test_it_is_found_by_its_name() -> None:
    assert driver_class(MemoryDriver.name) is MemoryDriver


async def test_when_one_of_many_can_not_be_deleted_the_others_are() -> None:
    """What a driver has that says nothing of its own about deleting many."""

    class Failing(MemoryDriver):
        running = most = 0

        async def delete(self, location: str) -> None:
            self.running += 1
            self.most = max(self.most, self.running)
            await asyncio.sleep(0)
            self.running -= 1
            if location in stays:
                raise Unavailable(f"{location} stays")
            await super().delete(location)

    driver = Failing()
    stored = [await put(driver, b"content") for _ in range(20)]
    stays = set(stored[3:5])
    with pytest.raises(Unavailable, match=stored[3]):
        await driver.delete_many(stored)
    assert await locations(driver) == stays
    assert driver.most == DELETIONS_AT_ONCE
    stays.clear()
    await driver.delete_many(stored)
    assert await locations(driver) == set()
