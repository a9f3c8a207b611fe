"""podman and buildah on a store of the test's own: nothing of the machine's containers is seen or touched."""

import os
from pathlib import Path

from tests.engines.clients import Client
from tests.engines.daemons import needs_root
from tests.engines.images import random_files
from tests.engines.layouts import read_docker_archive

PLAIN = "--tls-verify=false"


def with_own_store(program: str, folder: Path) -> Client:
    """podman or buildah with its own storage (plain folders: no overlay is mounted) and registries."""
    needs_root(program)
    home = folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    files = {
        "CONTAINERS_CONF": (
            "containers.conf",
            f'[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "none"\nlock_type = "file"\n'
            f'tmp_dir = "{folder}/tmp"\n[network]\nnetwork_config_dir = "{folder}/networks"\n',
        ),
        "CONTAINERS_REGISTRIES_CONF": ("registries.conf", 'short-name-mode = "disabled"\n'),
        "CONTAINERS_STORAGE_CONF": (
            "storage.conf",
            f'[storage]\ndriver = "vfs"\ngraphroot = "{folder}/store"\nrunroot = "{folder}/run"\n',
        ),
    }
    variables = {}
    for variable, (name, content) in files.items():
        (home / name).write_text(content)
        variables[variable] = str(home / name)
    return Client.found(program, home, **variables)


def build(podman: Client, folder: Path, name: str, *options: str, parts: int = 2) -> dict[str, bytes]:
    """`podman build` of a `FROM scratch` image of `parts` layers; returns its files."""
    context = folder / f"context-{os.urandom(4).hex()}"
    lines = ["FROM scratch"]
    found: dict[str, bytes] = {}
    for number in range(parts):
        files = random_files()
        (context / str(number)).mkdir(parents=True)
        for path, content in files.items():
            (context / str(number) / path).write_bytes(content)
        lines.append(f"COPY {number} /")
        found |= files
    (context / "Containerfile").write_text("\n".join(lines))
    podman("build", "--layers", *options, "--tag", name, context)
    return found


def saved(podman: Client, folder: Path, name: str) -> tuple[bytes, list[bytes]]:
    archive = folder / f"{os.urandom(4).hex()}.tar"
    podman("save", "--format", "docker-archive", "--output", archive, name)
    return read_docker_archive(archive)


def commit(buildah: Client, folder: Path, name: str, *options: str) -> dict[str, bytes]:
    """An image from scratch with random files; returns them."""
    content = folder / f"content-{os.urandom(4).hex()}"
    content.mkdir()
    files = random_files()
    for path, data in files.items():
        (content / path).write_bytes(data)
    container = buildah("from", *options, "scratch").strip()
    buildah("copy", container, content, "/")
    buildah("commit", "--rm", container, name)
    return files
