"""The same clients on a small index and on a large one, through one server each: how much slower is it?

Eight clients pull (a manifest by tag, and whether each of its blobs is there), list (tags, repositories,
referrers) and push (two new blobs, a mounted base layer, a manifest under a new tag). The servers take turns.
"""

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.client import Connection
from benchmarks.content import ACCEPT, image_manifest, random_blob
from benchmarks.programs import Entrepot
from benchmarks.publishing import push_blob, push_manifest
from benchmarks.scale.sample import Sample
from benchmarks.servers import RunningServer, running

CLIENTS = 8
TURN_SECONDS = 10.0
MIX = {"pull": 80, "list": 12, "push": 8}
"""Of a hundred."""

BLOB_BYTES = 4096


class EntrepotOnIndex(Entrepot):
    """Entrepot on an index that is there; its storage is empty. `url` as `index.url` takes it."""

    def __init__(self, name: str, url: str) -> None:
        self.name, self._url = name, url

    def environment(self) -> Mapping[str, str]:
        return {**super().environment(), "ENTREPOT_INDEX__URL": self._url}


@dataclass
class Throughput:
    """What was done within so many seconds, and the CPU seconds of the server's processes."""

    done: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    cpu: float = 0.0

    def per_second(self, kind: str | None = None) -> float:
        return (self.done.total() if kind is None else self.done[kind]) / self.seconds

    @property
    def cpu_each(self) -> float:
        """Seconds of the server's CPU time for one of them, of whatever kind."""
        return self.cpu / self.done.total()


def compare(
    indexes: Sequence[tuple[str, str, Sample]], seconds: float, work_folder: Path
) -> list[Throughput]:
    """Have clients work on each of these (name, URL, what to ask for), for so many seconds in all."""
    outcomes = [Throughput() for _ in indexes]
    with running([EntrepotOnIndex(name, url) for name, url, _ in indexes], work_folder) as servers:
        for server, (_, _, sample) in zip(servers, indexes, strict=True):
            _work(server, sample, 2.0, Throughput())  # to warm up
        turns = max(1, round(seconds / TURN_SECONDS))
        for _ in range(turns):
            for server, (_, _, sample), outcome in zip(servers, indexes, outcomes, strict=True):
                _work(server, sample, seconds / turns, outcome)
    return outcomes


def _work(server: RunningServer, sample: Sample, seconds: float, outcome: Throughput) -> None:
    stopping = threading.Event()
    cpu, start = server.cpu_seconds(), time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [
            pool.submit(_client, server, sample, number, start + seconds, stopping)
            for number in range(CLIENTS)
        ]
        for client in clients:
            outcome.done += client.result()
    outcome.seconds += time.perf_counter() - start
    outcome.cpu += server.cpu_seconds() - cpu


def _client(
    server: RunningServer, sample: Sample, number: int, deadline: float, stopping: threading.Event
) -> Counter[str]:
    chosen = random.Random(f"{number}/{time.time()}")
    works = {"pull": _pull, "list": _list, "push": _push}
    done: Counter[str] = Counter()
    try:
        with server.connect("") as connection:
            while time.perf_counter() < deadline and not stopping.is_set():
                (kind,) = chosen.choices(list(MIX), list(MIX.values()))
                works[kind](connection, sample, chosen)
                done[kind] += 1
    except BaseException:
        stopping.set()
        raise
    return done


def _pull(connection: Connection, sample: Sample, chosen: random.Random) -> None:
    place = chosen.choice(sample.tags)
    target = f"/v2/{place.repository}/manifests/{place.tag}"
    document = json.loads(connection.request("GET", target, {"Accept": ACCEPT}).expect(200).body)
    for layer in document.get("layers", ()):
        connection.request("HEAD", f"/v2/{place.repository}/blobs/{layer['digest']}").expect(200)


def _list(connection: Connection, sample: Sample, chosen: random.Random) -> None:
    place, subject = chosen.choice(sample.tags), chosen.choice(sample.subjects)
    target = chosen.choice(
        (
            f"/v2/{place.repository}/tags/list?n=100&last={place.tag}",
            f"/v2/_catalog?n=100&last={place.repository}",
            f"/v2/{subject.repository}/referrers/{subject.digest}",
        )
    )
    connection.request("GET", target).expect(200)


def _push(connection: Connection, sample: Sample, chosen: random.Random) -> None:
    repository, holder = chosen.choice(sample.repositories), chosen.choice(sample.holders)
    config, layer = random_blob(BLOB_BYTES), random_blob(BLOB_BYTES)
    push_blob(connection, repository, config)
    push_blob(connection, repository, layer)
    mount = f"mount={holder.digest}&from={holder.repository}"
    connection.request("POST", f"/v2/{repository}/blobs/uploads/?{mount}").expect(201)
    push_manifest(connection, repository, f"load-{config.digest[7:39]}", image_manifest(config, [layer]))
