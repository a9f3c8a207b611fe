"""Passwords checked per second: what it costs a registry that a client comes in.

Entrepot's clients ask its token endpoint with a robot's secret, and then use the token for minutes. The
peers, with htpasswd and no token server beside them, check the password on every request: here a manifest's.
"""

import json
from collections.abc import Mapping

from benchmarks.client import BenchmarkError, Connection, head_of
from benchmarks.content import Blob, image_manifest
from benchmarks.credentials import RobotTokens
from benchmarks.generator import answers_within
from benchmarks.measure import Goal, Measure, Row
from benchmarks.publishing import publish_blob, publish_manifest
from benchmarks.rates import HEADERS, REPOSITORY, WARM_UP_SECONDS
from benchmarks.servers import ACCOUNTS, RunningServer, Server

CONNECTIONS = 8
CONFIG = Blob(b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}')
"""Real JSON: with accounts, zot reads it."""

MANIFEST = f"/v2/{REPOSITORY}/manifests/latest"


class SignIns(Measure):
    """Answers per second to a request that brings a password, and the server's CPU time for each."""

    name = "sign-in"
    with_accounts = True

    def __init__(self, seconds: float) -> None:
        label = "token endpoint, robot secret; peers: manifest GET with Basic"
        goals = (Goal(500, server=ACCOUNTS),)
        self._rate = Row(f"{label}, {CONNECTIONS} connections", "per s", goals=goals)
        self._cpu = Row(f"{label}: server CPU", "µs each", higher_is_better=False)
        self.rows = (self._rate, self._cpu)
        self._seconds = seconds
        self._manifest = image_manifest(CONFIG, [])

    def variant(self, server: Server) -> Server | None:
        return None if server.on_s3 else server.guarded()

    def prepare(self, server: RunningServer) -> None:
        publish_blob(server, REPOSITORY, CONFIG)
        publish_manifest(server, REPOSITORY, "latest", self._manifest)
        target, headers = request_with_password(server)
        with Connection(server.address) as connection:
            connection.request("GET", MANIFEST, HEADERS).expect(401)
            body = connection.request("GET", target, headers).expect(200).body
            if target != MANIFEST:
                headers = {**HEADERS, "Authorization": f"Bearer {json.loads(body)['token']}"}
                body = connection.request("GET", MANIFEST, headers).expect(200).body
        if body != self._manifest:
            raise BenchmarkError("other bytes than were pushed")
        self._generate(server, WARM_UP_SECONDS)

    def run(self, server: RunningServer) -> Mapping[Row, float]:
        cpu = server.cpu_seconds()
        count, elapsed = self._generate(server, self._seconds)
        return {self._rate: count / elapsed, self._cpu: (server.cpu_seconds() - cpu) / count * 1e6}

    def _generate(self, server: RunningServer, seconds: float) -> tuple[int, float]:
        target, headers = request_with_password(server)
        request = head_of("GET", target, server.address, headers)
        return answers_within(server.addresses, request, CONNECTIONS, seconds)


def request_with_password(server: RunningServer) -> tuple[str, Mapping[str, str]]:
    """Target and headers of the request by which a client of this server shows its password."""
    credentials = server.credentials
    if isinstance(credentials, RobotTokens):
        target = credentials.endpoint(REPOSITORY, "pull")
        return target, {**HEADERS, **credentials.robot.headers(REPOSITORY)}
    return MANIFEST, {**HEADERS, **credentials.headers(REPOSITORY)}
