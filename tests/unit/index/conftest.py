"""An index with its schema, on SQLite and on PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from registry.index import Index, open_index


@pytest.fixture(params=["sqlite", "postgresql"])
def index_url(request: pytest.FixtureRequest) -> str:
    """The SQLAlchemy URL of an empty index."""
    if request.param == "sqlite":
        sqlite: str = request.getfixturevalue("sqlite_index")
        return sqlite
    postgres: str = request.getfixturevalue("postgres_index")
    return postgres.replace("postgresql://", "postgresql+psycopg://", 1)


@pytest.fixture
async def index(index_url: str) -> AsyncIterator[Index]:
    opened = open_index(index_url, pool_size=4)
    yield opened
    await asyncio.to_thread(opened.close)  # as the registry does: answers under way need the event loop
