"""Other registries to hold beside Entrepot: each started on a free port, with an empty store of its own."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.server import free_port


def _distribution_config(folder: Path, port: int) -> str:
    return f"""
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}/data}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


def _zot_config(folder: Path, port: int) -> str:
    return json.dumps(
        {
            "distSpecVersion": "1.1.1",
            "storage": {"rootDirectory": f"{folder}/data"},
            "http": {"address": "127.0.0.1", "port": str(port)},
            "log": {"level": "error"},
        }
    )


@dataclass(frozen=True)
class Peer:
    """A registry program that is run as `program serve FILE`; `title` heads its column."""

    title: str
    program: str
    suffix: str
    config: Callable[[Path, int], str]


PEERS = {
    peer.program: peer
    for peer in (
        Peer("docker-registry 2.8", "docker-registry", "yml", _distribution_config),
        Peer("distribution 3.1", "distribution", "yml", _distribution_config),
        Peer("zot", "zot", "json", _zot_config),
    )
}


def installed() -> list[Peer]:
    """The peers whose programs are on the PATH."""
    return [peer for peer in PEERS.values() if shutil.which(peer.program)]


@contextlib.contextmanager
def running(program: str) -> Iterator[str]:
    """The URL of a peer that runs inside the block, by the name of its program.

    Raises RuntimeError, with what it printed, when the program does not begin to answer.
    """
    with tempfile.TemporaryDirectory(prefix="conformance-") as name:
        folder = Path(name)
        peer, port = PEERS[program], free_port()
        config = folder / f"config.{peer.suffix}"
        config.write_text(peer.config(folder, port))
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [peer.program, "serve", str(config)],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            _wait(process, port, folder / "log")
            yield f"http://127.0.0.1:{port}"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 30
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        with contextlib.closing(connection), contextlib.suppress(OSError):
            connection.request("GET", "/v2/")
            if connection.getresponse().status == 200:
                return
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{process.args!r} did not start:\n{log.read_text(errors='replace')}")
        time.sleep(0.05)
