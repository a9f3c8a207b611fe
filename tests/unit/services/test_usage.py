"""What whoever may pull can ask for costs so much and no more."""

import asyncio
import queue
import threading
from typing import Any

import pytest

from registry.index import Connection, Index, repositories, usage
from registry.oci.errors import Unavailable
from registry.oci.name import RepositoryName
from registry.services.usage import Usage
from tests.unit.index import rows

NAME = RepositoryName.parse("acme/app")


async def fill(index: Index) -> None:
    """Tags that share what is behind them."""

    def change(connection: Connection) -> None:
        for number in range(100):
            rows.manifest(connection, NAME, f"sha256:{number}", 10, f"v{number}")

    await index.write(change)


@pytest.mark.parametrize("index_url", ["sqlite"], indirect=True)  # PostgreSQL has statement_timeout
async def test_an_endless_question_ends(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    await fill(index)
    with monkeypatch.context() as impatient:
        impatient.setattr("registry.index.bounded.STEPS", 10)
        impatient.setattr("registry.services.usage.LONGEST_SECONDS", 0.0)
        with pytest.raises(Unavailable):
            await Usage(index).repository(NAME, 10, everything=False)

    assert len(await Usage(index).repository(NAME, 10, everything=False)) == 10
    assert await index.read(lambda connection: repositories.find(connection, NAME)) is not None


async def test_one_question_is_asked_at_a_time(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """The threads that read are for everybody."""
    await fill(index)
    begun, go_on = queue.SimpleQueue[None](), threading.Event()
    of_tags = usage.of_tags

    def waiting(*arguments: Any, **options: Any) -> list[usage.TagUsage]:
        begun.put(None)
        go_on.wait(30)
        return of_tags(*arguments, **options)

    monkeypatch.setattr(usage, "of_tags", waiting)
    service = Usage(index)
    first, second = (asyncio.create_task(service.repository(NAME, 1, everything=True)) for _ in range(2))
    await asyncio.to_thread(begun.get, timeout=30)
    # Behind the second, if that is asked.
    await index.read(lambda connection: repositories.find(connection, NAME))
    others = begun.qsize()
    go_on.set()

    assert others == 0
    assert [len(tags) for tags in await asyncio.gather(first, second)] == [1, 1]
