"""Resident memory of many uploads that run together.

Every upload is one PATCH that announces its full length. All are fed in turn, a little at a time, at a rate
that keeps them together; after a while, or when all have been sent, the figure stands. Uploads that were sent
in full are closed with their digest, others are cut off with their connection.
"""

import hashlib
import os
import time
from collections.abc import Mapping

from benchmarks.client import BenchmarkError, Connection, with_digest
from benchmarks.measure import MIB, Goal, Measure, Row
from benchmarks.servers import RunningServer

BYTES_PER_SECOND = 2 * MIB
"""Of each upload."""
TICK_SECONDS = 0.05
SURELY_READ_BYTES = 12 * MIB
"""More than the socket buffers of both ends hold: an upload that got further is being read. All have to."""
REPOSITORY = "bench/together"


class UploadMemory(Measure):
    """The most that the processes of a server hold while all uploads run, less what they held idle."""

    name = "memory"
    repeated = False

    def __init__(self, uploads: int, size: int, seconds: float) -> None:
        self._uploads, self._size, self._seconds = uploads, size, seconds
        label = f"resident memory over idle, {uploads} uploads of {size // MIB} MiB at once"
        self._memory = Row(label, "MiB", higher_is_better=False, goals=(Goal(256),))
        self._idle = Row("resident memory, idle", "MiB", higher_is_better=False)
        self.rows = (self._memory, self._idle)
        self._block = os.urandom(MIB)

    def prepare(self, server: RunningServer) -> None:
        with Connection(server.address) as connection:
            connection.request("POST", f"/v2/{REPOSITORY}/blobs/uploads/").expect(202)

    def run(self, server: RunningServer) -> Mapping[Row, float]:
        idle = server.resident_bytes()
        connections = [Connection(server.address) for _ in range(self._uploads)]
        try:
            for connection in connections:
                started = connection.request("POST", f"/v2/{REPOSITORY}/blobs/uploads/").expect(202)
                headers = {"Content-Length": str(self._size), "Content-Type": "application/octet-stream"}
                connection.send(connection.head("PATCH", started.location, headers))
                connection.socket().setblocking(False)
            most, complete = self._feed(server, connections)
            if complete:
                digest = self._digest()
                for connection in connections:
                    connection.socket().setblocking(True)
                    patched = connection.answer("PATCH").expect(202)
                    # By the last of many the first connection has been idle for too long to be kept.
                    with Connection(server.address) as ending:
                        ending.request("PUT", with_digest(patched.location, digest)).expect(201)
                    most = max(most, server.resident_bytes())
        finally:
            for connection in connections:
                connection.close()
        return {self._memory: (most - idle) / MIB, self._idle: idle / MIB}

    def _feed(self, server: RunningServer, connections: list[Connection]) -> tuple[int, bool]:
        """Send to all in turn; the most resident bytes seen, and whether all was sent."""
        sockets = [connection.socket() for connection in connections]
        sent = [0] * len(sockets)
        most = 0
        start = time.perf_counter()
        while min(sent) < self._size:
            elapsed = time.perf_counter() - start
            if elapsed > self._seconds and min(sent) >= SURELY_READ_BYTES:
                break
            if elapsed > self._seconds * 10:
                raise BenchmarkError(f"an upload got no further than {min(sent)} bytes in {elapsed:.0f} s")
            due = min(self._size, int((elapsed + TICK_SECONDS) * BYTES_PER_SECOND))
            for number, connected in enumerate(sockets):
                try:
                    while sent[number] < due:
                        offset = sent[number] % MIB
                        sent[number] += connected.send(self._block[offset : offset + due - sent[number]])
                except BlockingIOError:
                    continue  # the server is behind: the next turn
            most = max(most, server.resident_bytes())
            time.sleep(max(0.0, TICK_SECONDS - (time.perf_counter() - start - elapsed)))
        return most, min(sent) == self._size

    def _digest(self) -> str:
        """The digest of every upload: the same block over and over."""
        whole = hashlib.sha256()
        for offset in range(0, self._size, MIB):
            whole.update(self._block[: self._size - offset])
        return f"sha256:{whole.hexdigest()}"
