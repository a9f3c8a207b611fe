"""The repositories that hold a blob, however many they are."""

from registry.index import Connection, Index, blobs, repositories
from tests.unit.index import rows

SHARED, LAYER, UNKNOWN = (f"sha256:{letter * 64}" for letter in "abc")


async def test_repositories_that_hold_a_blob(index: Index) -> None:
    def change(connection: Connection) -> None:
        names = [f"r{number:03}" for number in range(blobs.HOLDERS_AT_ONCE + 5)]
        for name in names:
            rows.blob(connection, name, SHARED, 1)
        rows.blob(connection, "acme/app", LAYER, 1)
        open_id = repositories.find(connection, "r003")
        assert open_id is not None
        repositories.configure(connection, open_id, {"public": True})
        assert sorted(blobs.holders(connection, SHARED)) == [(name, name == "r003") for name in names]
        assert list(blobs.holders(connection, UNKNOWN)) == []

    await index.write(change)
