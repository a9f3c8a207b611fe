"""An index with its schema, as the tests of the index have it, and what its jobs work on."""

import pytest

from registry.index import Index
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
