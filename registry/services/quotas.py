"""Quotas: how many bytes a repository and all below it may hold together."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice

from auth.actor import Actor
from registry.index import Connection, Index, quotas
from registry.index.quotas import Limit
from registry.oci.errors import Unknown
from registry.services.accounts.changes import Changes, Event
from registry.services.audit import Audit
from registry.services.batches import rows_after

__all__ = ["Limit", "Quotas"]

BATCH = 200


class Quotas:
    """All quotas."""

    def __init__(self, index: Index, audit: Audit) -> None:
        self._index = index
        self._changes = Changes(index, audit)

    async def page(
        self, last: str | None, limit: int, shown: Callable[[str], bool]
    ) -> tuple[Sequence[Limit], bool]:
        """At most `limit` quotas after the prefix `last` that may be shown, and whether more follow."""

        def query(connection: Connection) -> list[Limit]:
            rows = rows_after(last, partial(quotas.page, connection), lambda row: row.prefix, BATCH)
            return list(islice((row for row in rows if shown(row.prefix)), limit + 1))

        found = await self._index.read(query)
        return found[:limit], len(found) > limit

    async def of_repository(self, name: str) -> Sequence[Limit]:
        """The quotas that count for a repository, existing or not."""
        return await self._index.read(partial(quotas.of_repository, repository=name))

    async def set(self, prefix: str, limit: int, actor: Actor) -> Limit:
        """Limit a repository and all below it to `limit` bytes. What is there already stays."""

        def change(connection: Connection) -> Limit:
            used = quotas.set(connection, prefix, limit, time.time(), actor.principal)
            return Limit(prefix, limit, used)

        return await self._changes.make(change, actor, Event("quota.set", prefix, {"bytes": limit}))

    async def clear(self, prefix: str, actor: Actor) -> None:
        """Remove a quota, if there is one."""
        try:
            await self.remove(prefix, actor)
        except Unknown:
            return  # as was wanted

    async def remove(self, prefix: str, actor: Actor) -> None:
        """Raises Unknown."""

        def change(connection: Connection) -> None:
            if not quotas.remove(connection, prefix):
                raise Unknown("quota", prefix)

        await self._changes.make(change, actor, Event("quota.remove", prefix))
