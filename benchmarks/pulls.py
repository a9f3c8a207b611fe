"""Pulls of a large blob, on one connection and on several at once.

The client tells the kernel to drop what it received, so that nearly all CPU time is the server's. The number
of bytes is checked each time, the digest once before.
"""

import hashlib
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from benchmarks.client import BenchmarkError, Connection
from benchmarks.content import LargeContent
from benchmarks.measure import Goal, Measure, Row
from benchmarks.publishing import publish_large
from benchmarks.servers import RunningServer

REPOSITORY = "bench/large"
PULLS = 8
"""Pulls in a round, shared among the connections: 2 GiB, since CPU time is told in steps of 10 ms."""


class LargePull(Measure):
    """GB per second over `connections`, and the server's CPU seconds per GB."""

    registries_only = False

    def __init__(self, connections: int, size: int) -> None:
        self.name = f"pull-{connections}"
        label = f"{size >> 20} MiB blob GET, {connections} connection{'s' if connections > 1 else ''}"
        self._speed = Row(label, "GB/s", goals=(Goal(1.0, "zot"),))
        self._cpu = Row(f"{label}: server CPU", "s/GB", higher_is_better=False, goals=(Goal(1.5, "nginx"),))
        self.rows = (self._speed, self._cpu)
        self._connections = connections
        self._content = LargeContent(size)
        self._tail, self._digest = self._content.new_tail()

    def close(self) -> None:
        self._content.close()

    def prepare(self, server: RunningServer) -> None:
        publish_large(server, REPOSITORY, self._content, self._tail, self._digest)
        with Connection(server.address) as connection:
            body = connection.request("GET", self._target()).expect(200).body
        if f"sha256:{hashlib.sha256(body).hexdigest()}" != self._digest:
            raise BenchmarkError("other bytes than were pushed")

    def run(self, server: RunningServer) -> Mapping[Row, float]:
        connections = [Connection(server.address) for _ in range(self._connections)]
        with ThreadPoolExecutor(self._connections) as pool:
            for connection in connections:
                connection.request("HEAD", self._target()).expect(200)
            cpu, start = server.cpu_seconds(), time.perf_counter()
            list(pool.map(self._pull, connections))
            elapsed, cpu = time.perf_counter() - start, server.cpu_seconds() - cpu
        for connection in connections:
            connection.close()
        gigabytes = PULLS * self._content.size / 1e9
        return {self._speed: gigabytes / elapsed, self._cpu: cpu / gigabytes}

    def _target(self) -> str:
        return f"/v2/{REPOSITORY}/blobs/{self._digest}"

    def _pull(self, connection: Connection) -> None:
        for _ in range(PULLS // self._connections):
            connection.pull(self._target(), self._content.size)
