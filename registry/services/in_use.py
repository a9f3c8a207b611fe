"""Digests in use: what a cluster runs stays, as long as the cluster says so."""

import time
from collections.abc import Callable, Sequence
from itertools import islice

from auth.actor import Actor
from registry.index import Connection, Index, in_use
from registry.index.in_use import InUseRow, Key
from registry.services.accounts.changes import Changes, Event
from registry.services.audit import Audit
from registry.services.batches import rows_after

__all__ = ["InUse", "InUseRow", "Key"]

BATCH = 500


class InUse:
    """All reports."""

    def __init__(self, index: Index, audit: Audit) -> None:
        self._index = index
        self._changes = Changes(index, audit)

    async def report(
        self, reporter: str, digests: Sequence[tuple[str, str]], lease_seconds: float, actor: Actor
    ) -> float:
        """Keep digests of repositories until a lease is over, in place of all that the same principal
        reported under this name before. Until when that is, in seconds since the epoch."""
        now = time.time()
        until = now + lease_seconds

        def change(connection: Connection) -> None:
            in_use.replace(connection, reporter, actor.principal, digests, now, until)

        detail = {"digests": len(set(digests)), "lease_seconds": lease_seconds}
        await self._changes.make(change, actor, Event("in-use.report", reporter, detail))
        return until

    async def page(
        self, last: Key | None, limit: int, shown: Callable[[InUseRow], bool]
    ) -> tuple[Sequence[InUseRow], bool]:
        """At most `limit` digests in use after the key `last` that may be shown, and whether more follow."""
        now = time.time()

        def query(connection: Connection) -> list[InUseRow]:
            def read(after: Key | None, size: int) -> Sequence[InUseRow]:
                return in_use.page(connection, after, size, now)

            return list(islice(filter(shown, rows_after(last, read, key_of, BATCH)), limit + 1))

        found = await self._index.read(query)
        return found[:limit], len(found) > limit


def key_of(row: InUseRow) -> Key:
    return row.repository, row.digest, row.reporter, row.reported_by
