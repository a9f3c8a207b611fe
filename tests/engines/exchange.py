"""One push and one pull for every engine, all alike, so that each can pull what any other pushed."""

import gzip
from collections.abc import Callable
from pathlib import Path

from tests.engines.clients import Client
from tests.engines.containerd import fresh, put_in, taken_out
from tests.engines.containers import PLAIN, build, commit, saved
from tests.engines.docker import Engine
from tests.engines.images import Image, Index, make_image, random_files, sha256
from tests.engines.layouts import read_layout, write_layout


def push_with_crane(crane: Client, name: str, folder: Path) -> None:
    crane("push", write_layout(folder / "out", latest=make_image()), name)


def push_with_skopeo(skopeo: Client, name: str, folder: Path) -> None:
    write_layout(folder / "out", latest=make_image())
    skopeo("copy", "--dest-tls-verify=false", f"oci:{folder}/out:latest", f"docker://{name}")


def push_with_regctl(regctl: Client, name: str, folder: Path) -> None:
    write_layout(folder / "out", latest=make_image())
    regctl("image", "copy", f"ocidir://{folder}/out:latest", name)


def push_with_containerd(ctr: Client, name: str, folder: Path) -> None:
    put_in(ctr, folder, name, make_image())
    ctr("images", "push", "--plain-http", name)


def push_with_podman(podman: Client, name: str, folder: Path) -> None:
    build(podman, folder, name)
    podman("push", PLAIN, name)


def push_with_buildah(buildah: Client, name: str, folder: Path) -> None:
    commit(buildah, folder, name)
    buildah("push", PLAIN, name, f"docker://{name}")


def push_with_docker(docker: Engine, name: str, folder: Path) -> None:
    docker.build(name, random_files(), random_files())
    docker.docker("push", name)


def pull_with_crane(crane: Client, name: str, folder: Path) -> list[str]:
    crane("pull", "--format=oci", name, folder / "back")
    return uncompressed(read_layout(folder / "back"))


def pull_with_skopeo(skopeo: Client, name: str, folder: Path) -> list[str]:
    skopeo("copy", "--src-tls-verify=false", f"docker://{name}", f"oci:{folder}/back")
    return uncompressed(read_layout(folder / "back"))


def pull_with_regctl(regctl: Client, name: str, folder: Path) -> list[str]:
    regctl("image", "copy", name, f"ocidir://{folder}/back:latest")
    return uncompressed(read_layout(folder / "back"))


def pull_with_containerd(ctr: Client, name: str, folder: Path) -> list[str]:
    other = fresh(ctr)
    other("images", "pull", "--plain-http", "--snapshotter", "native", name)
    return uncompressed(taken_out(other, folder, name))


def pull_with_podman(podman: Client, name: str, folder: Path) -> list[str]:
    podman("pull", PLAIN, name)
    return [sha256(layer) for layer in saved(podman, folder, name)[1]]


def pull_with_buildah(buildah: Client, name: str, folder: Path) -> list[str]:
    buildah("pull", PLAIN, name)
    buildah("push", name, f"oci:{folder}/back")
    return uncompressed(read_layout(folder / "back"))


def pull_with_docker(docker: Engine, name: str, folder: Path) -> list[str]:
    docker.docker("pull", name)
    return [sha256(layer) for layer in docker.saved(name, folder)[1]]


def uncompressed(content: Image | Index) -> list[str]:
    """The digests of the layers of an image once they are uncompressed."""
    assert isinstance(content, Image)
    layers = [layer.data for layer in content.layers]
    return [sha256(gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data) for data in layers]


PUSH: dict[str, Callable[..., None]] = {
    "crane": push_with_crane,
    "skopeo": push_with_skopeo,
    "regctl": push_with_regctl,
    "ctr": push_with_containerd,
    "podman": push_with_podman,
    "buildah": push_with_buildah,
    "docker_classic": push_with_docker,
}
"""By fixture: makes an image and pushes it under a name. Takes the engine, the name, an empty folder."""

PULL: dict[str, Callable[..., list[str]]] = {
    "crane": pull_with_crane,
    "skopeo": pull_with_skopeo,
    "regctl": pull_with_regctl,
    "ctr": pull_with_containerd,
    "podman": pull_with_podman,
    "buildah": pull_with_buildah,
    "docker_classic": pull_with_docker,
}
"""By fixture: pulls a name; the digests of the uncompressed layers as they lie on the engine's side."""
