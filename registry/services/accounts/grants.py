"""Grants: roles of principals on patterns of repositories."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice

from auth.actor import Actor
from auth.patterns import RepositoryPattern
from auth.principals import Principal
from auth.roles import Role
from registry.index import Connection, Index, grants
from registry.index.grants import GrantRow
from registry.oci.errors import Unknown
from registry.services.accounts.administrators import keeping_one
from registry.services.accounts.changes import Changes, Event
from registry.services.accounts.lookup import find_principal
from registry.services.audit import Audit
from registry.services.batches import rows_after

__all__ = ["GrantRow", "Grants"]

BATCH = 200
"""Rows read at once where not each of them may be shown."""


class Grants:
    """All grants."""

    def __init__(self, index: Index, audit: Audit) -> None:
        self._index = index
        self._changes = Changes(index, audit)

    async def page(
        self,
        last: int | None,
        limit: int,
        *,
        principal: Principal | None = None,
        repository: str | None = None,
        shown: Callable[[RepositoryPattern], bool],
    ) -> tuple[Sequence[GrantRow], bool]:
        """At most `limit` grants after the id `last` whose pattern may be shown, and whether more follow.

        Only those to a principal, and only those that match a repository, if given. Raises Unknown.
        """

        def wanted(row: GrantRow) -> bool:
            return (repository is None or row.pattern.matches(repository)) and shown(row.pattern)

        def query(connection: Connection) -> list[GrantRow]:
            owner = None if principal is None else find_principal(connection, *principal).id
            read = partial(grants.page, connection, principal_id=owner)
            rows = rows_after(last, read, lambda row: row.id, BATCH)
            return list(islice(filter(wanted, rows), limit + 1))

        found = await self._index.read(query)
        return found[:limit], len(found) > limit

    async def get(self, grant_id: int) -> GrantRow:
        """Raises Unknown."""
        row = await self._index.read(partial(grants.get, id=grant_id))
        if row is None:
            raise Unknown("grant", str(grant_id))
        return row

    async def add(
        self, principal: Principal, role: Role, pattern: RepositoryPattern, actor: Actor
    ) -> GrantRow:
        """May be repeated. Raises Unknown for a principal that is not there."""

        def change(connection: Connection) -> GrantRow:
            owner = find_principal(connection, *principal)
            now = time.time()
            grant_id = grants.add(connection, owner.id, role, pattern, now, actor.principal)
            row = grants.get(connection, grant_id)
            assert row is not None
            return row

        detail = {"role": role.value, "pattern": str(pattern)}
        return await self._changes.make(change, actor, Event("grant.add", str(principal), detail))

    async def remove(self, row: GrantRow, actor: Actor) -> None:
        """Take a grant back. Raises Unknown when it is gone, and Conflict for that of the last
        administrator."""

        def change(connection: Connection) -> None:
            if not grants.remove(connection, row.id):
                raise Unknown("grant", str(row.id))

        detail = {"role": row.role.value, "pattern": str(row.pattern), "grant": row.id}
        event = Event("grant.remove", str(Principal(row.principal_kind, row.principal_name)), detail)
        await self._changes.make(keeping_one(change), actor, event)
