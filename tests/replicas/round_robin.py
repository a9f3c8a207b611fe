"""An HTTP/1.1 proxy that sends every request to the next replica, also those of one kept connection.

It passes bytes on as they come, in both directions, and touches nothing but `Connection`: each request gets a
connection of its own to its replica. Like a load balancer it goes on to the next replica only while it can't
connect; a request that was sent belongs to its replica, and when that one breaks off, so does the proxy.
"""

import asyncio
import re
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

LONGEST_HEAD = 256 * 1024
PIECE = 64 * 1024

LINGER = 5
"""Seconds that a client may go on sending what nobody wants any more."""

CONNECTION = re.compile(rb"\r\n(?:connection|keep-alive|proxy-connection):[^\r\n]*", re.IGNORECASE)
CLOSE = re.compile(rb"\r\nconnection:[^\r\n]*\bclose\b", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding:[^\r\n]*\bchunked\b", re.IGNORECASE)
LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)

BROKEN = (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError)
"""How a side ends that has gone, or does not speak HTTP."""


class RoundRobin:
    """`replicas` are `host:port`; `address` is the proxy's own, in the same form. `sent` counts the requests
    by replica."""

    def __init__(self, replicas: Sequence[str]) -> None:
        self.replicas = list(replicas)
        self.address = ""
        self.sent: Counter[str] = Counter()
        self._turn = 0

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    async def serve(self, client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        """One client's connection, with as many requests as it likes."""
        try:
            while await self._exchange(client, answers):
                pass
            answers.close()
        except BROKEN:
            answers.transport.abort()  # so that nobody takes half an answer for a whole one
        except asyncio.CancelledError:
            answers.transport.abort()

    async def _exchange(self, client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> bool:
        """Pass one request and its answer on. True when the connection may be used again."""
        first = await client.readexactly(1)
        if not first.isupper():  # as engines do that try TLS before they speak plain HTTP
            answers.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            return False
        head = first + await client.readuntil(b"\r\n\r\n")
        replica, requests = await self._connect()
        try:
            requests.write(one_request(head))
            sending = asyncio.create_task(self._send_body(head, client, requests))
            try:
                keep = await self._answer(head, replica, answers, sending)
                # Whoever answers before all was sent reads on for a while, so that the client can end.
                await asyncio.wait((sending,), timeout=LINGER)
                return keep and sending.done()
            finally:
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
        finally:
            requests.close()

    async def _send_body(
        self, head: bytes, client: asyncio.StreamReader, requests: asyncio.StreamWriter
    ) -> None:
        try:
            await pass_body(head, client, requests)
        except ValueError:
            return  # no chunk: the replica has seen it, and will say so
        except BROKEN:
            requests.close()  # as its client did

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The next replica that can be reached. Raises ConnectionError when there is none."""
        for _ in self.replicas:
            self._turn += 1
            address = self.replicas[self._turn % len(self.replicas)]
            host, port = address.split(":")
            try:
                opened = await asyncio.open_connection(host, int(port), limit=LONGEST_HEAD)
            except ConnectionRefusedError:
                continue
            self.sent[address] += 1
            return opened
        raise ConnectionError("no replica can be reached")

    async def _answer(
        self,
        request: bytes,
        replica: asyncio.StreamReader,
        answers: asyncio.StreamWriter,
        sending: "asyncio.Task[None]",
    ) -> bool:
        """Whether the client's connection is kept; the answer has told the client if it is not."""
        while True:
            head = await replica.readuntil(b"\r\n\r\n")
            status = int(head[9:12])
            if status >= 200:
                break
            answers.write(head)  # 100: the client may send its body
        await asyncio.wait((sending,), timeout=0.05)  # usually all was sent, and this task has yet to hear
        bodyless = request.startswith(b"HEAD ") or status in (204, 304)
        framed = bodyless or bool(CHUNKED.search(head) or LENGTH.search(head))
        wanted = b" HTTP/1.1\r\n" in request and not CLOSE.search(request)
        keep = framed and wanted and sending.done()
        answers.write(CONNECTION.sub(b"", head) if keep else one_request(head))
        if not bodyless:
            await pass_body(head, replica, answers, to_the_end=not framed)
        await answers.drain()
        return keep


def one_request(head: bytes) -> bytes:
    """A head that says that its connection serves for it alone."""
    return CONNECTION.sub(b"", head).replace(b"\r\n", b"\r\nConnection: close\r\n", 1)


async def pass_body(
    head: bytes, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, to_the_end: bool = False
) -> None:
    """Pass on the body that this head announces. Raises IncompleteReadError when it breaks off."""
    if CHUNKED.search(head):
        await pass_chunks(source, target)
    elif length := LENGTH.search(head):
        await pass_bytes(int(length[1]), source, target)
    elif to_the_end:
        while piece := await source.read(PIECE):
            target.write(piece)
            await target.drain()


async def pass_chunks(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """RFC 9112 section 7.1, as it comes."""
    while True:
        line = await source.readuntil(b"\r\n")
        target.write(line)
        size = int(line.split(b";")[0], 16)
        if size == 0:
            break
        await pass_bytes(size + 2, source, target)
    while (line := await source.readuntil(b"\r\n")) != b"\r\n":  # trailers
        target.write(line)
    target.write(line)
    await target.drain()


async def pass_bytes(count: int, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while count:
        piece = await source.read(min(count, PIECE))
        if not piece:
            raise asyncio.IncompleteReadError(b"", count)
        target.write(piece)
        await target.drain()
        count -= len(piece)


@contextmanager
def round_robin(replicas: Sequence[str]) -> Iterator[RoundRobin]:
    """Run the proxy before these replicas, in a thread with an event loop of its own."""
    robin = RoundRobin(replicas)
    ready, loop = threading.Event(), asyncio.new_event_loop()
    ended = asyncio.Event()

    async def serve() -> None:
        server = await asyncio.start_server(robin.serve, "127.0.0.1", 0, limit=LONGEST_HEAD)
        host, port = server.sockets[0].getsockname()
        robin.address = f"{host}:{port}"
        ready.set()
        await ended.wait()
        server.close()
        running = asyncio.all_tasks() - {asyncio.current_task()}
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await asyncio.sleep(0)  # transports close with the next turn of the loop

    thread = threading.Thread(target=loop.run_until_complete, args=[serve()])
    thread.start()
    try:
        assert ready.wait(10), "the round robin did not start"
        yield robin
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(10)
        loop.close()
