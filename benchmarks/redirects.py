"""Pulls of a blob that lies in S3: the registry answers 307, and the client fetches it there.

What the registry does is measured alone, and then the whole of it: two requests on two kept connections.
"""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from benchmarks.client import BenchmarkError, Connection, head_of
from benchmarks.content import random_blob
from benchmarks.generator import answers_within
from benchmarks.measure import MIB, Goal, Measure, Row
from benchmarks.publishing import publish_blob
from benchmarks.rates import CONNECTIONS, HEADERS, REPOSITORY, WARM_UP_SECONDS
from benchmarks.servers import RunningServer

PULLERS = 8


class Redirects(Measure):
    """Answers per second with the server's CPU time for each, and pulls per second with the bytes from S3."""

    on_s3 = True

    def __init__(self, name: str, goals: tuple[Goal, ...], seconds: float) -> None:
        self.name = name
        label = "blob GET answered by 307"
        self._rate = Row(f"{label}, {CONNECTIONS} connections", "per s", goals=goals)
        self._cpu = Row(f"{label}: server CPU", "µs each", higher_is_better=False)
        self._whole = Row(f"1 MiB blob GET, followed to S3 by {PULLERS} pullers", "per s")
        self.rows = (self._rate, self._cpu, self._whole)
        self._seconds = seconds
        self._blob = random_blob(MIB)

    def prepare(self, server: RunningServer) -> None:
        publish_blob(server, REPOSITORY, self._blob)
        with server.connect(REPOSITORY) as connection:
            address, target = self._redirected(connection)
        with Connection(address) as storage:
            if storage.request("GET", target).expect(200).body != self._blob.data:
                raise BenchmarkError("other bytes than were pushed")
        self._generate(server, WARM_UP_SECONDS)
        self._pull_for(server, WARM_UP_SECONDS)

    def run(self, server: RunningServer) -> Mapping[Row, float]:
        cpu = server.cpu_seconds()
        count, elapsed = self._generate(server, self._seconds)
        cpu = server.cpu_seconds() - cpu
        start = time.perf_counter()
        pulls = self._pull_for(server, self._seconds)
        whole = pulls / (time.perf_counter() - start)
        return {self._rate: count / elapsed, self._cpu: cpu / count * 1e6, self._whole: whole}

    def _target(self) -> str:
        return f"/v2/{REPOSITORY}/blobs/{self._blob.digest}"

    def _generate(self, server: RunningServer, seconds: float) -> tuple[int, float]:
        headers = {**HEADERS, **server.credentials.headers(REPOSITORY)}
        request = head_of("GET", self._target(), server.address, headers)
        return answers_within(server.addresses, request, CONNECTIONS, seconds, status=307)

    def _redirected(self, connection: Connection) -> tuple[str, str]:
        """Address and target that the registry sends to."""
        answer = connection.request("GET", self._target()).expect(307)
        return urlsplit(answer.headers["location"]).netloc, answer.location

    def _pull_for(self, server: RunningServer, seconds: float) -> int:
        """Pull until `seconds` have passed; how often."""
        deadline = time.perf_counter() + seconds
        with ThreadPoolExecutor(PULLERS) as pool:
            pullers = [pool.submit(self._puller, server, deadline) for _ in range(PULLERS)]
            return sum(puller.result() for puller in pullers)

    def _puller(self, server: RunningServer, deadline: float) -> int:
        count = 0
        with server.connect(REPOSITORY) as connection:
            address, _ = self._redirected(connection)
            with Connection(address) as storage:
                while time.perf_counter() < deadline:
                    again, target = self._redirected(connection)
                    if again != address:
                        raise BenchmarkError(f"sent to {again}, and to {address} before")
                    storage.pull(target, len(self._blob.data))
                    count += 1
        return count
