"""A Docker Engine of the tests' own."""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.engines.clients import Client, environment
from tests.engines.daemons import daemon, needs_root
from tests.engines.images import tar
from tests.engines.layouts import read_docker_archive
from tests.support.tools import tool

FIRST_WITH_CONTAINERD_STORE = 24


@dataclass(frozen=True)
class Engine:
    """The docker command, joined to a daemon of its own."""

    docker: Client
    store: str

    def build(self, name: str, *layers: dict[str, bytes]) -> dict[str, bytes]:
        """`docker build` of a `FROM scratch` image, a COPY for each mapping; returns all its files."""
        lines = ["FROM scratch", f'LABEL made-for="{os.urandom(8).hex()}"']
        context: dict[str, bytes] = {}
        for number, files in enumerate(layers):
            context |= {f"{number}/{path}": content for path, content in files.items()}
            lines.append(f"COPY {number} /")
        context["Dockerfile"] = "\n".join(lines).encode()
        self.docker("build", "--tag", name, "-", standard_input=tar(context))
        return {path: content for files in layers for path, content in files.items()}

    def saved(self, name: str, folder: Path) -> tuple[bytes, list[bytes]]:
        """The configuration and uncompressed layers, as the engine has them."""
        file = folder / f"saved-{os.urandom(4).hex()}.tar"
        self.docker("save", "--output", file, name)
        return read_docker_archive(file)

    def identity(self, name: str) -> str:
        return self.docker("image", "inspect", "--format", "{{.Id}}", name).strip()


@contextmanager
def engine(folder: Path, store: str) -> Iterator[Engine]:
    """A dockerd without networks; proxies and configuration of the machine's own stay outside."""
    needs_root("dockerd")
    program = tool("dockerd")
    own = environment(folder / "home")
    version = Client(program, own)("--version")
    found = re.search(r"version (\d+)\.", version)
    assert found is not None, version
    if store == "containerd" and int(found[1]) < FIRST_WITH_CONTAINERD_STORE:
        pytest.skip(
            f"the containerd image store needs docker {FIRST_WITH_CONTAINERD_STORE}, this is {found[1]}"
        )
    configuration = folder / "daemon.json"
    configuration.write_text(json.dumps({"features": {"containerd-snapshotter": store == "containerd"}}))
    socket = f"unix://{folder}/docker.sock"
    docker = Client.found("docker", folder / "home", ["--host", socket], DOCKER_BUILDKIT="0")
    command = [program, "--config-file", str(configuration), "--host", socket]
    command += [
        "--data-root",
        f"{folder}/data",
        "--exec-root",
        f"{folder}/exec",
        "--pidfile",
        f"{folder}/pid",
    ]
    command += ["--iptables=false", "--ip6tables=false", "--bridge=none"]
    with daemon(command, own, folder / "log", lambda: docker.run("version").returncode == 0):
        yield Engine(docker, store)
