"""A layer that the registry lost comes back when its image is pushed again: docs/scrub.md says by whom.

Not by `crane push`, nor by `regctl image copy` without a flag: they find the manifest and send nothing.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engines.clients import Client
from tests.engines.conftest import FOREIGN
from tests.engines.containers import PLAIN
from tests.engines.docker import Engine
from tests.engines.exchange import PUSH
from tests.engines.remote import Remote


def again_with_skopeo(skopeo: Client, name: str, folder: Path) -> None:
    skopeo("copy", "--dest-tls-verify=false", f"oci:{folder}/out:latest", f"docker://{name}")


def again_with_regctl(regctl: Client, name: str, folder: Path) -> None:
    regctl("image", "copy", "--force-recursive", f"ocidir://{folder}/out:latest", name)


def again_with_containerd(ctr: Client, name: str, _: Path) -> None:
    ctr("images", "push", "--plain-http", name)


def again_with_podman(podman: Client, name: str, _: Path) -> None:
    podman("push", PLAIN, name)


def again_with_buildah(buildah: Client, name: str, _: Path) -> None:
    buildah("push", PLAIN, name, f"docker://{name}")


def again_with_docker(docker: Engine, name: str, _: Path) -> None:
    docker.docker("push", name)


AGAIN: dict[str, Callable[..., None]] = {
    "skopeo": again_with_skopeo,
    "regctl": again_with_regctl,
    "ctr": again_with_containerd,
    "podman": again_with_podman,
    "buildah": again_with_buildah,
    "docker_classic": again_with_docker,
}
"""By fixture: pushes once more what PUSH of exchange.py made and pushed."""


@pytest.mark.skipif(FOREIGN is not None, reason="takes a file from Entrepot's own storage")
@pytest.mark.parametrize("engine", AGAIN)
def test_a_push_brings_back_what_was_lost(
    request: pytest.FixtureRequest,
    remote: Remote,
    workspace: Path,
    repository: str,
    folder: Path,
    engine: str,
) -> None:
    client = request.getfixturevalue(engine)
    PUSH[engine](client, remote.name(repository), folder)
    lost = remote.manifest(repository, "latest").json()["layers"][0]["digest"]
    (stored,) = (workspace / "registry").rglob(f"{lost.partition(':')[2]}.*")
    stored.unlink()
    assert remote.request("GET", f"/v2/{repository}/blobs/{lost}").status == 404
    AGAIN[engine](client, remote.name(repository), folder)
    assert remote.blob(repository, lost)
