"""A client for one registry: through aiohttp for what is valid HTTP, over a bare socket for what is not."""

import asyncio
import io
import socket
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager

from aiohttp import ClientSession, TCPConnector
from multidict import CIMultiDict
from yarl import URL

from tests.http.answers import Answer, check_invariants

Body = bytes | AsyncIterator[bytes] | None
GivenHeaders = Mapping[str, str] | Iterable[tuple[str, str]]


class Client:
    """Paths are sent as they are given, percent signs and all."""

    def __init__(self, session: ClientSession, port: int, trust: ssl.SSLContext | None = None) -> None:
        """`trust` tells which server to believe over TLS; None: not encrypted."""
        self._session = session
        self._trust = trust
        self._scheme = "http" if trust is None else "https"
        self.port = port

    async def request(
        self,
        method: str,
        path: str,
        body: Body = None,
        headers: GivenHeaders = (),
        *,
        skip: Iterable[str] = (),
    ) -> Answer:
        """The answer, which is checked for what holds of every answer. `skip`: header fields not to be
        added unasked. Without a body no Content-Type is sent."""
        url = URL(f"{self._scheme}://127.0.0.1:{self.port}{path}", encoded=True)
        async with self._session.request(
            method,
            url,
            data=io.BytesIO(body) if isinstance(body, bytes) else body,
            headers=CIMultiDict(headers),
            skip_auto_headers=["Content-Type", "User-Agent", "Accept", "Accept-Encoding", *skip],
            allow_redirects=False,
            ssl=self._trust or True,
        ) as response:
            answer = Answer(response.status, response.headers, await response.read())
        check_invariants(method, answer)
        return answer

    async def get(self, path: str, headers: GivenHeaders = ()) -> Answer:
        return await self.request("GET", path, headers=headers)

    async def head(self, path: str, headers: GivenHeaders = ()) -> Answer:
        return await self.request("HEAD", path, headers=headers)

    async def put(self, path: str, body: Body = None, headers: GivenHeaders = ()) -> Answer:
        return await self.request("PUT", path, body, headers)

    async def post(self, path: str, body: Body = None, headers: GivenHeaders = ()) -> Answer:
        return await self.request("POST", path, body, headers)

    async def patch(self, path: str, body: Body = None, headers: GivenHeaders = ()) -> Answer:
        return await self.request("PATCH", path, body, headers)

    async def delete(self, path: str, headers: GivenHeaders = ()) -> Answer:
        return await self.request("DELETE", path, headers=headers)

    @asynccontextmanager
    async def socket(self, receive_buffer: int | None = None) -> AsyncIterator["Socket"]:
        """A connection to send any bytes over. `receive_buffer` is in bytes; None: what the system likes."""
        opened = socket.socket()
        opened.setblocking(False)
        if receive_buffer is not None:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        await asyncio.get_running_loop().sock_connect(opened, ("127.0.0.1", self.port))
        host = None if self._trust is None else "127.0.0.1"
        reader, writer = await asyncio.open_connection(sock=opened, ssl=self._trust, server_hostname=host)
        try:
            yield Socket(reader, writer)
        finally:
            writer.close()

    async def exchange(self, data: bytes) -> Answer:
        """The first answer to these bytes."""
        async with self.socket() as opened:
            await opened.send(data)
            return await opened.answer()


class Socket:
    """A bare connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def line(self, seconds: float = 10) -> bytes:
        async with asyncio.timeout(seconds):
            return await self._reader.readline()

    async def answer(self, method: str = "GET", seconds: float = 10) -> Answer:
        """The next answer; it must come in time, and have its length."""
        async with asyncio.timeout(seconds):
            head = await self._reader.readuntil(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")[:-2]
            version, status, _ = lines[0].split(" ", 2)
            assert version == "HTTP/1.1", lines[0]
            fields = (line.split(": ", 1) for line in lines[1:])
            headers = CIMultiDict((name, value) for name, value in fields)
            bodyless = method == "HEAD" or status in ("204", "304")
            length = 0 if bodyless else int(headers["Content-Length"])
            answer = Answer(int(status), headers, await self._reader.readexactly(length))
        check_invariants(method, answer)
        return answer

    async def some(self, size: int, seconds: float = 10) -> bytes:
        """At most `size` bytes of what comes next. Raises EOFError at the end."""
        async with asyncio.timeout(seconds):
            data = await self._reader.read(size)
        if not data:
            raise EOFError("the server ended the connection")
        return data

    async def closed(self, seconds: float = 10) -> bool:
        """Whether the server ends the connection in time, and sends nothing before it does."""
        try:
            async with asyncio.timeout(seconds):
                return await self._reader.read(1) == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    def abort(self) -> None:
        """Vanish, as a client whose process was killed."""
        self._writer.transport.abort()


@asynccontextmanager
async def connected(port: int, trust: ssl.SSLContext | None = None) -> AsyncIterator[Client]:
    async with ClientSession(connector=TCPConnector(limit=0), auto_decompress=False) as session:
        yield Client(session, port, trust)
