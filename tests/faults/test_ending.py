"""SIGTERM, SIGKILL of one worker, and a port that is taken."""

import http.client
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import psutil
import pytest

from conformance.client import Client, with_query
from conformance.content import random_bytes
from tests.faults.conftest import Serve
from tests.faults.journal import audit
from tests.faults.pusher import OCTETS, Pusher, expect, image_of
from tests.support.server import RunningRegistry

PIECE = 20_000


class SlowBody:
    """A body that its reader takes in pieces, the last of them only when `go_on` is set."""

    def __init__(self, pieces: int) -> None:
        self.content = random_bytes(pieces * PIECE)
        self.begun = threading.Event()
        self.go_on = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        for at in range(0, len(self.content), PIECE):
            yield self.content[at : at + PIECE]
            self.begun.set()
            if at + 2 * PIECE >= len(self.content):
                self.go_on.wait(60)


class Uploading(threading.Thread):
    """One request with a slow body, on a connection of its own."""

    def __init__(self, address: str, method: str, target: str, body: SlowBody) -> None:
        super().__init__(daemon=True)
        self._request = (address, method, target)
        self.body = body
        self.status: int | None = None
        self.location = ""
        self.connection_field: str | None = None
        self.start()
        assert body.begun.wait(10)
        time.sleep(0.2)  # the first bytes are with the server

    def run(self) -> None:
        address, method, target = self._request
        with closing(http.client.HTTPConnection(address, timeout=60)) as connection:
            headers = {**OCTETS, "Content-Length": str(len(self.body.content))}
            with suppress(OSError, http.client.HTTPException):
                connection.request(method, target, iter(self.body), headers)
                answer = connection.getresponse()
                self.location = answer.headers.get("Location", "")
                self.connection_field = answer.headers.get("Connection")
                self.status = answer.status


def stopped_listening(address: str) -> bool:
    host, port = address.split(":")
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        with closing(http.client.HTTPConnection(host, int(port), timeout=2)) as connection:
            try:
                connection.connect()
            except ConnectionRefusedError:
                return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("workers", [1, 2])
def test_running_uploads_finish(serve: Serve, workers: int) -> None:
    running = serve(workers=workers)
    pusher = Pusher(Client(running.url), "some/image")
    patch, put, post = (SlowBody(5) for _ in range(3))
    session, whole = pusher.open_session(patch.content), pusher.open_session(put.content)
    target = pusher.path("blobs", f"uploads/?digest={pusher.open_session(post.content).digest}")
    uploads = [
        Uploading(running.address, "PATCH", session.location, patch),
        Uploading(running.address, "PUT", with_query(whole.location, digest=whole.digest), put),
        Uploading(running.address, "POST", target, post),
    ]
    running.process.terminate()
    assert stopped_listening(running.address)
    assert running.process.poll() is None
    for upload in uploads:
        upload.body.go_on.set()
        upload.join(20)
    assert [upload.status for upload in uploads] == [202, 201, 201]
    assert {upload.connection_field for upload in uploads} == {"close"}
    assert running.process.wait(5) == 0
    assert "Traceback" not in running.log

    running = serve(workers=workers)  # and all of it is there
    pusher.client = Client(running.url)
    session.location, session.acknowledged = uploads[0].location, len(patch.content)
    pusher.finish(session)
    for body in (patch, put, post):
        digest = pusher.open_session(body.content).digest
        answer = pusher.client.request("GET", pusher.path("blobs", digest))
        assert answer.body == body.content
    assert running.stop() == 0
    audit(running.data)


def test_a_limit_to_draining(serve: Serve) -> None:
    running = serve(workers=2, environment={"ENTREPOT_SERVER__DRAIN_SECONDS": "1"})
    pusher = Pusher(Client(running.url), "some/image")
    body = SlowBody(5)
    session = pusher.open_session(body.content)
    upload = Uploading(running.address, "PATCH", session.location, body)
    began = time.monotonic()
    assert running.stop(15) == 0
    assert 0.9 < time.monotonic() - began < 8
    body.go_on.set()
    upload.join(10)
    assert upload.status is None

    running = serve(workers=2)  # what had come is kept: the end of the process is like any other cut
    pusher.client = Client(running.url)
    pusher.wait_for(session, 4 * PIECE)
    pusher.finish(session)
    pusher.journal.verify(pusher.client)


@pytest.mark.parametrize("workers", [1, 2])
def test_idle_connections_do_not_hold_it_up(serve: Serve, workers: int) -> None:
    running = serve(workers=workers)
    idle = [http.client.HTTPConnection(running.address, timeout=10) for _ in range(20)]
    for number, connection in enumerate(idle):
        connection.connect()
        if number % 4:  # the others never send anything
            connection.request("GET", "/v2/")
            assert connection.getresponse().read() == b"{}"
    began = time.monotonic()
    assert running.stop(20) == 0
    assert time.monotonic() - began < 5
    for connection in idle:
        connection.close()


def workers_of(running: RunningRegistry) -> list[psutil.Process]:
    return list(psutil.Process(running.process.pid).children())


def test_a_killed_worker_is_replaced(serve: Serve) -> None:
    running = serve(workers=2, environment={"ENTREPOT_UPLOADS__LEASE_SECONDS": "1"})
    pusher = Pusher(Client(running.url), "some/image")
    sessions = [pusher.open_session(random_bytes(50_000)) for _ in range(8)]
    for session in sessions:
        pusher.append(session, 30_000)
    for round_ in range(2):
        before = workers_of(running)
        os.kill(before[0].pid, signal.SIGKILL)
        # Requests that find no worker wait in the queue of its socket; none is refused.
        content = b'{"round":%d}' % round_
        pusher.push_whole(content)
        pusher.put_manifest(image_of(content), f"round{round_}")
        for session in sessions:
            pusher.append(session, 40_000 + 5_000 * round_)
        pusher.journal.verify(pusher.client)
        assert all(pusher.client.request("GET", "/v2/").status == 200 for _ in range(20))
        after = workers_of(running)
        assert len(after) == 2
        assert {one.pid for one in after} != {one.pid for one in before}
    for session in sessions:
        pusher.finish(session)
    pusher.journal.verify(pusher.client)
    assert running.stop() == 0
    audit(running.data)


def test_the_whole_group_ends_with_the_supervisor(serve: Serve) -> None:
    """Workers whose supervisor was killed end by themselves: nobody would replace or stop them."""
    running = serve(workers=2)
    orphans = workers_of(running)
    running.process.kill()
    running.process.wait(10)
    _, alive = psutil.wait_procs(orphans, timeout=10)
    assert alive == []
    running = serve(workers=2)
    expect(Client(running.url).request("GET", "/v2/"), 200)


def test_a_port_that_is_taken(serve: Serve, tmp_path: Path) -> None:
    running = serve()
    port = int(running.address.split(":")[1])
    second = serve(tmp_path / "other", port=port, wait=False)
    assert second.process.wait(20) == 2
    assert f"can't listen on 127.0.0.1 port {port}: Address already in use" in second.log
    assert "Traceback" not in second.log
    assert all(running.answers() for _ in range(5))
    assert running.stop() == 0
