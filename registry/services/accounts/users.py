"""Users: people who sign in with a password of their own, or with that of a directory."""

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from auth.actor import Actor
from auth.passwords import check_password_strength, hash_password, parse_htpasswd, random_password
from auth.principals import Kind, Principal, check_name
from auth.secrets import SecretKind
from registry.index import Connection, Index, credentials, groups, principals, users
from registry.index.users import UserRow
from registry.oci.errors import AlreadyExists, Conflict, InputInvalid, Unknown
from registry.services.accounts.administrators import keeping_one
from registry.services.accounts.changes import Changes, Event
from registry.services.accounts.lookup import is_name
from registry.services.accounts.settings import configure, settings_events
from registry.services.audit import Audit

__all__ = ["Imported", "User", "UserRow", "Users"]

LOCAL = "local"


class User(NamedTuple):
    """A user and the names of its groups."""

    row: UserRow
    groups: Sequence[str]


class Imported(NamedTuple):
    """Names from a file: those that are users now, and those that were before, which stay as they were."""

    created: Sequence[str]
    present: Sequence[str]


class Users:
    """All users."""

    def __init__(self, index: Index, audit: Audit) -> None:
        self._index = index
        self._changes = Changes(index, audit)

    async def page(
        self, last: str | None, limit: int, search: str | None = None
    ) -> tuple[Sequence[UserRow], bool]:
        """At most `limit` users after the name `last`, and whether more follow."""
        found = await self._index.read(partial(users.page, last=last, limit=limit + 1, search=search))
        return found[:limit], len(found) > limit

    async def get(self, name: str) -> User:
        """Raises Unknown."""

        def query(connection: Connection) -> User:
            row = find(connection, name)
            return User(row, [group.name for group in groups.groups_of(connection, row.principal.id)])

        return await self._index.read(query)

    async def create(self, name: str, password: str | None, description: str, actor: Actor) -> str:
        """Make a user; its password, one that was thought up if None was given. It is kept nowhere.

        Raises AlreadyExists, and InputInvalid for a password that is too weak.
        """
        password = random_password() if password is None else strong(password)
        hashed = await asyncio.to_thread(hash_password, password)

        def change(connection: Connection) -> None:
            create_local(connection, name, hashed, description, actor)

        await self._changes.make(change, actor, Event("user.create", f"user:{name}"))
        return password

    async def configure(
        self, name: str, actor: Actor, *, disabled: bool | None = None, description: str | None = None
    ) -> None:
        """Set what is not None. Raises Unknown, and Conflict for the last administrator."""

        def change(connection: Connection) -> None:
            configure(connection, find(connection, name).principal.id, disabled, description)

        events = settings_events(Principal(Kind.USER, name), disabled, description)
        await self._changes.make(keeping_one(change), actor, *events)

    async def remove(self, name: str, actor: Actor) -> None:
        """With all its grants and tokens. Raises Unknown, and Conflict for the last administrator."""

        def change(connection: Connection) -> None:
            principals.remove(connection, find(connection, name).principal.id)

        await self._changes.make(keeping_one(change), actor, Event("user.remove", f"user:{name}"))

    async def set_password(self, name: str, password: str, actor: Actor) -> None:
        """Also ends what was signed in with the old one; personal tokens stay. Raises Unknown, Conflict for
        a user of the directory, and InputInvalid for a password that is too weak."""
        hashed = await asyncio.to_thread(hash_password, strong(password))

        def change(connection: Connection) -> None:
            row = find(connection, name)
            if row.source != LOCAL:
                raise Conflict(f"the password of {name} is the directory's: change it there")
            users.set_password(connection, row.principal.id, hashed, time.time())
            for credential in credentials.of_principal(connection, row.principal.id):
                if credential.kind == SecretKind.REFRESH and credential.parent_id is None:
                    credentials.remove(connection, credential.id)

        await self._changes.make(change, actor, Event("user.password", f"user:{name}"))

    async def import_htpasswd(self, text: str, actor: Actor) -> Imported:
        """Make a user of each line, all or none. Raises InputInvalid, naming the line."""
        try:
            entries = parse_htpasswd(text)
            for name, _ in entries:
                check_name(name)
        except ValueError as error:
            raise InputInvalid([("text", str(error))]) from error

        def change(connection: Connection) -> Imported:
            created, present = [], []
            for name, hashed in entries:
                if users.find(connection, name) is not None:
                    present.append(name)
                    continue
                create_local(connection, name, hashed, "", actor)
                created.append(name)
            return Imported(created, present)

        count = {"lines": len(entries)}
        return await self._changes.make(change, actor, Event("user.import", "htpasswd", count))


def strong(password: str) -> str:
    """The password as it is. Raises InputInvalid."""
    try:
        return check_password_strength(password)
    except ValueError as error:
        raise InputInvalid([("password", str(error))]) from error


def find(connection: Connection, name: str) -> UserRow:
    """Raises Unknown."""
    row = users.find(connection, name) if is_name(name) else None
    if row is None:
        raise Unknown("user", name)
    return row


def create_local(connection: Connection, name: str, hashed: str, description: str, actor: Actor) -> None:
    """Raises AlreadyExists."""
    created = users.create(connection, name, hashed, LOCAL, description, time.time(), actor.principal)
    if created is None:
        raise AlreadyExists("user", name)
