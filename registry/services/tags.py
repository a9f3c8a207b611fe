"""Tags: listing them. Manifests point and delete them."""

from collections.abc import Sequence

from registry.index import Connection, Index, repositories, tags
from registry.oci.errors import RepositoryUnknown
from registry.oci.name import RepositoryName


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

        def query(connection: Connection) -> Sequence[str]:
            repository_id = repositories.find(connection, repository)
            if repository_id is None:
                raise RepositoryUnknown(repository)
            return tags.page(connection, repository_id, last, limit + 1)

        found = await self._index.read(query)
        return found[:limit], len(found) > limit
