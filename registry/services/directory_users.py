"""Users whom a directory (LDAP) knows: entered when they first sign in, and looked after from then on."""

import time
from functools import partial

from auth.directory import Directory, DirectoryUnavailable, DirectoryUser
from registry.index import Connection, Index, groups, users
from registry.index.users import UserRow
from registry.oci.errors import Unauthenticated, Unavailable

CHECK_SECONDS = 300
"""How old the directory's word on somebody may be who signs in with a token and not with his password."""

NOT_NOW = "the directory can't be asked now; the registry's log tells why"


class DirectoryUsers:
    """What the directory says, written into the index: users, and who is in which group."""

    def __init__(self, index: Index, directory: Directory) -> None:
        self._index = index
        self._directory = directory

    async def sign_in(self, name: str, password: str) -> UserRow | None:
        """The user, if the directory takes the password. Raises Unavailable."""
        if not name:
            return None
        try:
            found = await self._directory.sign_in(name, password)
        except DirectoryUnavailable as error:
            raise Unavailable(NOT_NOW) from error
        if found is None:
            return None
        row = await self._index.write(partial(enter, found=found, now=time.time()))
        return None if row is None or row.principal.disabled else row

    async def check_still_there(self, principal_id: int) -> None:
        """Ask again about somebody whose own password was not asked for. Raises Unauthenticated when the
        directory does not know him any more."""
        row = await self._index.read(partial(users.get, id=principal_id))
        now = time.time()
        if row is None or row.source != "ldap" or (row.checked_at or 0) > now - CHECK_SECONDS:
            return
        try:
            found = await self._directory.look_up(row.principal.name)
        except DirectoryUnavailable as error:
            raise Unavailable(NOT_NOW) from error
        if found is None:
            raise Unauthenticated("the directory does not know this user any more", problem="invalid_token")
        await self._index.write(partial(enter, found=found, now=now))


def enter(connection: Connection, found: DirectoryUser, now: float) -> UserRow | None:
    """The row of a directory's user, made when it is missing, with his groups of now.

    None: the name belongs to a local user.
    """
    row = users.find(connection, found.name)
    if row is None:
        users.create(connection, found.name, None, "ldap", "", now, "directory")
        row = users.find(connection, found.name)
    if row is None or row.source != "ldap":
        return None
    groups.replace_directory_groups(connection, row.principal.id, found.groups)
    users.note_check(connection, row.principal.id, now)
    return row
