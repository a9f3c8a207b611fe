"""Fixtures: a registry on SQLite and then on PostgreSQL, in the test's own event loop."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import uvloop

from tests.http.client import Client
from tests.http.serving import Registries


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that the registry is served with; one that can be looked into where that is the subject."""
    if item.path.name == "test_blocking.py":
        return {"asyncio": asyncio.new_event_loop}
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(params=["sqlite", "postgresql"])
def index_url(request: pytest.FixtureRequest) -> str:
    """An empty index."""
    url: str = request.getfixturevalue(
        {"sqlite": "sqlite_index", "postgresql": "postgres_index"}[request.param]
    )
    return url


@pytest.fixture
def failures_are_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """For a test that makes a registry fail: the operator is to be told, by errors in the log."""
    yield
    assert [record for record in caplog.get_records("call") if record.levelno >= logging.ERROR]


@pytest.fixture
async def registries(
    request: pytest.FixtureRequest, index_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> AsyncIterator[Registries]:
    """Registries of this test, on one folder and one index. No request may fail in them."""
    caplog.set_level(logging.INFO)
    async with AsyncExitStack() as stack:
        yield Registries(tmp_path, index_url, stack)
    if "failures_are_logged" in request.fixturenames:
        return
    failures = [record for record in caplog.get_records("call") if record.levelno >= logging.ERROR]
    assert not failures, f"the registry logged failures: {[record.getMessage() for record in failures]}"


@pytest.fixture
async def client(registries: Registries) -> Client:
    """A client of one registry with default settings."""
    return await registries.start()
