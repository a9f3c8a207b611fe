"""The S3 driver keeps the contract, on a real server."""

from base64 import b64decode
from collections.abc import Mapping
from typing import Any

import pytest

from registry.drivers import driver_class
from storage_drivers.s3 import S3Driver
from tests.contract.sources import locations, put
from tests.contract.suite import StorageDriverContract


class TestS3(StorageDriverContract):
    driver_class = S3Driver

    @pytest.fixture
    def settings(self, s3_settings: Mapping[str, object]) -> Mapping[str, object]:
        return s3_settings


async def test_a_deletion_of_many_has_the_checksum_that_every_s3_knows(
    s3_settings: Mapping[str, object],
) -> None:
    """Older servers refuse it without Content-MD5, and do not know the checksums that came later."""
    driver = S3Driver.from_settings(s3_settings)
    stored = await put(driver, b"content")
    sent: list[Any] = []
    events = driver._bucket.client.requests.meta.events
    events.register("before-send.s3.DeleteObjects", lambda request, **_: sent.append(request.headers))
    await driver.delete_many([stored])
    assert await locations(driver) == set()
    assert [len(b64decode(headers["Content-MD5"])) for headers in sent] == [16]
    await driver.aclose()


def test_it_is_found_by_its_name() -> None:
    assert driver_class(S3Driver.name) is S3Driver
