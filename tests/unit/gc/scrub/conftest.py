"""A storage on files, beside an index."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from registry.index import Index
from storage_drivers.filesystem import FilesystemDriver
from tests.unit.gc.scrub.store import Store


@pytest.fixture
async def driver(tmp_path: Path) -> AsyncIterator[FilesystemDriver]:
    made = FilesystemDriver(str(tmp_path / "storage"))
    yield made
    await made.aclose()


@pytest.fixture
def store(index: Index, driver: FilesystemDriver, tmp_path: Path) -> Store:
    return Store(index, driver, tmp_path / "storage")
