"""One conversation with an LDAP server: connect, bind, search. Synchronous, as ldap3 is."""

import math
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from ldap3 import ANONYMOUS, DEREF_NEVER, NONE, SIMPLE, SUBTREE, Connection, Server, Tls
from ldap3.core.exceptions import LDAPException
from ldap3.core.results import (
    RESULT_CONSTRAINT_VIOLATION,
    RESULT_INAPPROPRIATE_AUTHENTICATION,
    RESULT_INSUFFICIENT_ACCESS_RIGHTS,
    RESULT_INVALID_CREDENTIALS,
    RESULT_NO_SUCH_OBJECT,
    RESULT_SIZE_LIMIT_EXCEEDED,
    RESULT_SUCCESS,
    RESULT_UNWILLING_TO_PERFORM,
)

from auth.directory import DirectoryUnavailable

_REFUSALS = {
    RESULT_INVALID_CREDENTIALS,
    RESULT_INAPPROPRIATE_AUTHENTICATION,  # the entry has no password
    RESULT_UNWILLING_TO_PERFORM,  # locked, expired: servers differ
    RESULT_CONSTRAINT_VIOLATION,
    RESULT_INSUFFICIENT_ACCESS_RIGHTS,
    RESULT_NO_SUCH_OBJECT,  # it has gone since it was found
}
"""Results of a bind that speak about who binds, and not about the server."""


class Entry(NamedTuple):
    """An entry with the values of the attribute that was asked for."""

    dn: str
    values: tuple[str, ...]


class _VerifiedTls(Tls):  # type: ignore[misc]  # ldap3 has no types
    """TLS verified by the standard library: ldap3 does a part itself, by means that Python removed."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(validate=ssl.CERT_REQUIRED)
        self._context = context

    def wrap_socket(self, connection: Connection, do_handshake: bool = False) -> None:
        plain: socket.socket = connection.socket
        connection.socket = self._context.wrap_socket(
            plain, server_hostname=connection.server.host, do_handshake_on_connect=do_handshake
        )


class LdapServer:
    """Where the directory is, and how to talk to it. `seconds` bound each step of a conversation."""

    def __init__(self, url: str, *, start_tls: bool, ca_file: Path | None, seconds: float) -> None:
        """Raises ValueError if `ca_file` can't be used."""
        parts = urlsplit(url)
        self.url = url
        self._host = parts.hostname
        self._encrypted = parts.scheme == "ldaps"
        self._port = parts.port or (636 if self._encrypted else 389)
        self._start_tls = start_tls
        self._seconds = math.ceil(seconds)  # ldap3 takes whole ones
        try:
            self._context = ssl.create_default_context(cafile=ca_file)
        except OSError as error:
            raise ValueError(f"ldap.ca_file = {ca_file} can't be used: {error}") from error

    @contextmanager
    def connect(self) -> Iterator["LdapSession"]:
        """A conversation, encrypted as is set; nobody is bound yet. Raises DirectoryUnavailable whenever it
        breaks."""
        # A server for each: ldap3 keeps in it which address the one connection uses.
        server = Server(
            self._host,
            self._port,
            use_ssl=self._encrypted,
            tls=_VerifiedTls(self._context),
            get_info=NONE,
            connect_timeout=self._seconds,
            allowed_referral_hosts=[],
        )
        connection = Connection(
            server,
            auto_referrals=False,
            auto_escape=False,
            check_names=False,
            read_only=True,
            receive_timeout=self._seconds,
        )
        try:
            connection.open(read_server_info=False)
            if self._start_tls:
                connection.start_tls(read_server_info=False)
                if not connection.tls_started:
                    raise DirectoryUnavailable(f"{self.url} does not start TLS")
            yield LdapSession(connection, self.url, self._seconds)
        except (LDAPException, OSError) as error:
            raise DirectoryUnavailable(f"{self.url}: {connection.last_error or error}") from error
        finally:
            with suppress(LDAPException, OSError):  # it is over, whether or not the server hears of it
                connection.unbind()
            if connection.socket is not None:
                connection.socket.close()


class LdapSession:
    """A connection that is open. Raises DirectoryUnavailable, or an error that `connect` makes one."""

    def __init__(self, connection: Connection, url: str, seconds: int) -> None:
        self._connection = connection
        self._url = url
        self._seconds = seconds

    def bind(self, dn: str | None, password: bytes) -> str | None:
        """Be `dn` from now on; anonymous if it is None. Returns why not, if the server does not take it.

        The password is UTF-8 in bytes: a text ldap3 would change by SASLprep, which other clients don't do.
        """
        if dn is None:
            self._connection.rebind(authentication=ANONYMOUS, read_server_info=False)
        else:
            self._connection.rebind(dn, password, authentication=SIMPLE, read_server_info=False)
        code, reason = self._result()
        if code in _REFUSALS:
            return reason
        if code != RESULT_SUCCESS:
            raise DirectoryUnavailable(f"{self._url} answers a bind with {reason}")
        return None

    def search(self, base: str, filter: str, attribute: str, limit: int = 0) -> list[Entry]:
        """Entries below `base`, in no order; at most `limit` unless that is 0. Referrals are not followed."""
        self._connection.search(
            base,
            filter,
            SUBTREE,
            DEREF_NEVER,
            [attribute],
            size_limit=limit,
            time_limit=self._seconds,
        )
        code, reason = self._result()
        if code != RESULT_SUCCESS and not (limit and code == RESULT_SIZE_LIMIT_EXCEEDED):
            raise DirectoryUnavailable(f"{self._url} answers a search below {base} with {reason}")
        return [
            Entry(found["dn"], _texts(found["raw_attributes"].get(attribute) or []))
            for found in self._connection.response
            if found["type"] == "searchResEntry"
        ]

    def _result(self) -> tuple[int, str]:
        result = self._connection.result
        message = f" ({result['message']})" if result["message"] else ""
        return int(result["result"]), f"{result['description']}{message}"


def _texts(values: list[bytes]) -> tuple[str, ...]:
    """Values as text; what is none becomes one that nobody is called."""
    return tuple(value.decode("utf-8", "replace") for value in values)
