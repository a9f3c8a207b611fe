"""One client connection: deadlines for slow peers, and OCI errors for what aiohttp's parser refuses."""

import asyncio
import fcntl
import logging
import termios
import time
from collections.abc import Callable
from typing import Any, cast

from aiohttp import StreamReader, web
from aiohttp.http import HttpRequestParser
from aiohttp.web_protocol import RequestHandler, RequestPayloadError

log = logging.getLogger(__name__)

Refusal = Callable[[int, BaseException | None], Any]
"""Makes the answer to a request that could not be parsed (4xx) or handled (5xx): status, reason -> Reply."""


class ConnectionServer(web.Server):
    """Makes a `Connection` for each client, and looks after all of them."""

    def __init__(
        self, *args: Any, refuse: Refusal, header_seconds: float, idle_seconds: float, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.refuse = refuse
        self.header_seconds = header_seconds
        self.idle_seconds = idle_seconds
        self.draining = False

    def __call__(self) -> RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)

    async def watch(self) -> None:
        """End connections whose peer keeps us waiting; runs until it is cancelled.

        One look a second at all connections costs far less than a timer for each read.
        """
        while True:
            await asyncio.sleep(min(1.0, self.header_seconds / 4, self.idle_seconds / 4))
            now = time.monotonic()
            for connection in self.connections:
                cast(Connection, connection).enforce_deadlines(now)

    def begin_draining(self) -> None:
        """Close idle connections, and the others after the request that is under way."""
        self.draining = True
        for connection in self.connections:
            cast(Connection, connection).close_if_idle()


class Connection(RequestHandler):
    """`waiting` is set while we can't go on without the client: it has to send, or to read."""

    __slots__ = ("_discarding", "_header_began", "_queues", "_server", "on_lost", "progress", "waiting")

    def __init__(self, server: ConnectionServer, **kwargs: Any) -> None:
        super().__init__(server, **kwargs)
        self._server = server
        self._discarding = False
        self._queues = b""
        self._header_began = 0.0
        self.progress = time.monotonic()
        self.waiting = False
        self.on_lost: Callable[[], None] | None = None

    @property
    def draining(self) -> bool:
        return self._server.draining

    def data_received(self, data: bytes) -> None:
        self.progress = time.monotonic()
        if self._discarding:
            return
        if data and not self._request_in_progress and not self._header_began:
            self._header_began = self.progress
        super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        if self.on_lost is not None:
            self.on_lost()

    def begin_direct(self, body: StreamReader) -> bytes:
        """Stop reading, so that somebody else may read from the socket; the bytes of `body` so far."""
        transport = cast(asyncio.Transport, self.transport)
        transport.pause_reading()
        buffered = bytearray()
        while part := body.read_nowait():  # which lets the parser go on with what it holds back
            buffered += part
            transport.pause_reading()
        return bytes(buffered)

    def end_direct(self, body: StreamReader, *, complete: bool) -> None:
        """Read requests again, if the body was taken to its end. If not, whatever comes is dropped: the
        connection is closed after the answer, and the client shall be able to read that first."""
        if self.transport is None:
            return
        if complete:
            # The old parser still counts the bytes that went past it; only a new one starts with a header.
            self._parser = HttpRequestParser(
                self,
                self._loop,
                self._read_bufsize,
                max_line_size=self.max_line_size,
                max_field_size=self.max_field_size,
                max_headers=self.max_headers,
                payload_exception=RequestPayloadError,
                auto_decompress=False,
                max_msg_queue_size=self._max_msg_queue_size,
            )
            body.feed_eof()
        else:
            self._discarding = True
        self.transport.resume_reading()

    def request_began(self) -> None:
        """The header of a request is complete."""
        self._header_began = 0.0

    def write(self, data: bytes) -> None:
        """Hand bytes to the transport. Raises ConnectionResetError when the connection is closed."""
        if self.transport is None:
            raise ConnectionResetError("the client has gone")
        self.transport.write(data)

    def wait_for_client(self) -> None:
        """From now on the client is waited for, and the idle limit runs."""
        self.progress = time.monotonic()
        self.waiting = True

    async def drained(self) -> None:
        """Wait until the client has read so much that more may be written. Raises ConnectionResetError."""
        self.wait_for_client()
        try:
            await self._drain_helper()
        finally:
            self.waiting = False
        self.progress = time.monotonic()
        if self.transport is None:
            raise ConnectionResetError("the client has gone")

    def enforce_deadlines(self, now: float) -> None:
        """Close a connection whose header is overdue, or whose body stands still in either direction.

        There is no limit on the whole time of a request.
        """
        if self.transport is None:
            return
        header_overdue = (
            self._header_began
            and not self._request_in_progress
            and now - self._header_began > self._server.header_seconds
        )
        if self.waiting:
            self._note_reading(now)
        if header_overdue or (self.waiting and now - self.progress > self._server.idle_seconds):
            log.info("closing a connection from %s that stands still", self.peername)
            self.break_off()

    def _note_reading(self, now: float) -> None:
        """A slow client makes progress long before the kernel wakes us: see how much of what was sent it has
        not acknowledged, and how much it sent that waits for more (SIOCOUTQ and SIOCINQ, tcp(7))."""
        number = cast(asyncio.Transport, self.transport).get_extra_info("socket").fileno()
        queues = fcntl.ioctl(number, termios.TIOCOUTQ, bytes(4)) + fcntl.ioctl(
            number, termios.FIONREAD, bytes(4)
        )
        if queues != self._queues:
            self._queues = queues
            self.progress = now

    def close_if_idle(self) -> None:
        """Close a connection on which no request is running or beginning."""
        if not (self._request_in_progress or self._messages or self._header_began):
            self.force_close()

    def break_off(self) -> None:
        """End the connection at once, so that the client sees that something is missing."""
        if self.transport is not None:
            self.transport.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> Any:
        """Answer what the HTTP parser refused, or what no handler caught. Always closes the connection."""
        if status >= 500:
            log.error("a request failed: %s %s", request.method, request.raw_path, exc_info=exc)
        self._close = True
        return self._server.refuse(status, exc)
