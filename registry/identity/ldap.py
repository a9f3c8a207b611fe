"""The people and groups of an LDAP directory."""

import asyncio
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, TypeVar

from ldap3.utils.conv import escape_filter_chars
from pydantic import SecretStr

from auth.directory import DirectoryUnavailable, DirectoryUser
from auth.principals import check_name
from registry.identity.distinguished_names import names_itself, normal_name, normal_value
from registry.identity.ldap_session import Entry, LdapServer, LdapSession
from registry.oci.quoting import quoted

Answer = TypeVar("Answer")

log = logging.getLogger(__name__)

THREADS = 8
"""Questions that a process asks at the same moment; others wait for their turn."""

_NAME_ATTRIBUTE = re.compile(r"\(\s*([A-Za-z][A-Za-z0-9.;-]*)\s*=\s*\{name\}\s*\)")
_PLACEHOLDERS = re.compile(r"\{(name|dn)\}")
_GROUP_NAME = "cn"
_NO_ATTRIBUTES = "1.1"
"""RFC 4511 section 4.5.1.8."""


class DirectorySettings(Protocol):
    """The section `[ldap]` of the settings."""

    @property
    def url(self) -> str | None: ...
    @property
    def start_tls(self) -> bool: ...
    @property
    def ca_file(self) -> Path | None: ...
    @property
    def bind_dn(self) -> str | None: ...
    @property
    def bind_password(self) -> SecretStr | None: ...
    @property
    def user_base(self) -> str | None: ...
    @property
    def user_filter(self) -> str: ...
    @property
    def group_base(self) -> str | None: ...
    @property
    def group_filter(self) -> str: ...
    @property
    def group_mapping(self) -> Mapping[str, str]: ...
    @property
    def timeout_seconds(self) -> float: ...


class LdapDirectory:
    """`auth.directory.Directory` over LDAP.

    The registry binds as itself, finds the person by a filter, finds the person's groups, and lets the person
    bind with the password. All of it in one connection for each question, in threads of its own.
    """

    def __init__(self, settings: DirectorySettings) -> None:
        """Raises ValueError, in words for whoever configures."""
        if settings.url is None or settings.user_base is None:
            raise ValueError("a directory needs ldap.url and ldap.user_base")
        self._server = LdapServer(
            settings.url,
            start_tls=settings.start_tls,
            ca_file=settings.ca_file,
            seconds=settings.timeout_seconds,
        )
        self._settings = settings
        self._user_base = settings.user_base
        self._groups = LocalGroups(settings.group_mapping)
        found = _NAME_ATTRIBUTE.search(settings.user_filter)
        self._name_attribute = None if found is None else found[1]
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="directory")

    async def sign_in(self, name: str, password: str) -> DirectoryUser | None:
        # A bind with an empty password succeeds for everybody and proves nothing (RFC 4513 section 5.1.2).
        # Behind a NUL, a server written in C may see no password either.
        if not password or "\0" in password:
            return None
        try:
            secret = password.encode()
        except UnicodeEncodeError:
            return None
        return await self._ask(lambda: self._sign_in(name, secret))

    async def look_up(self, name: str) -> DirectoryUser | None:
        return await self._ask(lambda: self._look_up(name))

    async def aclose(self) -> None:
        """Wait for what is being asked, and end the threads."""
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)

    async def _ask(self, question: Callable[[], Answer]) -> Answer:
        """Have a thread ask; the time for a turn counts as well, so that a slow directory makes no queue."""
        seconds = self._settings.timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.get_running_loop().run_in_executor(self._threads, question)
        except TimeoutError as error:
            raise DirectoryUnavailable(f"{self._server.url} did not answer within {seconds:g} s") from error

    def _look_up(self, name: str) -> DirectoryUser | None:
        with self._server.connect() as session:
            return self._find(session, name)

    def _sign_in(self, name: str, password: bytes) -> DirectoryUser | None:
        with self._server.connect() as session:
            user = self._find(session, name)
            if user is None:
                return None
            if (refusal := session.bind(user.dn, password)) is not None:
                log.info("the directory does not let %s sign in: %s", quoted(user.dn), refusal)
                return None
            return user

    def _find(self, session: LdapSession, name: str) -> DirectoryUser | None:
        """The one person whom the filter finds, with local groups. The registry's own bind comes first."""
        if not name.isprintable():
            return None
        password = self._settings.bind_password
        secret = b"" if password is None else password.get_secret_value().encode()
        refusal = session.bind(self._settings.bind_dn, secret)
        if refusal is not None:
            raise DirectoryUnavailable(f"{self._server.url} does not take ldap.bind_dn: {refusal}")
        entries = session.search(
            self._user_base,
            filled(self._settings.user_filter, name=name),
            self._name_attribute or _NO_ATTRIBUTES,
            limit=2,
        )
        if len(entries) > 1:
            log.warning("ldap.user_filter finds several entries for %s: nobody signs in by it", quoted(name))
        if len(entries) != 1:
            return None
        (entry,) = entries
        own = name if self._name_attribute is None else proper_value(entry, self._name_attribute)
        local = None if own is None else local_name(own)
        if own is None or local is None:
            log.warning(
                "%s can't sign in: %s of the entry should be one value, or the one that names the entry, and "
                "a name that a user of the registry may have",
                quoted(entry.dn),
                self._name_attribute or "{name}",
            )
            return None
        return DirectoryUser(local, entry.dn, self._groups_of(session, entry.dn, own))

    def _groups_of(self, session: LdapSession, dn: str, name: str) -> tuple[str, ...]:
        base = self._settings.group_base
        if base is None:
            return ()
        group_filter = filled(self._settings.group_filter, dn=dn, name=name)
        return self._groups.of(session.search(base, group_filter, _GROUP_NAME))


class LocalGroups:
    """Which local groups stand for the directory's. `mapping` is from a DN or a cn to a local name; when it
    is empty, a group's cn is the local name."""

    def __init__(self, mapping: Mapping[str, str]) -> None:
        self._by_cn = {normal_value(key): local for key, local in mapping.items() if "=" not in key}
        self._by_dn = {normal_name(key): local for key, local in mapping.items() if "=" in key}

    def of(self, entries: Iterable[Entry]) -> tuple[str, ...]:
        """The local groups for these entries, sorted. A group that has no local name is left out."""
        return tuple(sorted({local for entry in entries if (local := self._local(entry)) is not None}))

    def _local(self, entry: Entry) -> str | None:
        if (by_dn := self._by_dn.get(normal_name(entry.dn))) is not None:
            return by_dn
        cn = proper_value(entry, _GROUP_NAME)
        if cn is None:
            return None
        if self._by_cn or self._by_dn:
            return self._by_cn.get(normal_value(cn))
        return local_name(cn)


def filled(template: str, **values: str) -> str:
    """A search filter with names put in for its placeholders, escaped (RFC 4515 section 3)."""
    return _PLACEHOLDERS.sub(lambda found: str(escape_filter_chars(values[found[1]])), template)


def proper_value(entry: Entry, attribute: str) -> str | None:
    """The only value of an attribute, or of several the one that names the entry.

    Without one there would be several names for the same person, each with an account of its own.
    """
    values = entry.values
    if len(values) > 1:
        values = tuple(value for value in values if names_itself(entry.dn, attribute, value))
    return values[0] if len(values) == 1 else None


def local_name(value: str) -> str | None:
    """The directory's name in lower case, since it does not tell cases apart; None if nobody here may be
    called so."""
    try:
        return check_name(value.lower())
    except ValueError:
        return None
