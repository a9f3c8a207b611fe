"""Answering a 401: Basic, or a token from the server that the registry names (Docker's token protocol).

See RFC 9110 section 11.6.1 for the challenge, and distribution's `spec/auth/token.md` and `oauth.md`.
"""

import asyncio
import base64
import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlencode

from yarl import URL

from auth.scopes import parse_scopes
from registry.oci.quoting import quoted
from registry.transfer.credentials import Credentials
from registry.transfer.errors import Refused, TransferError

CLIENT = "entrepot"

_SCHEME = re.compile(r"\s*(bearer|basic)\b", re.IGNORECASE)
_PARAMETER = re.compile(r'([a-zA-Z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))')

Ask = Callable[[str, URL, Mapping[str, str], bytes | None], Awaitable[tuple[int, bytes]]]
"""Sends a request as it is: from (method, URL, header fields, body) to (status, body)."""


class Challenge(NamedTuple):
    """`parameters` has realm, service and scope of a Bearer challenge."""

    bearer: bool
    parameters: Mapping[str, str]


def parse_challenges(fields: Sequence[str]) -> Challenge | None:
    """The challenge to answer of all WWW-Authenticate fields: Bearer before Basic."""
    found: dict[bool, Challenge] = {}
    for field in fields:
        scheme = _SCHEME.match(field)
        if scheme is not None:
            parameters = {
                name.lower(): re.sub(r"\\(.)", r"\1", text) or plain
                for name, text, plain in _PARAMETER.findall(field[scheme.end() :])
            }
            bearer = scheme[1].lower() == "bearer"
            found.setdefault(bearer, Challenge(bearer, parameters))
    return found.get(True) or found.get(False)


class Authorization:
    """The header field for each repository of one registry. Nothing is sent before it is asked for."""

    def __init__(self, server: URL, credentials: Credentials | None, ask: Ask) -> None:
        self._server = server
        self._credentials = credentials
        self._ask = ask
        self._fields: dict[str, str] = {}
        self._scopes: dict[str, list[str]] = {}
        self._lock = asyncio.Lock()

    def field(self, repository: str) -> str | None:
        """What to send with a request about a repository; "" is the registry itself."""
        return self._fields.get(repository)

    async def answer(self, repository: str, used: str | None, fields: Sequence[str]) -> bool:
        """Get what a 401 asks for; `used` was sent with the request. False if there is nothing to answer.

        Raises TransferError, if the server of tokens refuses.
        """
        async with self._lock:
            if self._fields.get(repository) != used:
                return True  # another request got it meanwhile
            challenge = parse_challenges(fields)
            if challenge is None:
                return False
            if not challenge.bearer:
                return self._answer_basic(repository, used)
            wanted = self._scopes.setdefault(repository, [])
            wanted[:] = [
                str(scope) for scope in parse_scopes([*wanted, challenge.parameters.get("scope", "")])
            ]
            token = await self._token(challenge.parameters, wanted)
            self._fields[repository] = f"Bearer {token}"
            return True

    def _answer_basic(self, repository: str, used: str | None) -> bool:
        if self._credentials is None or used is not None or self._credentials.refresh_token is not None:
            return False
        self._fields[repository] = basic(self._credentials)
        return True

    async def _token(self, parameters: Mapping[str, str], scopes: Sequence[str]) -> str:
        realm = self._realm(parameters.get("realm", ""))
        service = parameters.get("service")
        named = [("service", service)] if service else []
        if self._credentials is not None and self._credentials.refresh_token is not None:
            form = [
                *named,
                ("grant_type", "refresh_token"),
                ("refresh_token", self._credentials.refresh_token),
                ("client_id", CLIENT),
                *([("scope", " ".join(scopes))] if scopes else []),
            ]
            kind = {"Content-Type": "application/x-www-form-urlencoded"}
            status, body = await self._ask("POST", realm, kind, urlencode(form).encode())
        else:
            query = [*realm.query.items(), *named, *(("scope", scope) for scope in scopes)]
            headers = {} if self._credentials is None else {"Authorization": basic(self._credentials)}
            status, body = await self._ask("GET", realm.with_query(query), headers, None)
        if status != 200:
            raise Refused(
                status, f"{self._server.authority} lets nobody in as {self._who}: {status} from {realm.host}"
            )
        return _token_of(body, realm)

    def _realm(self, text: str) -> URL:
        """Raises TransferError for a place that credentials must not be sent to."""
        try:
            realm = URL(text)
        except ValueError:
            realm = URL()
        secure = realm.scheme == "https" or (realm.scheme == "http" and self._server.scheme == "http")
        if not secure or not realm.host or realm.user is not None:
            raise TransferError(
                f"{self._server.authority} sends for tokens to {quoted(text)}, which is not safe"
            )
        return realm

    @property
    def _who(self) -> str:
        return "anybody" if self._credentials is None else quoted(self._credentials.user)


def basic(credentials: Credentials) -> str:
    """The header field for a password (RFC 7617)."""
    pair = f"{credentials.user}:{credentials.password}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


def _token_of(body: bytes, realm: URL) -> str:
    try:
        document = json.loads(body)
        token = document.get("token") or document.get("access_token")
    except (ValueError, AttributeError):
        token = None
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise TransferError(f"{realm.host} did not answer with a token")
    return token
