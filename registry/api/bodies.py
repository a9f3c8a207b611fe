"""Reading the bodies of requests."""

import asyncio
import select
import socket
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import Executor

from aiohttp import web
from aiohttp.http_exceptions import PayloadEncodingError
from aiohttp.web_protocol import RequestPayloadError

from registry.api.connection import Connection
from registry.api.replies import open_connection
from registry.api.sockets import duplicate, soon, until_ready
from registry.oci.errors import ManifestTooLarge, RequestInvalid

LARGE = 1024 * 1024
"""Bytes from which a body of known length is received by a thread, past the HTTP parser."""

RUN = 1024 * 1024
"""Bytes that are handed on at once."""


class Receiver:
    """Receives the bodies of uploads. Large ones take the short way: see registry.api.sockets."""

    def __init__(self, threads: Executor) -> None:
        self._threads = threads

    async def runs(self, request: web.BaseRequest) -> AsyncGenerator[Sequence[bytes]]:
        """The body as it comes. Raises ConnectionError when the client leaves before its end, and
        RequestInvalid when it is framed wrongly."""
        length = request.content_length
        if length is None or length < LARGE:  # or chunked: only the parser can tell where that ends
            async for run in parsed_runs(request):
                yield run
            return
        connection = open_connection(request)
        expect_body(request, connection)
        first = connection.begin_direct(request.content)
        left = length - len(first)
        try:
            if first:
                yield (first,)
            with duplicate(connection) as inlet:
                loop = asyncio.get_running_loop()
                while left:
                    run = await loop.run_in_executor(self._threads, receive, inlet, min(RUN, left))
                    if run:
                        left -= sum(map(len, run))
                        yield run
                    else:
                        await until_ready(connection, inlet, to_read=True)
        finally:
            connection.end_direct(request.content, complete=not left)


def receive(inlet: socket.socket, limit: int) -> list[bytes]:
    """In a thread: up to `limit` bytes, as many as come without long waiting; perhaps none.

    Raises ConnectionResetError when the client has closed the connection.
    """
    ready = select.poll()
    ready.register(inlet, select.POLLIN)
    run: list[bytes] = []
    while limit:
        try:
            part = inlet.recv(limit)
        except BlockingIOError:
            if not soon(ready):
                break
            continue
        if not part:
            if run:
                break  # what came is kept; the next call tells
            raise ConnectionResetError("the client left in the middle of the body")
        run.append(part)
        limit -= len(part)
    return run


async def parsed_runs(request: web.BaseRequest) -> AsyncGenerator[Sequence[bytes]]:
    """The body as the HTTP parser hands it on. Raises as `Receiver.runs`."""
    connection = open_connection(request)
    expect_body(request, connection)
    body = request.content
    while True:
        connection.waiting = True
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


async def whole(request: web.BaseRequest, limit: int) -> bytes:
    """A body of at most `limit` bytes. Raises ManifestTooLarge, and what `parsed_runs` raises."""
    refusal = ManifestTooLarge(f"a manifest may have {limit} bytes at most", {"limit": limit})
    if request.content_length is not None and request.content_length > limit:
        raise refusal
    received = bytearray()
    async for run in parsed_runs(request):
        for chunk in run:
            received += chunk
        if len(received) > limit:
            raise refusal
    return bytes(received)
