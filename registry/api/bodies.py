"""Reading the bodies of requests."""

import select
import socket
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence

from aiohttp import web
from aiohttp.http_exceptions import PayloadEncodingError
from aiohttp.web_protocol import RequestPayloadError

from registry.api.connection import Connection
from registry.api.replies import open_connection
from registry.api.sockets import duplicate, soon, until_ready
from registry.oci.errors import BodyTooLarge, RequestInvalid

Run = Iterable[bytes]
"""As storage_drivers.Run has it."""

LARGE = 1024 * 1024
"""Bytes from which a body of known length is received by a thread, past the HTTP parser."""

TURN = 8 * 1024 * 1024
"""Bytes after which a thread that receives gives way to others, however fast the client is."""

PART = 256 * 1024
"""Bytes received at once, and those that the kernel gathers before it wakes anybody: few enough to stay in
the processor's cache until they are hashed and written."""


async def runs(request: web.BaseRequest) -> AsyncGenerator[Run]:
    """The body as it comes; of a large one, lazy runs that take the short way (registry.api.sockets).

    Raises ConnectionError when the client leaves before its end, and RequestInvalid when it is framed
    wrongly.
    """
    length = request.content_length
    # Chunked: only the parser can tell where that ends. Encrypted: only the event loop can read it.
    if length is None or length < LARGE or request.secure:
        async for parsed in parsed_runs(request):
            yield parsed
        return
    connection = open_connection(request)
    expect_body(request, connection)
    first = connection.begin_direct(request.content)
    left = length - len(first)
    try:
        if first:
            yield (first,)
        del first
        with duplicate(connection) as inlet:
            try:
                while left:
                    wake_from(inlet, min(left, PART))
                    await until_ready(connection, inlet, to_read=True)
                    run = DirectRun(inlet, min(left, TURN))
                    yield run
                    left -= run.received()
            finally:
                wake_from(inlet, 1)  # also behind a refused body, whose rest is still to be drained
    finally:
        connection.end_direct(request.content, complete=not left)


class DirectRun:
    """A lazy run: whoever iterates it, in a thread, receives up to `limit` bytes from the client, as many
    as come without long waiting."""

    def __init__(self, inlet: socket.socket, limit: int) -> None:
        self._inlet = inlet
        self._left = limit
        self._limit = limit
        self._state = "new"

    def __iter__(self) -> Iterator[bytes]:
        self._state = "begun"
        ready = select.poll()
        ready.register(self._inlet, select.POLLIN)
        closed = False
        while self._left and not closed:
            try:
                part = self._inlet.recv(min(self._left, PART))
            except BlockingIOError:
                if not soon(ready):
                    break
            except ConnectionError:
                closed = True
            else:
                closed = not part
                self._left -= len(part)
                # Not kept here: whoever takes it may have to wait for memory, and many do at once.
                parts = [part]
                del part
                yield parts.pop()
        self._state = "closed" if closed else "ended"

    def received(self) -> int:
        """How many bytes came. Raises ConnectionResetError if the client has closed the connection; what
        came before it did is kept."""
        if self._state == "closed":
            raise ConnectionResetError("the client left in the middle of the body")
        if self._state != "ended":
            raise RuntimeError("the next run was asked for before this one was iterated to its end")
        return self._limit - self._left


def wake_from(inlet: socket.socket, count: int) -> None:
    """Have the kernel wake nobody before `count` bytes are there, or the end (SO_RCVLOWAT, socket(7))."""
    inlet.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, count)


async def parsed_runs(request: web.BaseRequest) -> AsyncGenerator[Sequence[bytes]]:
    """The body as the HTTP parser hands it on. Raises as `runs`."""
    connection = open_connection(request)
    expect_body(request, connection)
    body = request.content
    while True:
        connection.wait_for_client()
        try:
            chunk = await body.readany()
        except (RequestPayloadError, PayloadEncodingError) as error:
            if connection.transport is None or connection.transport.is_closing():
                raise ConnectionResetError("the client left in the middle of the body") from error
            raise RequestInvalid("the body is not framed as its header says") from error
        finally:
            connection.waiting = False
        if not chunk:
            return
        yield (chunk,)


def expect_body(request: web.BaseRequest, connection: Connection) -> None:
    """Answer `Expect: 100-continue`, here and not earlier: whoever is refused is spared the body."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")


async def whole(
    request: web.BaseRequest, limit: int, what: str = "this body", error: type[BodyTooLarge] = BodyTooLarge
) -> bytes:
    """A body of at most `limit` bytes. Raises `error`, and what `parsed_runs` raises."""
    refusal = error(f"{what} may have {limit} bytes at most", {"limit": limit})
    if request.content_length is not None and request.content_length > limit:
        raise refusal
    received = bytearray()
    async for run in parsed_runs(request):
        for chunk in run:
            received += chunk
        if len(received) > limit:
            raise refusal
    return bytes(received)
