"""Peers that keep the registry waiting: they lose, and nobody else waits with them."""

import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest

from conformance.client import Client, with_query
from conformance.content import random_bytes
from tests.faults.conftest import Serve, ended_well, serving
from tests.faults.pusher import Pusher, image_of
from tests.faults.sockets import connect, head
from tests.support.server import RunningRegistry

HEADER_SECONDS, IDLE_SECONDS = 1.0, 1.5
DEADLINES = {
    "ENTREPOT_SERVER__HEADER_SECONDS": str(HEADER_SECONDS),
    "ENTREPOT_SERVER__IDLE_SECONDS": str(IDLE_SECONDS),
    "ENTREPOT_SERVER__KEEPALIVE_SECONDS": "2",
}
SLACK = 2.0
"""Seconds that a busy machine may be late."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    """A registry of little patience."""
    with serving(tmp_path_factory.mktemp("slow") / "data", settings=DEADLINES) as running:
        yield running


def seconds_until_closed(connection: socket.socket, drip: bytes = b"", limit: float = 20) -> float:
    """How long the server keeps a connection on which nothing more comes, or a byte from time to time."""
    connection.settimeout(0.2)
    began = time.monotonic()
    while time.monotonic() - began < limit:
        try:
            if drip:
                connection.sendall(drip)
            if not connection.recv(1 << 16):
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - began


@pytest.mark.parametrize(
    ("begin", "drip"),
    [
        (b"", b""),
        (b"GET /v2/ HT", b""),
        (b"GET /v2/ HTTP/1.1\r\nHost: registry\r\nX-Slow: ", b"x"),
        (b"GET /v2/ HTTP/1.1\r\nHost: registry\r\n\r\nGET /v2/ HTTP/1.1\r\nHost:", b""),
    ],
    ids=["silence", "half a line", "dripping header", "half a second request"],
)
def test_header_deadline(running: RunningRegistry, begin: bytes, drip: bytes) -> None:
    with connect(running.url) as connection:
        connection.sendall(begin)
        assert seconds_until_closed(connection, drip) < HEADER_SECONDS + SLACK


def test_a_body_that_stands_still(running: RunningRegistry) -> None:
    """It is cut off like any other, and what came is kept."""
    pusher = Pusher(Client(running.url), "some/image")
    session = pusher.open_session(random_bytes(500_000))
    with connect(running.url) as connection:
        connection.sendall(head("PATCH", session.location, "Content-Length: 500000"))
        connection.sendall(session.content[:200_000])
        assert IDLE_SECONDS - 0.5 < seconds_until_closed(connection) < IDLE_SECONDS + SLACK
    pusher.wait_for(session, 200_000)
    pusher.finish(session)
    pusher.journal.verify(pusher.client)


def test_a_reader_that_stands_still(running: RunningRegistry) -> None:
    pusher = Pusher(Client(running.url), "some/image")
    digest = pusher.push_whole(random_bytes(20_000_000))
    with connect(running.url) as connection:
        connection.sendall(head("GET", pusher.path("blobs", digest), "Accept: */*"))
        time.sleep(IDLE_SECONDS + SLACK)
        received = 0
        with suppress(ConnectionResetError):
            while piece := connection.recv(1 << 16):
                received += len(piece)
        assert received < 20_000_000
    pusher.journal.verify(pusher.client)


def test_a_slow_upload_that_goes_on(running: RunningRegistry) -> None:
    """There is no limit on the whole time of a request."""
    pusher = Pusher(Client(running.url), "some/image")
    session = pusher.open_session(random_bytes(20))
    with connect(running.url) as connection:
        target = with_query(session.location, digest=session.digest)
        connection.sendall(head("PUT", target, "Content-Length: 20"))
        began = time.monotonic()
        for byte in session.content:
            time.sleep(0.2)
            connection.sendall(bytes([byte]))
        assert time.monotonic() - began > 2 * IDLE_SECONDS
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 201 ")
    answer = pusher.client.request("GET", pusher.path("blobs", session.digest))
    assert answer.body == session.content


def test_a_slow_download_that_goes_on(running: RunningRegistry) -> None:
    pusher = Pusher(Client(running.url), "some/image")
    content = random_bytes(12_000_000)
    digest = pusher.push_whole(content)
    with connect(running.url) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        connection.sendall(head("GET", pusher.path("blobs", digest), "Connection: close"))
        received = bytearray()
        began = time.monotonic()
        while piece := connection.recv(1 << 18):
            received += piece
            if time.monotonic() - began < 3 * IDLE_SECONDS:
                time.sleep(0.2)
    assert received.endswith(content)


class Stalled:
    """Three hundred connections that never get anywhere: half headers, dripping bodies, deaf readers."""

    COUNT = 300

    def __init__(self, pusher: Pusher, digest: str) -> None:
        self._drips: list[socket.socket] = []
        self._ended = threading.Event()
        self._open = ExitStack()
        for number in range(self.COUNT):
            connection = self._open.enter_context(connect(pusher.client.url))
            if number % 3 == 0:
                connection.sendall(b"GET /v2/ HTTP/1.1\r\nHost: reg")
            elif number % 3 == 1:
                session = pusher.open_session(b"")
                connection.sendall(head("PATCH", session.location, "Content-Length: 1000000"))
                self._drips.append(connection)
            else:
                connection.sendall(head("GET", pusher.path("blobs", digest), "Accept: */*"))
        self._thread = threading.Thread(target=self._drip)

    def __enter__(self) -> "Stalled":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._open.close()

    def _drip(self) -> None:
        while not self._ended.wait(0.5):
            for connection in self._drips:
                connection.send(b"x")


def p99(work: Callable[[int], object], count: int = 300) -> float:
    """Seconds that the slowest but a hundredth of the calls take."""
    taken = []
    for number in range(count):
        began = time.perf_counter()
        work(number)
        taken.append(time.perf_counter() - began)
    return statistics.quantiles(taken, n=100)[-1]


def test_others_do_not_wait(serve: Serve) -> None:
    running = serve(workers=2)
    pusher = Pusher(Client(running.url), "some/image")
    layer = random_bytes(20_000_000)
    digest = pusher.push_whole(layer)
    manifest = image_of(b"{}", layer)
    pusher.push_whole(b"{}")
    pusher.put_manifest(manifest, "tag")

    def work(number: int) -> None:
        target = pusher.path("manifests", "tag") if number % 2 else pusher.path("blobs", manifest_config)
        assert pusher.client.request("GET", target).status == 200
        if number % 30 == 0:
            pusher.push_whole(random_bytes(1000))

    manifest_config = pusher.push_whole(b"{}")
    attempts = []
    for _ in range(3):  # a busy machine has bad moments of its own
        normal = p99(work)
        with Stalled(pusher, digest):
            attempts.append((normal, p99(work)))
        if attempts[-1][1] < 2 * normal:
            break
    else:
        pytest.fail(f"p99 without and with {Stalled.COUNT} stalled connections: {attempts}")
    pusher.journal.verify(pusher.client)
    ended_well(running)
