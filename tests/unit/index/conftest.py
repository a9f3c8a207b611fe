"""An index with its schema, on SQLite and on PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from registry.index import Index, open_index
from registry.index.migrations import upgrade


@pytest.fixture(params=["sqlite", "postgresql"])
def index_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The SQLAlchemy URL of an empty index."""
    if request.param == "sqlite":
        upgrade(url := f"sqlite:///{tmp_path / 'index.sqlite'}")
        return url
    postgres_url: str = request.getfixturevalue("postgres_url")
    return postgres_url.replace("postgresql://", "postgresql+psycopg://", 1)


@pytest.fixture
async def index(index_url: str) -> AsyncIterator[Index]:
    opened = open_index(index_url, pool_size=4)
    yield opened
    await asyncio.to_thread(opened.close)  # as the registry does: answers under way need the event loop
