"""Pushes of large blobs: POST, one PATCH with the whole body, an empty PUT.

Each body is new to the server. The clock runs from the POST to the 201 after the PUT, and CPU time is read
then.
"""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from benchmarks.client import BenchmarkError
from benchmarks.content import LargeContent
from benchmarks.measure import Goal, Measure, Row
from benchmarks.publishing import blob_length, push_large
from benchmarks.servers import RunningServer


class LargePush(Measure):
    """MB per second of `count` pushes at once, and the server's CPU seconds per GB."""

    with_accounts = True

    def __init__(
        self, name: str, label: str, count: int, size: int, goals: tuple[Goal, ...], *, chunked: bool = False
    ) -> None:
        self.name = name
        self._speed = Row(label, "MB/s", goals=goals)
        self._cpu = Row(
            f"{label}: server CPU", "s/GB", higher_is_better=False, goals=(Goal(0.4, "docker-registry"),)
        )
        self.rows = (self._speed, self._cpu)
        self._count = count
        self._content = LargeContent(size, chunked=chunked)

    def close(self) -> None:
        self._content.close()

    def prepare(self, server: RunningServer) -> None:
        self.run(server)

    def run(self, server: RunningServer) -> Mapping[Row, float]:
        connections = [server.connect(f"bench/push-{number}") for number in range(self._count)]
        bodies = [self._content.new_tail() for _ in range(self._count)]
        for connection in connections:
            connection.request("GET", "/v2/").expect(200)
        with ThreadPoolExecutor(self._count) as pool:
            cpu, start = server.cpu_seconds(), time.perf_counter()
            pushes = [
                pool.submit(push_large, connection, f"bench/push-{number}", self._content, *body)
                for number, (connection, body) in enumerate(zip(connections, bodies, strict=True))
            ]
            for push in pushes:
                push.result()
            elapsed, cpu = time.perf_counter() - start, server.cpu_seconds() - cpu
        for connection, (_, digest), number in zip(connections, bodies, range(self._count), strict=True):
            length = blob_length(connection, f"bench/push-{number}", digest)
            connection.close()
            if length != self._content.size:
                raise BenchmarkError(f"the blob has {length} bytes")
        total = self._count * self._content.size
        return {self._speed: total / 1e6 / elapsed, self._cpu: cpu / (total / 1e9)}
