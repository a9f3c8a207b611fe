"""How many bytes would come free if manifests went."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, select

from registry.index.tables import blobs, manifest_blobs, repository_blobs
from registry.index.upkeep_tables import missing_blobs

HELD_BY = (
    select(manifest_blobs.c.blob_id, func.count())
    .where(manifest_blobs.c.manifest_id.in_(bindparam("ids", expanding=True)))
    .group_by(manifest_blobs.c.blob_id)
)

# By way of the links: these can be found by their blob.
HOLDERS = (
    select(blobs.c.id, blobs.c.size, func.count())
    .join(repository_blobs, repository_blobs.c.blob_id == blobs.c.id)
    .join(
        manifest_blobs,
        (manifest_blobs.c.repository_id == repository_blobs.c.repository_id)
        & (manifest_blobs.c.blob_id == blobs.c.id),
    )
    .where(blobs.c.id.in_(bindparam("ids", expanding=True)))
    .group_by(blobs.c.id, blobs.c.size)
)

AWAITED_BY = (
    select(blobs.c.id, missing_blobs.c.manifest_id)
    .join(repository_blobs, repository_blobs.c.blob_id == blobs.c.id)
    .join(
        missing_blobs,
        (missing_blobs.c.repository_id == repository_blobs.c.repository_id)
        & (missing_blobs.c.digest == blobs.c.digest),
    )
    .where(blobs.c.id.in_(bindparam("ids", expanding=True)))
)


AT_ONCE = 1000
"""Databases limit the parameters of a statement (SQLite: 32,766)."""


class Held:
    """Manifests that would go, and by how many of them each blob is held."""

    def __init__(self) -> None:
        self._manifests: set[int] = set()
        self._holders: dict[int, int] = {}

    def add(self, connection: Connection, manifest_ids: Collection[int]) -> None:
        """Count these, too."""
        self._manifests.update(manifest_ids)
        for blob_id, count in _rows(connection, HELD_BY, manifest_ids):
            self._holders[blob_id] = self._holders.get(blob_id, 0) + count

    def freed(self, connection: Connection) -> int:
        """The bytes of the blobs that nothing else holds: no manifest of any repository, nor one that was
        pushed before its blobs."""
        sizes = {
            blob_id: size
            for blob_id, size, count in _rows(connection, HOLDERS, self._holders)
            if count <= self._holders[blob_id]
        }
        awaited = {
            blob_id
            for blob_id, manifest_id in _rows(connection, AWAITED_BY, sizes)
            if manifest_id not in self._manifests
        }
        return sum(size for blob_id, size in sizes.items() if blob_id not in awaited)


def _rows(connection: Connection, statement: Select[Any], ids: Collection[int]) -> Sequence[Any]:
    wanted = sorted(ids)
    return [
        row
        for start in range(0, len(wanted), AT_ONCE)
        for row in connection.execute(statement, {"ids": wanted[start : start + AT_ONCE]})
    ]
