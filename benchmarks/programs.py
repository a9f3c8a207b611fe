"""The programs that are compared: how each is configured and started.

Logs of errors only, no access log, no accounts unless they are measured, deletion on, nothing else than
defaults otherwise. Entrepot runs two workers on SQLite with durability on; nginx two workers with sendfile;
the Go programs use as many threads as there are cores.
"""

import json
import os
import pwd
import re
import shutil
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.client import Connection
from benchmarks.credentials import NO_CREDENTIALS, Credentials, Password, RobotTokens
from benchmarks.services import Services
from tests.support.server import ROOT

OWN = "entrepot"
ACCOUNTS = "entrepot-accounts"
"""Entrepot as it is out of the box, with accounts."""


class Server(ABC):
    """A program to compare."""

    name: str
    program: str
    install: str
    registry = True
    on_s3 = False
    """Whether it keeps its blobs in S3, and is measured with the others that do."""
    replicas = 1

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

    def bound(self, services: Services) -> "Server":
        """The same program with these services, if it uses any."""
        return self

    def helpers(self) -> Sequence[int]:
        """Processes that work for it alone while it is its turn: their CPU time is its own."""
        return ()

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
                **self._driver(folder),
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

    def _driver(self, folder: Path) -> Mapping[str, object]:
        return {"filesystem": {"rootdirectory": str(folder / "data")}}

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
