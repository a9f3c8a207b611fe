"""The servers that are compared: how each is configured, started and stopped.

Every one runs on a free loopback port with an empty folder of its own: logs of errors only, no access log, no
accounts unless they are measured, deletion on, nothing else than its defaults otherwise. Entrepot runs two
workers on SQLite with durability on; nginx two workers with sendfile; the Go programs use as many threads as
there are cores.
"""

import json
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import processes
from benchmarks.client import BenchmarkError, Connection
from benchmarks.credentials import NO_CREDENTIALS, Credentials, Password, RobotTokens
from tests.support.server import ROOT, free_port

START_SECONDS = 60
STOP_SECONDS = 60

OWN = "entrepot"
ACCOUNTS = "entrepot-accounts"
"""Entrepot as it is out of the box, with accounts."""


@dataclass
class RunningServer:
    """A server that answers on `address` (`host:port`). `folder` holds its data, or what nginx serves."""

    name: str
    address: str
    folder: Path
    process: subprocess.Popen[bytes]
    credentials: Credentials = NO_CREDENTIALS

    def connect(self, repository: str) -> Connection:
        """A connection for requests to a repository, with what the server wants to see."""
        return Connection(self.address, self.credentials.headers(repository))

    def cpu_seconds(self) -> float:
        return processes.cpu_seconds(self.process.pid)

    def resident_bytes(self) -> int:
        return processes.resident_bytes(self.process.pid)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL to all that is left of its session."""
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            print(f"{self.name} did not stop within {STOP_SECONDS} s of SIGTERM", file=sys.stderr)
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Server(ABC):
    """A program to compare."""

    name: str
    program: str
    install: str
    registry = True

    def path(self) -> str | None:
        """Where the program is, None if it is not installed."""
        return shutil.which(self.program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")

    def version(self) -> str:
        """The version that the program tells."""
        output = subprocess.run([str(self.path()), "--version"], capture_output=True, text=True, check=True)
        found = re.search(r"v?\d+\.\d+\.\d+\S*", output.stdout + output.stderr)
        return found[0] if found else "version unknown"

    @abstractmethod
    def command(self, folder: Path, port: int) -> Sequence[str]:
        """Write the configuration into `folder`, and return the command that serves."""

    def environment(self) -> Mapping[str, str]:
        """Settings that go through the environment."""
        return {}

    def guarded(self) -> "Server | None":
        """The same program with accounts, None if it is not measured with any."""
        return None

    def sign_up(self, address: str) -> Credentials:
        """Make an account that may push and pull everywhere. The server runs at `address`."""
        return NO_CREDENTIALS


class Entrepot(Server):
    name = OWN
    program = sys.executable
    install = "this checkout"

    def version(self) -> str:
        output = subprocess.run(
            [sys.executable, "-m", "registry", "version"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        return output.stdout.strip().removeprefix("entrepot").lstrip(", ")

    def command(self, folder: Path, port: int) -> Sequence[str]:
        listen = f"127.0.0.1:{port}"
        serve = [sys.executable, "-m", "registry", "serve", "--listen", listen, "--workers", "2"]
        return [*serve, "--data", str(folder / "data")]

    def environment(self) -> Mapping[str, str]:
        return {
            "ENTREPOT_AUTH__MODE": "open",
            "ENTREPOT_LOG__ACCESS": "false",
            "ENTREPOT_LOG__LEVEL": "error",
        }


class EntrepotAccounts(Entrepot):
    """With a robot that gets tokens for what it does."""

    name = ACCOUNTS
    _administrator = Password("admin", "of the benchmarks only")

    def environment(self) -> Mapping[str, str]:
        password = {"ENTREPOT_AUTH__ADMIN_PASSWORD": self._administrator.password}
        return {**super().environment(), "ENTREPOT_AUTH__MODE": "accounts", **password}

    def guarded(self) -> Server:
        return self

    def sign_up(self, address: str) -> Credentials:
        with Connection(address, self._administrator.headers("")) as connection:
            made = _post(connection, "/api/v1/robots", {"name": "benchmark"})
            grant = {"principal": "robot:benchmark", "role": "writer", "pattern": "**"}
            _post(connection, "/api/v1/grants", grant)
        return RobotTokens(address, Password("benchmark", made["secret"]))


def _post(connection: Connection, target: str, document: Mapping[str, str]) -> dict[str, Any]:
    headers = {"Content-Type": "application/json"}
    answer = connection.request("POST", target, headers, json.dumps(document).encode())
    return dict(json.loads(answer.expect(201).body))


PASSWORD = Password("benchmark", "of the benchmarks only")
"""For the servers that read htpasswd files."""


class Distribution(Server):
    """distribution, version 2 or 3. Its packages configure the cache of descriptors too."""

    def __init__(self, name: str, program: str, install: str, *, htpasswd: bool = False) -> None:
        self.name, self.program, self.install = name, program, install
        self._htpasswd = htpasswd

    def guarded(self) -> Server:
        return Distribution(self.name, self.program, self.install, htpasswd=True)

    def sign_up(self, address: str) -> Credentials:
        return PASSWORD if self._htpasswd else NO_CREDENTIALS

    def command(self, folder: Path, port: int) -> Sequence[str]:
        configuration: dict[str, object] = {
            "version": 0.1,
            "log": {"level": "error", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(folder / "data")},
                "cache": {"blobdescriptor": "inmemory"},
                "delete": {"enabled": True},
            },
            "http": {"addr": f"127.0.0.1:{port}", "secret": "benchmark"},
        }
        if self._htpasswd:
            path = _htpasswd_file(folder)
            configuration["auth"] = {"htpasswd": {"realm": "benchmark", "path": str(path)}}
        file = folder / "config.yml"
        file.write_text(json.dumps(configuration))  # JSON is YAML
        return [str(self.path()), "serve", str(file)]

    def environment(self) -> Mapping[str, str]:
        return {"OTEL_TRACES_EXPORTER": "none"}  # version 3 sends traces by default


class Zot(Server):
    name = "zot"
    program = "zot"
    install = "https://zotregistry.dev"

    def __init__(self, *, htpasswd: bool = False) -> None:
        self._htpasswd = htpasswd

    def guarded(self) -> Server:
        return Zot(htpasswd=True)

    def sign_up(self, address: str) -> Credentials:
        return PASSWORD if self._htpasswd else NO_CREDENTIALS

    def version(self) -> str:
        """The version that the linker was told, or else the one of the module."""
        output = subprocess.run([str(self.path()), "--version"], capture_output=True, text=True, check=True)
        told = json.loads((output.stdout + output.stderr).strip().splitlines()[-1])
        return str(
            told["commit"] or f"built without a version (distribution-spec {told['distribution-spec']})"
        )

    def command(self, folder: Path, port: int) -> Sequence[str]:
        http: dict[str, object] = {"address": "127.0.0.1", "port": str(port)}
        if self._htpasswd:
            http["auth"] = {"htpasswd": {"path": str(_htpasswd_file(folder))}}
        configuration = {
            "distSpecVersion": "1.1.1",
            "storage": {"rootDirectory": str(folder / "data"), "gc": False},
            "http": http,
            "log": {"level": "error"},
        }
        file = folder / "config.json"
        file.write_text(json.dumps(configuration))
        return [str(self.path()), "serve", str(file)]


def _htpasswd_file(folder: Path) -> Path:
    file = folder / "htpasswd"
    file.write_text(PASSWORD.htpasswd())
    return file


class Nginx(Server):
    """Files at the paths where a registry has its manifests and blobs: the floor for reads."""

    name = "nginx"
    program = "nginx"
    install = "apt-get install nginx-light"
    registry = False

    def version(self) -> str:
        output = subprocess.run([str(self.path()), "-v"], capture_output=True, text=True, check=True)
        return output.stderr.strip().rpartition("/")[2]

    def command(self, folder: Path, port: int) -> Sequence[str]:
        (folder / "files" / "v2").mkdir(parents=True)
        (folder / "files" / "v2" / "index.html").write_text("{}")
        temporary = "".join(
            f"  {kind}_temp_path {folder}/{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        file = folder / "nginx.conf"
        file.write_text(
            f"user {pwd.getpwuid(os.geteuid()).pw_name};\n"
            "daemon off;\nworker_processes 2;\n"
            f"pid {folder}/nginx.pid;\nerror_log stderr error;\n"
            "events { worker_connections 1024; }\n"
            "http {\n"
            "  access_log off;\n  sendfile on;\n  keepalive_requests 1000000000;\n"
            f"{temporary}"
            f"  server {{ listen 127.0.0.1:{port}; root {folder}/files; }}\n"
            "}\n"
        )
        return [str(self.path()), "-p", str(folder), "-e", "stderr", "-c", str(file)]


SERVERS: Mapping[str, Server] = {
    server.name: server
    for server in (
        Entrepot(),
        EntrepotAccounts(),
        Distribution("docker-registry", "docker-registry", "apt-get install docker-registry"),
        Distribution("distribution", "distribution", "https://github.com/distribution/distribution"),
        Zot(),
        Nginx(),
    )
}
"""In the order in which a round measures them, and of the columns of the table."""


@contextmanager
def running(servers: Sequence[Server], work_folder: Path) -> Iterator[list[RunningServer]]:
    """Start servers, each with nothing in it; stop them at the end and delete what they stored."""
    with ExitStack() as stack:
        started = []
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
    port = free_port()
    clean = {
        key: value for key, value in os.environ.items() if not key.startswith(("ENTREPOT_", "REGISTRY_"))
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            server.command(folder, port),
            cwd=ROOT,
            env={**clean, **server.environment()},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return RunningServer(server.name, f"127.0.0.1:{port}", folder, process)


def _wait_until_ready(server: RunningServer) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            with Connection(server.address) as connection:
                connection.request("GET", "/v2/").expect(200, 401)
        except OSError:
            if server.process.poll() is not None or time.monotonic() > deadline:
                log = (server.folder / "log").read_text(errors="replace")
                raise BenchmarkError(f"{server.name} did not start:\n{log}") from None
            time.sleep(0.05)
        else:
            return
