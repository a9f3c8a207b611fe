"""Repositories: listing them."""

from collections.abc import Sequence
from functools import partial

from registry.index import Index, repositories


class Repositories:
    """All repositories."""

    def __init__(self, index: Index) -> None:
        self._index = index

    async def page(self, last: str | None, limit: int) -> tuple[Sequence[str], bool]:
        """At most `limit` names after `last`, in byte order, and whether more follow."""
        found = await self._index.read(partial(repositories.page, last=last, limit=limit + 1))
        return found[:limit], len(found) > limit
