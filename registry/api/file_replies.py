"""Sending files by sendfile(2), which uvloop does not have (see registry.api.sockets)."""

import asyncio
import io
import os
import select
import socket
import time
from concurrent.futures import Executor
from typing import cast

from aiohttp import web

from registry.api.connection import Connection
from registry.api.replies import Reply, open_connection
from registry.api.sockets import duplicate, in_thread, soon, until_ready
from registry.oci.errors import Damaged, Unavailable

TURN = 64 * 1024 * 1024
"""Bytes after which a thread gives way to others, however fast the client is."""

PART = 256 * 1024
"""Bytes read at once where the kernel can't send them by itself."""


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
            send = self.sender.copy if request.secure else self.sender.send
            await send(connection, self.head(request), self.file, self.start, self.stop)
        self.sent = self.stop - self.start


class FileSender:
    """Opens and sends files, in `threads`: a disk may be slow."""

    def __init__(self, threads: Executor) -> None:
        self._threads = threads

    async def open(self, path: str, size: int) -> io.FileIO:
        """Open a stored object. Raises Damaged if it is gone or has not the `size` that is recorded."""
        file = await asyncio.get_running_loop().run_in_executor(self._threads, open_file, path)
        if os.fstat(file.fileno()).st_size != size:
            file.close()
            raise Damaged("the stored bytes are not as many as they were")
        return file

    async def send(self, connection: Connection, head: bytes, file: io.FileIO, start: int, stop: int) -> None:
        """Send `head`, then the bytes from `start` up to `stop`."""
        transport = cast(asyncio.Transport, connection.transport)
        if transport.get_write_buffer_size():  # of an answer before this one, to a client that pipelines
            transport.set_write_buffer_limits(high=0)
            await connection.drained()
            transport.set_write_buffer_limits()
        with duplicate(connection) as outlet:
            await self._send(connection, outlet, memoryview(head), file, start, stop)

    async def copy(self, connection: Connection, head: bytes, file: io.FileIO, start: int, stop: int) -> None:
        """As `send`, by way of memory: what is to be encrypted can't be sent from the file."""
        connection.write(head)
        while start < stop:
            part = await in_thread(self._threads, os.pread, file.fileno(), min(PART, stop - start), start)
            if not part:
                raise ConnectionAbortedError("the stored file became shorter while it was sent")
            connection.write(part)
            start += len(part)
            await connection.drained()

    async def _send(
        self,
        connection: Connection,
        outlet: socket.socket,
        head: memoryview,
        file: io.FileIO,
        start: int,
        stop: int,
    ) -> None:
        while head or start < stop:
            head, start = await in_thread(self._threads, push, outlet, head, file, start, stop)
            if connection.transport is None:
                raise ConnectionResetError("the client has gone")
            connection.progress = time.monotonic()
            if head or start < stop:
                await until_ready(connection, outlet, to_read=False)


def open_file(path: str) -> io.FileIO:
    try:
        return io.FileIO(path)
    except FileNotFoundError as error:
        raise Damaged("the stored bytes are not there") from error
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
            if not soon(ready):
                break
            continue
        if count == 0:
            raise ConnectionAbortedError("the stored file became shorter while it was sent")
        start += count
    return head, start
