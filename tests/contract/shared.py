"""What holds of a medium that several processes share: one carries on where the other one stopped."""

from storage_drivers import StorageDriver
from tests.contract.sources import DIGEST, content_of, get, locations, put, runs_of, through_json


class SharedContract:
    async def test_an_upload_goes_on_in_another_instance(
        self, driver: StorageDriver, second_driver: StorageDriver
    ) -> None:
        content = content_of(900_000)
        upload = through_json(await driver.append(await driver.begin(), runs_of(content[:300_000])))
        upload = through_json(await second_driver.append(upload, runs_of(content[300_000:])))
        location = await driver.commit(upload, DIGEST)
        assert await second_driver.commit(upload, DIGEST) == location
        assert await get(second_driver, location) == content

    async def test_objects_are_seen_by_another_instance(
        self, driver: StorageDriver, second_driver: StorageDriver
    ) -> None:
        location = await put(driver, b"shared")
        assert await get(second_driver, location) == b"shared"
        assert await locations(second_driver) == {location}
        await second_driver.delete(location)
        assert await locations(driver) == set()
