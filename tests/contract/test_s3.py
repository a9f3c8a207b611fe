"""The S3 driver keeps the contract, on a real server."""

from collections.abc import Mapping

import pytest

from registry.drivers import driver_class
from storage_drivers.s3 import S3Driver
from tests.contract.suite import StorageDriverContract


class TestS3(StorageDriverContract):
    driver_class = S3Driver

    @pytest.fixture
    def settings(self, s3_settings: Mapping[str, object]) -> Mapping[str, object]:
        return s3_settings


def test_it_is_found_by_its_name() -> None:
    assert driver_class(S3Driver.name) is S3Driver
