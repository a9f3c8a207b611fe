"""A connection's socket, used beside the event loop: for bodies that are large enough to be worth it.

uvloop and aiohttp copy each byte several times on its way through Python. A thread that works on a
duplicate of the socket copies it once (received) or not at all (sent). It never waits long: as soon as
the client doesn't keep up, the waiting is done in the event loop.
"""

import asyncio
import os
import select
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from typing import TypeVar

from registry.api.connection import Connection

Result = TypeVar("Result")

PATIENCE = 5
"""Milliseconds that a thread waits for the client before it gives way to others."""


@contextmanager
def duplicate(connection: Connection) -> Iterator[socket.socket]:
    """The connection's socket under a second descriptor. Raises ConnectionResetError when it is closed."""
    if connection.transport is None:
        raise ConnectionResetError("the client has gone")
    own = connection.transport.get_extra_info("socket")
    with socket.socket(fileno=os.dup(own.fileno())) as second:
        second.setblocking(False)
        yield second


def soon(ready: select.poll) -> bool:
    """In a thread: whether what `ready` waits for happens while patience lasts."""
    return bool(ready.poll(PATIENCE))


async def in_thread(threads: Executor, step: Callable[..., Result], *arguments: object) -> Result:
    """Run a step in a thread. Being cancelled waits for it: it works on descriptors that are closed next,
    and whose numbers somebody else gets."""
    future = asyncio.get_running_loop().run_in_executor(threads, step, *arguments)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        while not future.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait((future,))
        raise


async def until_ready(connection: Connection, second: socket.socket, *, to_read: bool) -> None:
    """Wait until the client has sent, or has read, something. Raises ConnectionResetError at the end of
    the connection."""
    if connection.transport is None:
        raise ConnectionResetError("the client has gone")
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not waiter.done():
            waiter.set_result(None)

    add, remove = (loop.add_reader, loop.remove_reader) if to_read else (loop.add_writer, loop.remove_writer)
    add(second.fileno(), wake)
    connection.on_lost = wake  # the duplicate keeps the socket open, so it would not notice by itself
    connection.wait_for_client()
    try:
        await waiter
    finally:
        connection.waiting = False
        connection.on_lost = None
        remove(second.fileno())
    if connection.transport is None:
        raise ConnectionResetError("the client has gone")
    connection.progress = time.monotonic()
