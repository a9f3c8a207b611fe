"""Merging the journal while the storage is not the one that it lies in."""

import pytest
from sqlalchemy import select

from registry.gc import compaction
from registry.index import Connection, Index, index_copies, journal
from registry.index.tables import discarded
from registry.oci.errors import Unavailable
from storage_drivers.memory import MemoryDriver
from tests.unit.gc.rebuilding import push, write_journal
from tests.unit.gc.store import Store


def journals(connection: Connection) -> set[str]:
    return {row.location for row in index_copies.of_kind(connection, journal.KIND)}


async def test_in_another_storage_nothing_is_lost(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or all would be written into that one, again and again, and the objects be discarded that are right."""
    store = Store(index)
    for name in ("first", "second", "third"):
        await push(store, name)
        await write_journal(store)
    before = await index.read(journals)
    monkeypatch.setattr(compaction, "MOST_OBJECTS", 2)

    for _ in range(2):
        with pytest.raises(Unavailable, match="nor any blob"):
            await write_journal(Store(index, MemoryDriver()))

    assert await index.read(journals) == before
    assert await index.read(lambda c: list(c.execute(select(discarded.c.location)).scalars())) == []
