"""A directory of people outside the registry, such as LDAP: what is asked of it."""

from typing import NamedTuple, Protocol


class DirectoryUser(NamedTuple):
    """Somebody whom the directory knows. `groups` are names of local groups, sorted.

    `name` is the one name that he has here, whatever spelling or address he was found by. A user is disabled
    under this name, so nothing may be entered or looked up under the name that was given instead.
    """

    name: str
    dn: str
    groups: tuple[str, ...]


class DirectoryUnavailable(Exception):
    """The directory can't be asked now, or refuses the registry itself; the message says why."""


class Directory(Protocol):
    """Who asks gets an answer, or DirectoryUnavailable, within the time that is set."""

    async def sign_in(self, name: str, password: str) -> DirectoryUser | None:
        """The user, or None: unknown, a wrong password, or not allowed to sign in."""

    async def look_up(self, name: str) -> DirectoryUser | None:
        """The user, without a password; None if the directory does not know him (any more)."""

    async def aclose(self) -> None:
        """Let go of what it holds."""
