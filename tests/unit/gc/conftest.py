"""An index with its schema, as the tests of the index have it, and what its jobs work on."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from registry.index import Index, open_index
from tests.unit.gc.shelf import Shelf
from tests.unit.gc.store import Store
from tests.unit.index.conftest import index, index_url

__all__ = ["index", "index_url"]


@pytest.fixture
def store(index: Index) -> Store:
    return Store(index)


@pytest.fixture
def shelf(index: Index) -> Shelf:
    return Shelf(index)


@pytest.fixture
async def new(tmp_path: Path, sqlite_template: Path) -> AsyncIterator[Index]:
    """Another index, with nothing in it."""
    url = f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'new.sqlite')}"
    opened = open_index(url, pool_size=3)
    yield opened
    await asyncio.to_thread(opened.close)
