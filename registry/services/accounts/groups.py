"""Groups of users and robots: what is granted to a group is granted to its members."""

import time
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from auth.actor import Actor
from auth.principals import Kind, Principal
from registry.index import Connection, Index, groups, principals
from registry.index.principals import PrincipalRow
from registry.oci.errors import AlreadyExists, InputInvalid
from registry.services.accounts.administrators import keeping_one
from registry.services.accounts.changes import Changes, Event
from registry.services.accounts.lookup import find_principal
from registry.services.accounts.settings import configure, settings_events
from registry.services.audit import Audit

__all__ = ["Group", "Groups", "PrincipalRow"]


class Group(NamedTuple):
    """A group and who is in it."""

    row: PrincipalRow
    members: Sequence[PrincipalRow]


class Groups:
    """All groups."""

    def __init__(self, index: Index, audit: Audit) -> None:
        self._index = index
        self._changes = Changes(index, audit)

    async def page(
        self, last: str | None, limit: int, search: str | None = None
    ) -> tuple[Sequence[PrincipalRow], bool]:
        """At most `limit` groups after the name `last`, and whether more follow."""
        query = partial(principals.page, kind=Kind.GROUP, last=last, limit=limit + 1, search=search)
        found = await self._index.read(query)
        return found[:limit], len(found) > limit

    async def get(self, name: str) -> Group:
        """Raises Unknown."""

        def query(connection: Connection) -> Group:
            row = find_principal(connection, Kind.GROUP, name)
            return Group(row, groups.members(connection, row.id))

        return await self._index.read(query)

    async def create(self, name: str, description: str, actor: Actor) -> None:
        """Raises AlreadyExists."""

        def change(connection: Connection) -> None:
            values = (Kind.GROUP, name, description, time.time(), actor.principal)
            if principals.create(connection, *values) is None:
                raise AlreadyExists("group", name)

        await self._changes.make(change, actor, Event("group.create", f"group:{name}"))

    async def configure(
        self, name: str, actor: Actor, *, disabled: bool | None = None, description: str | None = None
    ) -> None:
        """Set what is not None; a disabled group gives nothing. Raises Unknown, and Conflict where the last
        administrator is one by this group."""

        def change(connection: Connection) -> None:
            configure(connection, find_principal(connection, Kind.GROUP, name).id, disabled, description)

        events = settings_events(Principal(Kind.GROUP, name), disabled, description)
        await self._changes.make(keeping_one(change), actor, *events)

    async def remove(self, name: str, actor: Actor) -> None:
        """With its grants. Raises Unknown, and Conflict where the last administrator is one by this group."""

        def change(connection: Connection) -> None:
            principals.remove(connection, find_principal(connection, Kind.GROUP, name).id)

        await self._changes.make(keeping_one(change), actor, Event("group.remove", f"group:{name}"))

    async def add_member(self, name: str, member: Principal, actor: Actor) -> None:
        """May be repeated. Raises Unknown, and InputInvalid for a group: groups don't hold groups."""
        if member.kind not in (Kind.USER, Kind.ROBOT):
            raise InputInvalid([("principal", "should be user:NAME or robot:NAME: groups don't hold groups")])

        def change(connection: Connection) -> None:
            group = find_principal(connection, Kind.GROUP, name)
            groups.add_member(connection, group.id, find_principal(connection, *member).id)

        event = Event("group.add", f"group:{name}", {"member": str(member)})
        await self._changes.make(change, actor, event)

    async def remove_member(self, name: str, member: Principal, actor: Actor) -> None:
        """May be repeated. Raises Unknown, and Conflict for the last administrator."""

        def change(connection: Connection) -> None:
            group = find_principal(connection, Kind.GROUP, name)
            groups.remove_member(connection, group.id, find_principal(connection, *member).id)

        event = Event("group.take", f"group:{name}", {"member": str(member)})
        await self._changes.make(keeping_one(change), actor, event)
