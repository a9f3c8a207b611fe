"""Small reads per second: the same request again and again, on 32 kept connections.

The first answer is compared in full, the others by status and length.
"""

from collections.abc import Mapping

from benchmarks.client import BenchmarkError, head_of
from benchmarks.content import ACCEPT, image_manifest, random_blob
from benchmarks.generator import answers_within
from benchmarks.measure import Goal, Measure, Row
from benchmarks.publishing import publish_blob, publish_manifest
from benchmarks.servers import RunningServer

CONNECTIONS = 32
WARM_UP_SECONDS = 0.5
REPOSITORY = "bench/image"
LAYERS = 6
HEADERS = {"Accept": ACCEPT, "User-Agent": "entrepot-benchmarks"}


class RequestRate(Measure):
    """Answers per second to one request, and the server's CPU time for each."""

    registries_only = False
    with_accounts = True

    def __init__(
        self, name: str, label: str, method: str, kind: str, goals: tuple[Goal, ...], seconds: float
    ) -> None:
        self.name = name
        self._rate = Row(label, "per s", goals=goals)
        self._cpu = Row(f"{label}: server CPU", "µs each", higher_is_better=False)
        self.rows = (self._rate, self._cpu)
        self._method, self._kind, self._seconds = method, kind, seconds
        self._config = random_blob(4096)
        self._layers = [random_blob(4096) for _ in range(LAYERS)]
        self._manifest = image_manifest(self._config, self._layers)

    def prepare(self, server: RunningServer) -> None:
        for blob in (self._config, *self._layers):
            publish_blob(server, REPOSITORY, blob)
        publish_manifest(server, REPOSITORY, "latest", self._manifest)
        content = self._manifest if self._kind == "manifest" else self._config.data
        with server.connect(REPOSITORY) as connection:
            response = connection.request(self._method, self._target(), HEADERS).expect(200)
        if int(response.headers["content-length"]) != len(content):
            raise BenchmarkError(
                f"Content-Length is {response.headers['content-length']}, not {len(content)}"
            )
        if self._method == "GET" and response.body != content:
            raise BenchmarkError("other bytes than were pushed")
        self._generate(server, WARM_UP_SECONDS)

    def run(self, server: RunningServer) -> Mapping[Row, float]:
        count, elapsed, cpu = self._generate(server, self._seconds)
        return {self._rate: count / elapsed, self._cpu: cpu / count * 1e6}

    def _target(self) -> str:
        if self._kind == "manifest":
            return f"/v2/{REPOSITORY}/manifests/latest"
        return f"/v2/{REPOSITORY}/blobs/{self._config.digest}"

    def _generate(self, server: RunningServer, seconds: float) -> tuple[int, float, float]:
        """Answers within `seconds`, how long it really took, and CPU seconds of the server."""
        headers = {**HEADERS, **server.credentials.headers(REPOSITORY)}
        request = head_of(self._method, self._target(), server.address, headers)
        cpu = server.cpu_seconds()
        count, elapsed = answers_within(server.addresses, request, CONNECTIONS, seconds)
        return count, elapsed, server.cpu_seconds() - cpu
