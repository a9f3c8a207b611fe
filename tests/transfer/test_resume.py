"""What was broken off goes on where it was, and nothing is sent twice."""

import os
import signal
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from registry.transfer.uploads import CHUNK_BYTES
from tests.engines.images import OCI_CONFIG, OCI_LAYER, Blob, assemble
from tests.engines.layouts import write_layout
from tests.engines.remote import Remote
from tests.support.server import ROOT, RunningRegistry, start_registry


class CountingProxy(socketserver.ThreadingTCPServer):
    """Forwards to `address`, counts what clients send, and calls `full` once when that is `limit` bytes."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, address: str) -> None:
        super().__init__(("127.0.0.1", 0), Forwarding)
        host, port = address.split(":")
        self.upstream = (host, int(port))
        self.address = f"127.0.0.1:{self.server_address[1]}"
        self.sent = 0
        self.limit: int | None = None
        self.full: Callable[[], None] = lambda: None
        self._lock = threading.Lock()

    def count(self, size: int) -> None:
        with self._lock:
            self.sent += size
            reached = self.limit is not None and self.sent >= self.limit
            if reached:
                self.limit = None
        if reached:
            self.full()


class Forwarding(socketserver.BaseRequestHandler):
    server: CountingProxy
    request: socket.socket

    def handle(self) -> None:
        with socket.create_connection(self.server.upstream, timeout=60) as upstream:
            threading.Thread(target=self._send, args=(upstream,), daemon=True).start()
            with suppress(OSError):
                while answer := upstream.recv(1 << 16):
                    self.request.sendall(answer)

    def _send(self, upstream: socket.socket) -> None:
        with suppress(OSError):  # one of the two has gone
            while data := self.request.recv(1 << 16):
                self.server.count(len(data))
                upstream.sendall(data)
            upstream.shutdown(socket.SHUT_WR)


@contextmanager
def counting_proxy(address: str) -> Iterator[CountingProxy]:
    with CountingProxy(address) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()


def importing(layout: Path, address: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "registry", "import", str(layout), "acme/large"]
    return subprocess.Popen(
        [*command, "--server", f"http://{address}", "--parallel", "1"], cwd=ROOT, stdout=subprocess.DEVNULL
    )


def test_an_import_goes_on_after_kill_9(tmp_path: Path) -> None:
    """A layer of two chunks and a half; the process dies while it sends the second one."""
    layer = Blob(OCI_LAYER, os.urandom(5 * CHUNK_BYTES // 2))
    image = assemble(Blob(OCI_CONFIG, b"{}"), [layer])
    layout = write_layout(tmp_path / "in", latest=image)
    running: RunningRegistry = start_registry(tmp_path / "data")
    try:
        with counting_proxy(running.address) as proxy:
            process = importing(layout, proxy.address)
            proxy.full = lambda: os.kill(process.pid, signal.SIGKILL)
            proxy.limit = 3 * CHUNK_BYTES // 2
            assert process.wait(60) == -signal.SIGKILL
            assert not Remote(running.address).has_blob("acme/large", layer.digest)

            proxy.sent = 0
            assert importing(layout, proxy.address).wait(60) == 0
            assert proxy.sent <= len(layer.data) - CHUNK_BYTES + 64 * 1024
        assert Remote(running.address).content("acme/large") == image
        assert not list((tmp_path / "state/entrepot/uploads").iterdir())
    finally:
        running.kill()
