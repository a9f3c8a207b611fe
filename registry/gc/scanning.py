"""All objects of a storage, some at a time: so many are looked up in the index by one query."""

from collections.abc import AsyncIterator

from storage_drivers import Object, StorageDriver


async def scanned(driver: StorageDriver, at_once: int) -> AsyncIterator[list[Object]]:
    """The objects, in the driver's order. Raises a StorageError."""
    batch: list[Object] = []
    async for found in driver.scan():
        batch.append(found)
        if len(batch) == at_once:
            yield batch
            batch = []
    if batch:
        yield batch
