"""Other registries to hold beside Entrepot: each started on a free port, with an empty store of its own."""

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.registries import running_program


def _distribution(folder: Path, address: str) -> Mapping[str, object]:
    return {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": {"addr": address},
    }


def _zot(folder: Path, address: str) -> Mapping[str, object]:
    host, port = address.split(":")
    return {
        "distSpecVersion": "1.1.1",
        "storage": {"rootDirectory": str(folder / "data")},
        "http": {"address": host, "port": port},
        "log": {"level": "error"},
    }


@dataclass(frozen=True)
class Peer:
    """A registry program that is run as `program serve FILE`; `title` heads its column."""

    title: str
    program: str
    configuration: Callable[[Path, str], Mapping[str, object]]


PEERS = {
    peer.program: peer
    for peer in (
        Peer("docker-registry 2.8", "docker-registry", _distribution),
        Peer("distribution 3.1", "distribution", _distribution),
        Peer("zot", "zot", _zot),
    )
}


def installed() -> list[Peer]:
    """The peers whose programs are on the PATH."""
    return [peer for peer in PEERS.values() if shutil.which(peer.program)]


@contextlib.contextmanager
def running(program: str) -> Iterator[str]:
    """The URL of a peer that runs inside the block, by the name of its program.

    Raises AssertionError, with what it printed, when the program does not begin to answer.
    """
    with tempfile.TemporaryDirectory(prefix="conformance-") as name:
        folder, configuration = Path(name), PEERS[program].configuration
        with running_program(program, folder, lambda address: configuration(folder, address)) as address:
            yield f"http://{address}"
