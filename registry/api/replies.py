"""Answers, written to the connection as ready-made blocks.

aiohttp's own response builds its header fields anew for each request, which costs more than all else that
a small answer needs. Here the block of header fields is bytes, which handlers of immutable content keep;
only the status line and the date are put in front.
"""

import http
import json
import logging
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from email.utils import formatdate
from functools import lru_cache

from aiohttp import web

from registry.api.connection import Connection
from registry.oci.errors import RegistryError

log = logging.getLogger(__name__)

Fields = Mapping[str, str] | Iterable[tuple[str, str]]

WRITTEN_AT_ONCE = 64 * 1024
"""Bytes up to which head and body are joined into one write."""


def head_block(fields: Fields) -> bytes:
    """Header fields as they go over the wire, without the empty line that ends them.

    Raises ValueError for a line break in a value, which would let it forge another field.
    """
    lines = []
    for name, value in fields.items() if isinstance(fields, Mapping) else fields:
        if "\r" in value or "\n" in value or "\0" in value:
            raise ValueError(f"the value of {name} holds a line break: {value!r}")
        lines.append(f"{name}: {value}\r\n")
    return "".join(lines).encode("latin-1", "replace")


@lru_cache(maxsize=64)
def status_line(status: int) -> bytes:
    return f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}\r\n".encode()


class _Date:
    """The Date field (RFC 9110 section 6.6.1), made once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._field = b""

    def field(self) -> bytes:
        now = int(time.time())
        if now != self._second:
            self._second = now
            self._field = f"Date: {formatdate(now, usegmt=True)}\r\n".encode()
        return self._field


DATE = _Date()


class Reply:
    """An answer with a body in memory. `block` is made by `head_block` and says Content-Length itself.

    It has what aiohttp's server asks of a response: prepare, write_eof and keep_alive.
    """

    __slots__ = ("block", "body", "keep_alive", "sent", "status")

    def __init__(self, status: int, block: bytes, body: bytes = b"") -> None:
        self.status = status
        self.block = block
        self.body = body
        self.keep_alive = False
        self.sent = 0

    def head(self, request: web.BaseRequest) -> bytes:
        """The bytes up to and including the empty line; settles whether the connection is kept."""
        self.keep_alive = may_stay_open(request)
        stays = b"" if self.keep_alive else b"Connection: close\r\n"
        return b"".join((status_line(self.status), DATE.field(), self.block, stays, b"\r\n"))

    async def prepare(self, request: web.BaseRequest) -> None:
        """Send all of it. Raises ConnectionResetError when the client has gone."""
        connection = open_connection(request)
        head = self.head(request)
        body = b"" if request.method == "HEAD" else self.body
        self.sent = len(body)
        if len(body) <= WRITTEN_AT_ONCE:
            connection.write(head + body)
        else:
            connection.write(head)
            connection.write(body)
        if connection.writing_paused:  # the client does not read: it gets no more before it does
            await connection.drained()

    async def write_eof(self) -> None:
        """Nothing is left to send."""


class Unheard(Reply):
    """No answer: the client left before it could be given. Logged as 499, which nginx made customary."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(499, b"")

    async def prepare(self, request: web.BaseRequest) -> None:
        """Close the connection, if it is not. Always raises ConnectionResetError, as aiohttp expects."""
        if isinstance(request.protocol, Connection):
            request.protocol.break_off()
        raise ConnectionResetError("the client has gone")


class StreamedReply(Reply):
    """An answer whose body comes in parts, of a length that `block` states."""

    __slots__ = ("parts",)

    def __init__(self, status: int, block: bytes, parts: AsyncIterator[bytes]) -> None:
        super().__init__(status, block)
        self.parts = parts

    @classmethod
    async def begun(cls, status: int, block: bytes, parts: AsyncIterator[bytes]) -> "StreamedReply":
        """An answer whose first part is here: what keeps that from coming is raised, and gets a status of its
        own."""
        reply = cls(status, block, parts)
        reply.body = await anext(parts, b"")
        return reply

    async def prepare(self, request: web.BaseRequest) -> None:
        """Send part by part. When one can't be had, the connection is broken: a client must never take
        what it has for the whole."""
        connection = open_connection(request)
        connection.write(self.head(request))
        connection.write(self.body)
        self.sent, self.body = len(self.body), b""
        try:
            await connection.drained()
            async for part in self.parts:
                connection.write(part)
                self.sent += len(part)
                await connection.drained()
        except RegistryError as error:
            log.error("breaking off %s %s: %s", request.method, request.raw_path, error.message)
            connection.break_off()
            raise ConnectionAbortedError from error


def may_stay_open(request: web.BaseRequest) -> bool:
    """Whether another request may follow: not when the body of this one was left unread, nor at the end
    of the server."""
    protocol = request.protocol
    return (
        request.keep_alive
        and request.content.is_eof()
        and isinstance(protocol, Connection)
        and not protocol.draining
    )


def open_connection(request: web.BaseRequest) -> Connection:
    """The connection of a request. Raises ConnectionResetError when it is closed."""
    protocol = request.protocol
    if not isinstance(protocol, Connection) or protocol.transport is None or protocol.transport.is_closing():
        raise ConnectionResetError("the client has gone")
    return protocol


def empty(status: int, fields: Fields = ()) -> Reply:
    """An answer without a body (204 has no Content-Length either: RFC 9110 section 8.6)."""
    block = head_block(fields)
    return Reply(status, block if status == 204 else block + b"Content-Length: 0\r\n")


def content(status: int, media_type: str, body: bytes, fields: Fields = ()) -> Reply:
    """An answer with these bytes. The media type stands alone, without a charset."""
    own = head_block((("Content-Type", media_type), ("Content-Length", str(len(body)))))
    return Reply(status, own + head_block(fields), body)


def json_content(status: int, value: object, fields: Fields = ()) -> Reply:
    return content(status, "application/json", json.dumps(value, separators=(",", ":")).encode(), fields)
