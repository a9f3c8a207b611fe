"""The servers that take part, and those that run: every one on free loopback ports, with an empty folder of
its own."""

import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import processes
from benchmarks.client import BenchmarkError, Connection
from benchmarks.credentials import NO_CREDENTIALS, Credentials
from benchmarks.on_s3 import ONE, THREE, DistributionOnS3, EntrepotOnS3
from benchmarks.programs import ACCOUNTS, OWN, Distribution, Entrepot, EntrepotAccounts, Nginx, Server, Zot
from benchmarks.services import running_services
from tests.support.server import ROOT, free_port

__all__ = ["ACCOUNTS", "OWN", "SERVERS", "RunningServer", "Server", "is_own", "running"]

START_SECONDS = 60
STOP_SECONDS = 60


@dataclass
class RunningServer:
    """A server that answers on `addresses` (`host:port`), one for each of its replicas, whose supervisors are
    `processes`. `folder` holds its data, or what nginx serves."""

    name: str
    addresses: Sequence[str]
    folder: Path
    processes: Sequence[subprocess.Popen[bytes]]
    helpers: Sequence[int] = ()
    credentials: Credentials = NO_CREDENTIALS
    _turns: "itertools.count[int]" = field(default_factory=itertools.count)

    @property
    def address(self) -> str:
        """Of the first replica."""
        return self.addresses[0]

    def connect(self, repository: str) -> Connection:
        """A connection to the next replica, for requests to a repository with what it wants to see."""
        address = self.addresses[next(self._turns) % len(self.addresses)]
        return Connection(address, self.credentials.headers(repository))

    def cpu_seconds(self) -> float:
        """Of all replicas, and of what works for them."""
        leaders = [*(process.pid for process in self.processes), *self.helpers]
        return sum(map(processes.cpu_seconds, leaders))

    def resident_bytes(self) -> int:
        """Of all replicas."""
        return sum(processes.resident_bytes(process.pid) for process in self.processes)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL to all that is left of their sessions."""
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                print(f"{self.name} did not stop within {STOP_SECONDS} s of SIGTERM", file=sys.stderr)
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


DOCKER_REGISTRY = ("docker-registry", "apt-get install docker-registry")
DISTRIBUTION = ("distribution", "https://github.com/distribution/distribution")

SERVERS: Mapping[str, Server] = {
    server.name: server
    for server in (
        Entrepot(),
        EntrepotAccounts(),
        Distribution("docker-registry", *DOCKER_REGISTRY),
        Distribution("distribution", *DISTRIBUTION),
        Zot(),
        Nginx(),
        EntrepotOnS3(ONE, replicas=1),
        EntrepotOnS3(THREE, replicas=3),
        DistributionOnS3("docker-registry-s3", *DOCKER_REGISTRY),
        DistributionOnS3("distribution-s3", *DISTRIBUTION),
    )
}
"""In the order in which a round measures them, and of the columns of the tables."""


def is_own(name: str) -> bool:
    """Whether a server of this name is Entrepot."""
    return isinstance(SERVERS[name], Entrepot)


@contextmanager
def running(servers: Sequence[Server], work_folder: Path) -> Iterator[list[RunningServer]]:
    """Start servers, each with nothing in it; stop them at the end and delete what they stored."""
    with ExitStack() as stack:
        started = []
        if any(server.on_s3 for server in servers):
            services = stack.enter_context(running_services())
            servers = [server.bound(services) for server in servers]
        for server in servers:
            folder = work_folder / server.name
            folder.mkdir(parents=True)
            stack.callback(shutil.rmtree, folder)
            started.append(_start(server, folder))
            stack.callback(started[-1].stop)
        for server, one in zip(servers, started, strict=True):
            _wait_until_ready(one)
            one.credentials = server.sign_up(one.address)
        yield started


def _start(server: Server, folder: Path) -> RunningServer:
    settings = ("ENTREPOT_", "REGISTRY_", "AWS_")
    clean = {key: value for key, value in os.environ.items() if not key.startswith(settings)}
    ports = [free_port() for _ in range(server.replicas)]
    started = []
    for number, port in enumerate(ports, start=1):
        place = folder if server.replicas == 1 else folder / f"replica-{number}"
        place.mkdir(exist_ok=True)
        with (folder / "log").open("ab") as log:
            process = subprocess.Popen(
                server.command(place, port),
                cwd=ROOT,
                env={**clean, **server.environment()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started.append(process)
    addresses = [f"127.0.0.1:{port}" for port in ports]
    return RunningServer(server.name, addresses, folder, started, server.helpers())


def _wait_until_ready(server: RunningServer) -> None:
    deadline = time.monotonic() + START_SECONDS
    for address, process in zip(server.addresses, server.processes, strict=True):
        while not _answers(address):
            if process.poll() is not None or time.monotonic() > deadline:
                log = (server.folder / "log").read_text(errors="replace")
                raise BenchmarkError(f"{server.name} did not start:\n{log}")
            time.sleep(0.05)


def _answers(address: str) -> bool:
    try:
        with Connection(address) as connection:
            connection.request("GET", "/v2/").expect(200, 401)
    except OSError:
        return False
    return True
