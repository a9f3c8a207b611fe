"""Small images pushed by several clients at once: what a busy CI does, and what commits and fsyncs cost."""

import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from benchmarks.content import image_manifest, random_blob
from benchmarks.measure import Goal, Measure, Row
from benchmarks.publishing import push_blob, push_manifest
from benchmarks.servers import RunningServer

PUSHERS = 8
BLOB_BYTES = 4096


class SmallImages(Measure):
    """Images per second: two new blobs of 4 KiB (POST and PUT each), then a manifest under a new tag.

    Each pusher has a kept connection and a repository of its own.
    """

    with_accounts = True

    def __init__(self, name: str, seconds: float) -> None:
        self.name = name
        self._seconds = seconds
        label = f"small images from {PUSHERS} pushers"
        self._rate = Row(label, "per s", goals=(Goal(3.0, "docker-registry"),))
        self._cpu = Row(f"{label}: server CPU", "ms each", higher_is_better=False)
        self.rows = (self._rate, self._cpu)
        self._run_number = 0

    def prepare(self, server: RunningServer) -> None:
        self._push_for(server, 1.0)

    def run(self, server: RunningServer) -> Mapping[Row, float]:
        cpu, start = server.cpu_seconds(), time.perf_counter()
        count = self._push_for(server, self._seconds)
        elapsed, cpu = time.perf_counter() - start, server.cpu_seconds() - cpu
        return {self._rate: count / elapsed, self._cpu: cpu / count * 1e3}

    def _push_for(self, server: RunningServer, seconds: float) -> int:
        """Push until `seconds` have passed; the number of images."""
        self._run_number += 1
        deadline = time.perf_counter() + seconds
        failed = threading.Event()
        with ThreadPoolExecutor(PUSHERS) as pool:
            pushers = [
                pool.submit(self._pusher, server, number, deadline, failed) for number in range(PUSHERS)
            ]
            return sum(pusher.result() for pusher in pushers)

    def _pusher(self, server: RunningServer, number: int, deadline: float, failed: threading.Event) -> int:
        repository = f"bench/pusher-{number}"
        count = 0
        try:
            with server.connect(repository) as connection:
                while time.perf_counter() < deadline and not failed.is_set():
                    config, layer = random_blob(BLOB_BYTES), random_blob(BLOB_BYTES)
                    push_blob(connection, repository, config)
                    push_blob(connection, repository, layer)
                    manifest = image_manifest(config, [layer])
                    push_manifest(connection, repository, f"build-{self._run_number}-{count}", manifest)
                    count += 1
        except BaseException:
            failed.set()
            raise
        return count
