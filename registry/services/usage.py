"""How many bytes lie where, and how many would come free."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from registry.index import Connection, Index, usage
from registry.index.bounded import bounded
from registry.index.usage import RepositoryUsage, TagUsage, Totals
from registry.oci.name import RepositoryName
from registry.services.repositories import details

__all__ = ["RegistryUsage", "RepositoryUsage", "TagUsage", "Usage"]

LONGEST_SECONDS = 30.0
"""For the tags of a repository: there may be as many pairs of a tag and a manifest behind it as tags times
manifests. Who pushes decides that, and whoever may pull asks."""


class RegistryUsage(NamedTuple):
    """Everything together, and the largest repositories."""

    totals: Totals
    repositories: Sequence[RepositoryUsage]


class Usage:
    """Asks the index; it counts anew each time."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._turn = asyncio.Lock()

    async def registry(self, limit: int) -> RegistryUsage:
        """At most `limit` repositories, the largest first."""

        def query(connection: Connection) -> RegistryUsage:
            return RegistryUsage(usage.totals(connection), usage.of_repositories(connection, limit))

        return await self._index.read(query)

    async def repository(self, name: RepositoryName, limit: int, *, everything: bool) -> Sequence[TagUsage]:
        """At most `limit` tags of a repository, those first that hold most by themselves. Who may not know
        `everything` learns nothing of other repositories. One question at a time: all of them could take the
        threads that everybody needs. Raises RepositoryUnknown, and Unavailable when it takes too long."""

        def query(connection: Connection) -> Sequence[TagUsage]:
            row = details(connection, name)
            with bounded(connection, LONGEST_SECONDS):
                return usage.of_tags(connection, row.id, limit, elsewhere=everything)

        async with self._turn:
            return await self._index.read(query)
