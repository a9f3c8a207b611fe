"""An index with its schema, as the tests of the index have it."""

from tests.unit.index.conftest import index, index_url

__all__ = ["index", "index_url"]
