"""Tags: listing them. Manifests point and delete them."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from registry.index import Connection, Index, repositories, tags
from registry.index.tags import TagRow
from registry.oci.errors import RepositoryUnknown
from registry.oci.name import RepositoryName

__all__ = ["TagRow", "Tags"]

Row = TypeVar("Row")


class Tags:
    """The tags of a repository."""

    def __init__(self, index: Index) -> None:
        self._index = index

    async def page(
        self, repository: RepositoryName, last: str | None, limit: int
    ) -> tuple[Sequence[str], bool]:
        """At most `limit` tags after `last`, in byte order, and whether more follow.

        Raises RepositoryUnknown.
        """
        return await self._read(tags.page, repository, last, limit)

    async def details(
        self, repository: RepositoryName, last: str | None, limit: int
    ) -> tuple[Sequence[TagRow], bool]:
        """The same, with what they point to."""
        return await self._read(tags.details, repository, last, limit)

    async def _read(
        self,
        page: Callable[[Connection, int, str | None, int], Sequence[Row]],
        repository: RepositoryName,
        last: str | None,
        limit: int,
    ) -> tuple[Sequence[Row], bool]:
        def query(connection: Connection) -> Sequence[Row]:
            repository_id = repositories.find(connection, repository)
            if repository_id is None:
                raise RepositoryUnknown(repository)
            return page(connection, repository_id, last, limit + 1)

        found = await self._index.read(query)
        return found[:limit], len(found) > limit
