"""Small reads per second: the same request again and again, on 32 kept connections.

The generator is one thread with epoll. It costs no more than `wrk`, and unlike it looks at every answer:
status 200, and as long as the first one, which was compared in full. And it can do HEAD: wrk 4.1 waits
for the body that the Content-Length of a HEAD announces, and counts no answer.
"""

import select
import socket
import time
from collections.abc import Mapping

from benchmarks.client import BenchmarkError, Connection, head_of
from benchmarks.content import ACCEPT, image_manifest, random_blob
from benchmarks.measure import Goal, Measure, Row
from benchmarks.publishing import publish_blob, publish_manifest
from benchmarks.servers import RunningServer

CONNECTIONS = 32
WARM_UP_SECONDS = 0.5
REPOSITORY = "bench/image"
LAYERS = 6


class RequestRate(Measure):
    """Answers per second to one request, and the server's CPU time for each."""

    registries_only = False

    def __init__(
        self, name: str, label: str, method: str, kind: str, goals: tuple[Goal, ...], seconds: float
    ) -> None:
        self.name = name
        self._rate = Row(label, "per s", goals=goals)
        self._cpu = Row(f"{label}: server CPU", "µs each", higher_is_better=False)
        self.rows = (self._rate, self._cpu)
        self._method, self._kind, self._seconds = method, kind, seconds
        self._config = random_blob(4096)
        self._layers = [random_blob(4096) for _ in range(LAYERS)]
        self._manifest = image_manifest(self._config, self._layers)

    def prepare(self, server: RunningServer) -> None:
        for blob in (self._config, *self._layers):
            publish_blob(server, REPOSITORY, blob)
        publish_manifest(server, REPOSITORY, "latest", self._manifest)
        content = self._manifest if self._kind == "manifest" else self._config.data
        with Connection(server.address) as connection:
            response = connection.request(self._method, self._target(), self._headers()).expect(200)
        if int(response.headers["content-length"]) != len(content):
            raise BenchmarkError(
                f"Content-Length is {response.headers['content-length']}, not {len(content)}"
            )
        if self._method == "GET" and response.body != content:
            raise BenchmarkError("other bytes than were pushed")
        self._generate(server.address, WARM_UP_SECONDS)

    def run(self, server: RunningServer) -> Mapping[Row, float]:
        cpu = server.cpu_seconds()
        count, elapsed = self._generate(server.address, self._seconds)
        return {self._rate: count / elapsed, self._cpu: (server.cpu_seconds() - cpu) / count * 1e6}

    def _target(self) -> str:
        if self._kind == "manifest":
            return f"/v2/{REPOSITORY}/manifests/latest"
        return f"/v2/{REPOSITORY}/blobs/{self._config.digest}"

    def _headers(self) -> dict[str, str]:
        return {"Accept": ACCEPT, "User-Agent": "entrepot-benchmarks"}

    def _generate(self, address: str, seconds: float) -> tuple[int, float]:
        """Answers within `seconds`, and how long it really took."""
        request = head_of(self._method, self._target(), address, self._headers())
        sockets = [_connect(address) for _ in range(CONNECTIONS)]
        try:
            return _exchange(sockets, request, _answer_length(sockets[0], request), seconds)
        finally:
            for one in sockets:
                one.close()


def _connect(address: str) -> socket.socket:
    host, port = address.split(":")
    connected = socket.create_connection((host, int(port)), timeout=10)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connected


def _answer_length(connected: socket.socket, request: bytes) -> int:
    """Bytes of one answer, headers and body: all that comes until it is silent for a while."""
    connected.sendall(request)
    answer = connected.recv(65536)
    connected.settimeout(0.2)
    try:
        while more := connected.recv(65536):
            answer += more
    except TimeoutError:
        return len(answer)
    raise BenchmarkError("the connection is not kept open")


def _exchange(sockets: list[socket.socket], request: bytes, length: int, seconds: float) -> tuple[int, float]:
    calls = {}
    begun: dict[int, bytes] = {}
    count = 0
    with select.epoll() as poll:
        for one in sockets:
            one.setblocking(False)
            calls[one.fileno()] = (one.recv, one.send)
            poll.register(one, select.EPOLLIN)
        start = now = time.perf_counter()
        for one in sockets:
            one.send(request)
        while (now := time.perf_counter()) < start + seconds:
            ready = poll.poll(10)
            if not ready:
                raise BenchmarkError("no answer within 10 s")
            for descriptor, _ in ready:
                receive, send = calls[descriptor]
                answer = receive(65536)
                if len(answer) != length:
                    if not answer:
                        raise BenchmarkError("the server closed a kept connection")
                    answer = begun.pop(descriptor, b"") + answer
                    if len(answer) < length:
                        begun[descriptor] = answer
                        continue
                if len(answer) != length or not answer.startswith(b"HTTP/1.1 200 "):
                    raise BenchmarkError(f"an answer of {len(answer)} bytes, not {length}: {answer[:300]!r}")
                count += 1
                send(request)
    return count, now - start
