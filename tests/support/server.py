"""Run the real `entrepot serve` as a process of its own, as a user would.

It is forked from one that has imported its modules (forking.py). `tests/unit/cli/test_cli.py` starts it anew.
"""

import http.client
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.forking import ROOT, Forked, fork_entrepot


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class RunningRegistry:
    """A registry process. `address` is `host:port`, `log` what it printed so far, on both streams.

    `ca_file`: it speaks TLS, and this is what to trust.
    """

    process: subprocess.Popen[bytes] | Forked
    address: str
    data: Path
    log_file: Path
    ca_file: Path | None = None

    @property
    def url(self) -> str:
        return f"{'http' if self.ca_file is None else 'https'}://{self.address}"

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def answers(self) -> bool:
        connection = self._connection()
        if connection is None:
            return False
        try:
            connection.request("GET", "/v2/")
            return connection.getresponse().status in (200, 401)
        except OSError:
            return False
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection | None:
        """None as long as what to trust was not made."""
        host, port = self.address.split(":")
        if self.ca_file is None:
            return http.client.HTTPConnection(host, int(port), timeout=2)
        if not self.ca_file.exists():
            return None
        trust = ssl.create_default_context(cafile=self.ca_file)
        return http.client.HTTPSConnection(host, int(port), timeout=2, context=trust)

    def wait_until_ready(self, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"the registry did not start:\n{self.log}")
            time.sleep(0.05)

    def stop(self, seconds: float = 30) -> int:
        """SIGTERM, as an init system would; returns the exit code."""
        self.process.terminate()
        return self.process.wait(seconds)

    def kill(self) -> None:
        """SIGKILL to the whole process group: the supervisor and every worker at once."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)


def start_registry(
    data: Path,
    *,
    arguments: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    workers: int = 1,
    port: int | None = None,
    prefix: Sequence[str] = (),
    ca_file: Path | None = None,
    wait: bool = True,
    code: Path = ROOT,
) -> RunningRegistry:
    """Start a registry on `data`, without accounts unless ENTREPOT_AUTH__MODE says `accounts`.

    `environment` adds ENTREPOT_... settings; `prefix` runs it under a tool; `ca_file`: see RunningRegistry;
    `code`: the folder of another version.
    """
    address = f"127.0.0.1:{port or free_port()}"
    data.mkdir(parents=True, exist_ok=True)
    log_file = data.parent / f"{data.name}.log"
    clean = {key: value for key, value in os.environ.items() if not key.startswith("ENTREPOT_")}
    command = ["serve", "--listen", address, "--data", str(data), "--workers", str(workers), *arguments]
    own = {**clean, "PYTHONUNBUFFERED": "1", "ENTREPOT_AUTH__MODE": "open", **(environment or {})}
    process: subprocess.Popen[bytes] | Forked
    with log_file.open("ab") as log:
        if not prefix and code == ROOT:
            process = fork_entrepot(command, folder=ROOT, environment=own, output=log.fileno())
        else:
            process = subprocess.Popen(
                [*prefix, sys.executable, "-m", "registry", *command],
                cwd=code,  # modules are looked for there first
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=own,
                start_new_session=True,
            )
    running = RunningRegistry(process, address, data, log_file, ca_file)
    if wait:
        running.wait_until_ready()
    return running
