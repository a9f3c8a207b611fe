"""What was broken off goes on where it was, and nothing is sent twice."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from registry.transfer.uploads import CHUNK_BYTES
from tests.engines.images import OCI_CONFIG, OCI_LAYER, Blob, assemble
from tests.engines.layouts import write_layout
from tests.engines.remote import Remote
from tests.support.forwarding import Proxy, in_a_thread
from tests.support.server import ROOT, RunningRegistry, start_registry


class CountingProxy(Proxy):
    """Counts what clients send, and calls `full` once when that is `limit` bytes."""

    def __init__(self, upstream: str) -> None:
        super().__init__(upstream)
        self.total = 0
        self.limit: int | None = None
        self.full: Callable[[], None] = lambda: None
        self._lock = threading.Lock()

    def sent(self, size: int) -> None:
        with self._lock:
            self.total += size
            reached = self.limit is not None and self.total >= self.limit
            if reached:
                self.limit = None
        if reached:
            self.full()


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
        with in_a_thread(CountingProxy(running.address)) as proxy:
            process = importing(layout, proxy.address)
            proxy.full = lambda: os.kill(process.pid, signal.SIGKILL)
            proxy.limit = 3 * CHUNK_BYTES // 2
            assert process.wait(60) == -signal.SIGKILL
            assert not Remote(running.address).has_blob("acme/large", layer.digest)

            proxy.total = 0
            assert importing(layout, proxy.address).wait(60) == 0
            assert proxy.total <= len(layer.data) - CHUNK_BYTES + 64 * 1024
        assert Remote(running.address).content("acme/large") == image
        assert not list((tmp_path / "state/entrepot/uploads").iterdir())
    finally:
        running.kill()
