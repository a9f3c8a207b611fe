"""Pages of long lists: 100 tags of 10,000 in one repository, 100 repositories of 10,000.

One kept connection asks for the same page again and again. Every page is checked in full. Filling a server
goes through its API and is not timed, but has a limit: a server that slows down as a list grows is left out.
"""

import json
import math
import time
from abc import abstractmethod
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from statistics import median

from benchmarks.client import BenchmarkError, Connection
from benchmarks.content import image_manifest, random_blob
from benchmarks.measure import Goal, Measure, Row
from benchmarks.publishing import push_blob, push_manifest
from benchmarks.servers import RunningServer

PAGE = 100
FILL_SECONDS = 600
FILLERS = 8


class ListPages(Measure):
    """Median and 99th percentile of the time of a page of 100: at the start, in the middle, at the end."""

    key: str
    """The member of the answer that holds the list."""

    def __init__(self, label: str, length: int, seconds: float) -> None:
        self._length, self._seconds = length, seconds
        self._names = [f"name-{number:06}" for number in range(length)]
        self._first = {"start": 0, "middle": length // 2, "end": length - PAGE}
        self._times = {
            place: tuple(
                Row(f"{PAGE} of {length} {label}, {place}, {what}", "ms", False, (Goal(10.0),))
                for what in ("median", "p99")
            )
            for place in self._first
        }
        self.rows = tuple(row for rows in self._times.values() for row in rows)
        self._blob = random_blob(4096)
        self._manifest = image_manifest(self._blob, [self._blob])

    @abstractmethod
    def _target(self) -> str:
        """The path of the list."""

    @abstractmethod
    def _fill_one(self, connection: Connection, name: str) -> None:
        """Make the list longer by a name."""

    def prepare(self, server: RunningServer) -> None:
        deadline = time.perf_counter() + FILL_SECONDS
        with ThreadPoolExecutor(FILLERS) as pool:
            fillers = [pool.submit(self._fill, server, number, deadline) for number in range(FILLERS)]
            filled = sum(filler.result() for filler in fillers)
        if filled < self._length:
            raise BenchmarkError(f"took {filled} of {self._length} names in {FILL_SECONDS} s")
        with Connection(server.address) as connection:
            for place in self._first:
                self._check(self._page(connection, place), place)

    def _fill(self, server: RunningServer, filler: int, deadline: float) -> int:
        count = 0
        with Connection(server.address) as connection:
            for name in self._names[filler::FILLERS]:
                if time.perf_counter() > deadline:
                    break
                self._fill_one(connection, name)
                count += 1
        return count

    def run(self, server: RunningServer) -> Mapping[Row, float]:
        figures = {}
        with Connection(server.address) as connection:
            for place, (middle, high) in self._times.items():
                times = self._times_of(connection, place)
                figures[middle] = median(times) * 1e3
                figures[high] = sorted(times)[math.ceil(len(times) * 0.99) - 1] * 1e3
        return figures

    def _times_of(self, connection: Connection, place: str) -> list[float]:
        """How long each of as many pages took as fit into the time, but ten at least. Seconds."""
        times: list[float] = []
        begin = time.perf_counter()
        while len(times) < 10 or time.perf_counter() - begin < self._seconds:
            start = time.perf_counter()
            body = self._page(connection, place)
            times.append(time.perf_counter() - start)
            self._check(body, place)
        return times

    def _page(self, connection: Connection, place: str) -> bytes:
        first = self._first[place]
        last = f"&last={self._names[first - 1]}" if first else ""
        return connection.request("GET", f"{self._target()}?n={PAGE}{last}").expect(200).body

    def _check(self, body: bytes, place: str) -> None:
        names = json.loads(body)[self.key]
        if names != self._names[self._first[place] : self._first[place] + PAGE]:
            raise BenchmarkError(f"a page of {PAGE} has {len(names)} names, from {names[:1]} to {names[-1:]}")


class TagPages(ListPages):
    """Tags of one repository."""

    name = "tags"
    key = "tags"

    def __init__(self, length: int, seconds: float) -> None:
        super().__init__("tags", length, seconds)

    def _target(self) -> str:
        return "/v2/bench/tags/tags/list"

    def prepare(self, server: RunningServer) -> None:
        with Connection(server.address) as connection:
            push_blob(connection, "bench/tags", self._blob)
        super().prepare(server)

    def _fill_one(self, connection: Connection, name: str) -> None:
        push_manifest(connection, "bench/tags", name, self._manifest)


class CatalogPages(ListPages):
    """Repositories, each with an image whose blob was mounted from the first one."""

    name = "catalog"
    key = "repositories"

    def __init__(self, length: int, seconds: float) -> None:
        super().__init__("repositories", length, seconds)

    def _target(self) -> str:
        return "/v2/_catalog"

    def prepare(self, server: RunningServer) -> None:
        with Connection(server.address) as connection:
            push_blob(connection, self._names[0], self._blob)
        super().prepare(server)

    def _fill_one(self, connection: Connection, name: str) -> None:
        query = f"mount={self._blob.digest}&from={self._names[0]}"
        connection.request("POST", f"/v2/{name}/blobs/uploads/?{query}").expect(201)
        push_manifest(connection, name, "latest", self._manifest)
