"""Resident memory of one process while many uploads go to S3 through it.

As in benchmarks.memory, but the figure is what counts for a limit on a process: the most that it ever had,
from its start on. Entrepot has a single worker here. The bytes are zeros, and while they come, their blocks
are freed again below the S3 server, so that a hundred uploads of 1 GiB need little room on the disk.
"""

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks import processes
from benchmarks.measure import MIB, Goal, Row, Server
from benchmarks.memory import UploadMemory
from benchmarks.on_s3 import ONE, EntrepotOnS3
from benchmarks.servers import RunningServer
from benchmarks.services import Services

DIG_SECONDS = 2
"""Between two looks for blocks to free."""


class OneWorker(EntrepotOnS3):
    """Entrepot with all uploads in one process. `stored` is where the S3 server keeps what comes."""

    stored: Path | None = None

    def __init__(self, services: Services | None = None) -> None:
        super().__init__(ONE, 1, services)

    def command(self, folder: Path, port: int) -> Sequence[str]:
        return [*super().command(folder, port), "--workers", "1"]

    def bound(self, services: Services) -> "OneWorker":
        self.stored = services.s3.folder
        return OneWorker(services)


class UploadMemoryOnS3(UploadMemory):
    """The most that the process of Entrepot had. It is held to a limit here, and not beside others."""

    on_s3 = True

    def __init__(self, name: str, uploads: int, size: int, seconds: float) -> None:
        super().__init__(uploads, size, seconds)
        self.name = name
        label = f"resident memory of a process, {uploads} uploads of {size // MIB} MiB at once"
        self._most = Row(label, "MiB", higher_is_better=False, goals=(Goal(512, server=ONE),))
        self.rows = (self._most,)
        self._block = bytes(MIB)
        self._server = OneWorker()

    def variant(self, server: Server) -> Server | None:
        return self._server if server.name == ONE else None

    def run(self, server: RunningServer) -> Mapping[Row, float]:
        assert self._server.stored is not None
        with _digging(self._server.stored):
            super().run(server)
        most = max(processes.peak_resident_bytes(process.pid) for process in server.processes)
        return {self._most: most / MIB}


@contextmanager
def _digging(folder: Path) -> Iterator[None]:
    """Free the blocks of zeros in large files below a folder, again and again (fallocate(1))."""
    ended = threading.Event()
    program = shutil.which("fallocate")

    def dig() -> None:
        while program and not ended.wait(DIG_SECONDS):
            for path in _allocated(folder):
                # Files come and go: one that is gone is as good.
                subprocess.run([program, "--dig-holes", path], stderr=subprocess.DEVNULL, check=False)

    digging = threading.Thread(target=dig)
    digging.start()
    try:
        yield
    finally:
        ended.set()
        digging.join()


def _allocated(folder: Path) -> Iterator[str]:
    """Files that take a MiB or more on the disk."""
    for above, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(above, name)
            try:
                blocks = os.stat(path).st_blocks
            except FileNotFoundError:
                continue
            if blocks * 512 >= MIB:
                yield path
