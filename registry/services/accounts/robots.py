"""Robots: programs that sign in with a secret of their own."""

import time
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from auth.actor import Actor
from auth.principals import Kind, Principal
from auth.secrets import SecretKind, new_secret
from registry.index import Connection, Index, credentials, groups, principals
from registry.index.credentials import CredentialRow
from registry.index.principals import PrincipalRow
from registry.oci.errors import AlreadyExists
from registry.services.accounts.changes import Changes, Event
from registry.services.accounts.credentials import Wanted, add_credential, limits_detail
from registry.services.accounts.lookup import find_principal
from registry.services.accounts.settings import configure, settings_events
from registry.services.audit import Audit
from registry.services.identities import limits_of

__all__ = ["Robot", "Robots"]


class Robot(NamedTuple):
    """A robot, the names of its groups, and what is known of its secrets, the oldest first."""

    row: PrincipalRow
    groups: Sequence[str]
    secrets: Sequence[CredentialRow]


class Robots:
    """All robots."""

    def __init__(self, index: Index, audit: Audit) -> None:
        self._index = index
        self._changes = Changes(index, audit)

    async def page(
        self, last: str | None, limit: int, search: str | None = None
    ) -> tuple[Sequence[PrincipalRow], bool]:
        """At most `limit` robots after the name `last`, and whether more follow."""
        query = partial(principals.page, kind=Kind.ROBOT, last=last, limit=limit + 1, search=search)
        found = await self._index.read(query)
        return found[:limit], len(found) > limit

    async def get(self, name: str) -> Robot:
        """Raises Unknown."""

        def query(connection: Connection) -> Robot:
            row = find_principal(connection, Kind.ROBOT, name)
            memberships = groups.groups_of(connection, row.id)
            return Robot(row, [group.name for group in memberships], secrets_of(connection, row.id))

        return await self._index.read(query)

    async def create(self, name: str, wanted: Wanted, actor: Actor) -> str:
        """Make a robot; its secret, which is kept nowhere. Raises AlreadyExists."""
        secret = new_secret(SecretKind.ROBOT)

        def change(connection: Connection) -> None:
            values = (Kind.ROBOT, name, wanted.description, time.time(), actor.principal)
            created = principals.create(connection, *values)
            if created is None:
                raise AlreadyExists("robot", name)
            add_credential(connection, created, secret, SecretKind.ROBOT, wanted._replace(description=""))

        await self._changes.make(
            change, actor, Event("robot.create", f"robot:{name}", limits_detail(wanted.limits))
        )
        return secret.text

    async def configure(
        self, name: str, actor: Actor, *, disabled: bool | None = None, description: str | None = None
    ) -> None:
        """Set what is not None. Raises Unknown."""

        def change(connection: Connection) -> None:
            configure(connection, find_principal(connection, Kind.ROBOT, name).id, disabled, description)

        events = settings_events(Principal(Kind.ROBOT, name), disabled, description)
        await self._changes.make(change, actor, *events)

    async def remove(self, name: str, actor: Actor) -> None:
        """With its grants and secrets. Raises Unknown."""

        def change(connection: Connection) -> None:
            principals.remove(connection, find_principal(connection, Kind.ROBOT, name).id)

        await self._changes.make(change, actor, Event("robot.remove", f"robot:{name}"))

    async def new_secret(
        self, name: str, actor: Actor, *, keep_old: float | None, lives: float | None
    ) -> str:
        """A new secret, limited as the newest one was; it lives as long as that one did unless `lives` says
        otherwise. The others end at once, or `keep_old` seconds from now. Raises Unknown."""
        secret = new_secret(SecretKind.ROBOT)

        def change(connection: Connection) -> None:
            robot = find_principal(connection, Kind.ROBOT, name)
            old = secrets_of(connection, robot.id)
            wanted = like(old[-1]) if old else Wanted()
            for row in old:
                if keep_old is None:
                    credentials.remove(connection, row.id)
                else:
                    end = time.time() + keep_old
                    credentials.set_expiry(connection, row.id, min(row.expires_at or end, end))
            if lives is not None:
                wanted = wanted._replace(lives=lives)
            add_credential(connection, robot.id, secret, SecretKind.ROBOT, wanted)

        detail = {} if keep_old is None else {"old_kept_seconds": keep_old}
        await self._changes.make(change, actor, Event("robot.secret", f"robot:{name}", detail))
        return secret.text


def secrets_of(connection: Connection, robot_id: int) -> Sequence[CredentialRow]:
    """The oldest first."""
    rows = credentials.of_principal(connection, robot_id)
    return sorted((row for row in rows if row.kind == SecretKind.ROBOT), key=lambda row: row.id)


def like(row: CredentialRow) -> Wanted:
    """A credential with the same limits, and as long a life."""
    lives = None if row.expires_at is None else row.expires_at - row.created_at
    return Wanted("", lives, limits_of(row))
