"""How many bytes would come free if manifests went."""

from collections import Counter
from collections.abc import Collection, Iterator
from itertools import product
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
HOLDERS_EVERYWHERE = (
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

AWAITED_BY_EVERYWHERE = (
    select(blobs.c.id, missing_blobs.c.manifest_id)
    .join(repository_blobs, repository_blobs.c.blob_id == blobs.c.id)
    .join(
        missing_blobs,
        (missing_blobs.c.repository_id == repository_blobs.c.repository_id)
        & (missing_blobs.c.digest == blobs.c.digest),
    )
    .where(blobs.c.id.in_(bindparam("ids", expanding=True)))
)

WITHIN = repository_blobs.c.repository_id.in_(bindparam("repositories", expanding=True))
HOLDERS = HOLDERS_EVERYWHERE.where(WITHIN)
AWAITED_BY = AWAITED_BY_EVERYWHERE.where(WITHIN)

AT_ONCE = 1000
"""Databases limit the parameters of a statement (SQLite: 32,766)."""


class Held:
    """Manifests of some repositories that would go, and by how many of them each blob is held."""

    def __init__(self) -> None:
        self._repositories: set[int] = set()
        self._manifests: set[int] = set()
        self._holders: dict[int, int] = {}

    def add(self, connection: Connection, repository_id: int, manifest_ids: Collection[int]) -> None:
        """Count these of a repository, too. It may be none of them: then all that is there stays."""
        self._repositories.add(repository_id)
        self._manifests.update(manifest_ids)
        for ids in _parts(manifest_ids):
            for blob_id, count in connection.execute(HELD_BY, {"ids": ids}):
                self._holders[blob_id] = self._holders.get(blob_id, 0) + count

    def freed(self, connection: Connection, *, elsewhere: bool) -> int:
        """The bytes of the blobs that nothing else holds: no manifest, nor one that was pushed before its
        blobs. `elsewhere`: in any repository, else in those that were added."""
        sizes: dict[int, int] = {}
        counts = Counter[int]()
        holders = HOLDERS_EVERYWHERE if elsewhere else HOLDERS
        for blob_id, size, count in self._rows(connection, holders, self._holders, elsewhere):
            sizes[blob_id] = size
            counts[blob_id] += count
        alone = {blob_id for blob_id, count in counts.items() if count <= self._holders[blob_id]}
        awaited_by = AWAITED_BY_EVERYWHERE if elsewhere else AWAITED_BY
        awaited = {
            blob_id
            for blob_id, manifest_id in self._rows(connection, awaited_by, alone, elsewhere)
            if manifest_id not in self._manifests
        }
        return sum(sizes[blob_id] for blob_id in alone - awaited)

    def _rows(
        self, connection: Connection, statement: Select[Any], blob_ids: Collection[int], elsewhere: bool
    ) -> Iterator[Any]:
        within = [{}] if elsewhere else [{"repositories": ids} for ids in _parts(self._repositories)]
        for ids, repositories in product(_parts(blob_ids), within):
            yield from connection.execute(statement, {"ids": ids, **repositories})


def _parts(ids: Collection[int]) -> list[list[int]]:
    wanted = sorted(ids)
    return [wanted[start : start + AT_ONCE] for start in range(0, len(wanted), AT_ONCE)]
