"""Clients that leave in the middle of a body: what came is kept and told, and nothing is taken for whole."""

import re
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from conformance.client import Client, with_query
from conformance.content import digest_of, random_bytes
from tests.faults.conftest import serving
from tests.faults.pusher import Pusher, Session, image_of
from tests.faults.sockets import connect, head
from tests.support.server import RunningRegistry

pytestmark = pytest.mark.xdist_group(
    "broken_connections"
)  # one process, and so one registry, for all of them

CONTENT = random_bytes(900_000)
DIGEST = digest_of(CONTENT)
SENT = 600_000


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    with serving(tmp_path_factory.mktemp("broken") / "data", workers=2) as running:
        yield running
        assert re.search(r" 5[0-9][0-9] [0-9]+ [0-9.]+s ", running.log) is None, running.log


def send_and_leave(client: Client, session: Session, framing: str, leave: str) -> None:
    """PATCH a part of what is announced, and go: politely (FIN) or not (RST)."""
    body = CONTENT[:SENT]
    if framing == "chunked":
        message = head("PATCH", session.location, "Transfer-Encoding: chunked")
        message += b"%x\r\n%b\r\n%x\r\n" % (SENT - 1000, body[:-1000], 5000) + body[-1000:]
    else:
        message = head("PATCH", session.location, f"Content-Length: {len(CONTENT)}") + body
    with connect(client.url) as connection:
        connection.sendall(message)
        time.sleep(0.5)  # an RST also takes back what the server has not read yet
        if leave == "RST":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize("leave", ["FIN", "RST"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_patch_cut_off(running: RunningRegistry, framing: str, leave: str) -> None:
    pusher = Pusher(Client(running.url), "some/image")
    session = pusher.open_session(CONTENT)
    send_and_leave(pusher.client, session, framing, leave)
    pusher.wait_for(session, SENT)
    pusher.append(session, 800_000)
    pusher.finish(session)
    pusher.journal.verify(pusher.client)
    assert_nothing_staged(running.data)


def half_closed(url: str, message: bytes) -> bytes:
    """Send a message that is too short, say that nothing follows, and read what is answered."""
    answer = b""
    with connect(url) as connection:
        connection.sendall(message)
        connection.shutdown(socket.SHUT_WR)
        while piece := connection.recv(1 << 16):
            answer += piece
    return answer


@pytest.mark.parametrize("how", ["PATCH", "PUT", "POST", "manifest"])
def test_body_shorter_than_announced(running: RunningRegistry, how: str) -> None:
    pusher = Pusher(Client(running.url), "some/image")
    pusher.push_whole(b"{}")
    manifest = image_of(b"{}")
    session = pusher.open_session(CONTENT)
    target, body = {
        "PATCH": (session.location, CONTENT),
        "PUT": (with_query(session.location, digest=digest_of(CONTENT[:SENT])), CONTENT),
        "POST": (pusher.path("blobs", f"uploads/?digest={digest_of(CONTENT[:SENT])}"), CONTENT),
        "manifest": (pusher.path("manifests", "tag"), manifest.body),
    }[how]
    method = "PUT" if how == "manifest" else how
    length = len(body) + 1 if how == "manifest" else len(body)
    message = head(method, target, f"Content-Length: {length}", f"Content-Type: {manifest.media_type}")
    answer = half_closed(running.url, message + body[:SENT])
    assert answer[:12] in (b"", b"HTTP/1.1 400"), answer

    # The bytes that came had the right digest, and are not a blob for all that.
    assert pusher.client.request("HEAD", pusher.path("blobs", digest_of(CONTENT[:SENT]))).status == 404
    assert pusher.client.request("HEAD", pusher.path("manifests", "tag")).status == 404
    if how in ("PATCH", "PUT"):
        pusher.wait_for(session, SENT)
    if how == "POST":
        assert_nothing_staged(running.data)
    pusher.finish(session)
    pusher.journal.verify(pusher.client)
    assert_nothing_staged(running.data)


def assert_nothing_staged(data: Path) -> None:
    deadline = time.monotonic() + 10
    while (staged := list((data / "storage" / "staging").iterdir())) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert staged == []
