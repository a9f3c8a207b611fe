"""A small HTTP/1.1 client over one kept connection: cheap, because it shares the cores with the server.

`http.client` costs several times as much for each answer, which would be measured as the server's.
"""

import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from urllib.parse import urlsplit

RECEIVE_BYTES = 64 * 1024
STALL_SECONDS = 120
"""How long a server may keep a client waiting before the measurement has failed."""


class BenchmarkError(Exception):
    """A server did not do what is measured. The text says what it answered."""


@dataclass(frozen=True)
class Response:
    """An answer. Header names are in lower case; of repeated headers the last one is kept."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def expect(self, *statuses: int) -> "Response":
        """Itself, if the status is one of these; raises BenchmarkError otherwise."""
        if self.status not in statuses:
            raise BenchmarkError(f"answered {self.status} where {statuses} was due: {self.body[:300]!r}")
        return self

    @property
    def location(self) -> str:
        """Path and query of the Location header, which may be a whole URL."""
        parts = urlsplit(self.headers["location"])
        return f"{parts.path}?{parts.query}" if parts.query else parts.path


def with_digest(location: str, digest: str) -> str:
    """The URL that closes an upload. The Location of some registries has a query already."""
    return f"{location}{'&' if '?' in location else '?'}digest={digest}"


class Connection:
    """One connection to `host:port`, opened when it is needed, and again if the server closed it.

    Every request carries `headers`: that is where credentials go.
    """

    def __init__(self, address: str, headers: Mapping[str, str] | None = None) -> None:
        self.address = address
        self._headers = dict(headers or {})
        self._socket: socket.socket | None = None
        self._received = bytearray()

    def __enter__(self) -> "Connection":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._received.clear()

    def socket(self) -> socket.socket:
        """The open socket, to send a body by other means."""
        if self._socket is None:
            host, port = self.address.split(":")
            self._socket = socket.create_connection((host, int(port)))
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # Deadlines of the kernel, because Python's own make a socket non-blocking, which costs a poll
            # for each call and does not go with sendfile. A server that stalls is an OSError either way.
            for deadline in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                self._socket.setsockopt(socket.SOL_SOCKET, deadline, struct.pack("ll", STALL_SECONDS, 0))
        return self._socket

    def request(
        self, method: str, target: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Response:
        """Send a request with a body in memory, and read the whole answer."""
        given = dict(headers or {})
        if body or method in ("POST", "PUT", "PATCH"):
            given["Content-Length"] = str(len(body))
        self.send(self.head(method, target, given) + body)
        return self.answer(method)

    def head(self, method: str, target: str, headers: Mapping[str, str] | None = None) -> bytes:
        """The head of a request, to send it and its body by other means."""
        return head_of(method, target, self.address, {**self._headers, **(headers or {})})

    def send(self, data: bytes) -> None:
        self.socket().sendall(data)

    def answer(self, method: str) -> Response:
        """Read the answer to the request that was sent."""
        status, headers = self._answer_head()
        if method == "HEAD" or status in (204, 304):
            body = b""
        elif headers.get("transfer-encoding") == "chunked":
            body = self._chunked()
        else:
            body = self._exactly(int(headers["content-length"]))
        if headers.get("connection", "").lower() == "close":
            self.close()
        return Response(status, headers, body)

    def _answer_head(self) -> tuple[int, dict[str, str]]:
        """Status and headers of the answer; what came of the body stays to be read."""
        lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        return int(lines[0].split(" ", 2)[1]), headers

    def pull(self, target: str, length: int) -> None:
        """GET, check the length and forget the body, for as little CPU time as there is.

        MSG_TRUNC lets the kernel drop the bytes of a TCP stream without copying them (tcp(7)).
        """
        self.send(self.head("GET", target))
        status, headers = self._answer_head()
        if status != 200 or headers.get("content-length") != str(length):
            raise BenchmarkError(f"answered {status} with {headers}")
        early = min(length, len(self._received))
        del self._received[:early]
        remaining = length - early
        room = bytearray(4 * 1024 * 1024)
        connected = self.socket()
        while remaining:
            count = connected.recv_into(room, min(remaining, len(room)), socket.MSG_TRUNC)
            if not count:
                raise BenchmarkError(f"the connection ended {remaining} bytes before its body")
            remaining -= count

    def _receive(self) -> None:
        data = self.socket().recv(RECEIVE_BYTES)
        if not data:
            raise BenchmarkError(f"the connection ended within an answer, after {bytes(self._received)!r}")
        self._received += data

    def _until(self, mark: bytes) -> bytes:
        while (end := self._received.find(mark)) < 0:
            self._receive()
        found = bytes(self._received[:end])
        del self._received[: end + len(mark)]
        return found

    def _exactly(self, length: int) -> bytes:
        while len(self._received) < length:
            self._receive()
        found = bytes(self._received[:length])
        del self._received[:length]
        return found

    def _chunked(self) -> bytes:
        body = bytearray()
        while size := int(self._until(b"\r\n"), 16):
            body += self._exactly(size)
            self._exactly(2)
        self._exactly(2)
        return bytes(body)


def head_of(method: str, target: str, address: str, headers: Mapping[str, str]) -> bytes:
    """Request line and headers, up to and with the empty line."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {address}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")
