"""Sending files by sendfile(2), past the event loop and past Python.

uvloop, which halves the cost of small requests, has no sendfile. So the file is sent over a duplicate of
the connection's socket, while nothing else is written to it: in a thread as long as the client keeps up,
since a disk may be slow, and waiting in the event loop as soon as it does not.
"""

import asyncio
import io
import os
import select
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import cast

from aiohttp import web

from registry.api.connection import Connection
from registry.api.replies import Reply, open_connection
from registry.oci.errors import Unavailable

PATIENCE = 5
"""Milliseconds that a thread waits for the client before it gives way to others."""

TURN = 64 * 1024 * 1024
"""Bytes after which a thread gives way to others, however fast the client is."""

STREAMED = 256 * 1024


class FileReply(Reply):
    """An answer whose body is the bytes from `start` up to `stop` of an open file, which it closes."""

    __slots__ = ("file", "sender", "start", "stop")

    def __init__(
        self, status: int, block: bytes, sender: "FileSender", file: io.FileIO, start: int, stop: int
    ) -> None:
        super().__init__(status, block)
        self.sender = sender
        self.file = file
        self.start = start
        self.stop = stop

    async def prepare(self, request: web.BaseRequest) -> None:
        """Send head and file. Raises ConnectionError when the client leaves."""
        with self.file:
            connection = open_connection(request)
            await self.sender.send(connection, self.head(request), self.file, self.start, self.stop)
        self.sent = self.stop - self.start


class FileSender:
    """Opens and sends files; `threads` is how many may wait for a disk at once."""

    def __init__(self, threads: int = 16) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="sendfile")

    async def open(self, path: str, size: int) -> io.FileIO:
        """Open a stored object. Raises Unavailable if it is gone or has not the `size` that is recorded."""
        file = await asyncio.get_running_loop().run_in_executor(self._threads, open_file, path)
        if os.fstat(file.fileno()).st_size != size:
            file.close()
            raise Unavailable("the stored bytes are not as many as they were")
        return file

    async def send(self, connection: Connection, head: bytes, file: io.FileIO, start: int, stop: int) -> None:
        """Send `head`, then the bytes from `start` up to `stop`."""
        transport = cast(asyncio.Transport, connection.transport)
        if transport.get_write_buffer_size():  # of an answer before this one, to a client that pipelines
            transport.set_write_buffer_limits(high=0)
            await connection.drained()
            transport.set_write_buffer_limits()
        duplicate = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
        duplicate.setblocking(False)
        with duplicate:
            await self._send(connection, duplicate, memoryview(head), file, start, stop)

    async def _send(
        self,
        connection: Connection,
        outlet: socket.socket,
        head: memoryview,
        file: io.FileIO,
        start: int,
        stop: int,
    ) -> None:
        loop = asyncio.get_running_loop()
        while head or start < stop:
            head, start = await loop.run_in_executor(self._threads, push, outlet, head, file, start, stop)
            if connection.transport is None:
                raise ConnectionResetError("the client has gone")
            connection.progress = time.monotonic()
            if head or start < stop:
                await writable(connection, outlet)

    def close(self) -> None:
        self._threads.shutdown()


def open_file(path: str) -> io.FileIO:
    try:
        return io.FileIO(path)
    except OSError as error:
        raise Unavailable("the stored bytes can't be read") from error


def push(
    outlet: socket.socket, head: memoryview, file: io.FileIO, start: int, stop: int
) -> tuple[memoryview, int]:
    """Send what the client takes without being waited for long; returns what is left of the head, and
    where the file goes on."""
    ready = select.poll()
    ready.register(outlet, select.POLLOUT)
    turn = min(stop, start + TURN)
    while head or start < turn:
        try:
            if head:
                # MSG_MORE: the first bytes of the file go into the same segment.
                head = head[outlet.send(head, socket.MSG_MORE if start < stop else 0) :]
                continue
            count = os.sendfile(outlet.fileno(), file.fileno(), start, turn - start)
        except BlockingIOError:
            if not ready.poll(PATIENCE):
                break
            continue
        if count == 0:
            raise ConnectionAbortedError("the stored file became shorter while it was sent")
        start += count
    return head, start


async def writable(connection: Connection, outlet: socket.socket) -> None:
    """Wait until the client takes more. Raises ConnectionResetError when the connection ends."""
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not waiter.done():
            waiter.set_result(None)

    loop.add_writer(outlet.fileno(), wake)
    connection.on_lost = wake  # the duplicate keeps the socket open, so it would not notice by itself
    connection.waiting = True
    try:
        await waiter
    finally:
        connection.waiting = False
        connection.on_lost = None
        loop.remove_writer(outlet.fileno())
    if connection.transport is None:
        raise ConnectionResetError("the client has gone")
