"""What one engine pushed, the others pull: plain images, indexes, many layers, a huge one, many at once."""

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import oras.client
import pytest

from tests.engines.clients import Client
from tests.engines.containerd import taken_out
from tests.engines.containers import PLAIN
from tests.engines.docker import Engine
from tests.engines.exchange import PULL, PUSH
from tests.engines.huge import digest_of_file, write_huge_layout
from tests.engines.images import make_image, make_index, random_files, sha256
from tests.engines.layouts import read_layout, write_layout
from tests.engines.remote import Remote


@pytest.fixture(scope="session")
def pushed() -> dict[str, str]:
    """Engine to the repository of the image that it pushed: once is enough for all that pull it."""
    return {}


@pytest.mark.parametrize(("pusher", "puller"), [pair for pair in product(PUSH, PULL) if pair[0] != pair[1]])
def test_one_pushes_another_pulls(
    request: pytest.FixtureRequest,
    remote: Remote,
    repository: str,
    folder: Path,
    pushed: dict[str, str],
    pusher: str,
    puller: str,
) -> None:
    if pusher not in pushed:
        PUSH[pusher](request.getfixturevalue(pusher), remote.name(repository), folder)
        pushed[pusher] = repository
    pulled = PULL[puller](request.getfixturevalue(puller), remote.name(pushed[pusher]), folder)
    assert pulled == remote.image(pushed[pusher]).config.json()["rootfs"]["diff_ids"]


def test_index_reaches_every_engine(
    skopeo: Client,
    crane: Client,
    ctr: Client,
    podman: Client,
    docker_classic: Engine,
    remote: Remote,
    repository: str,
    folder: Path,
) -> None:
    index = make_index()
    amd64, arm64 = index.images
    name = remote.name(repository)
    write_layout(folder / "out", latest=index)
    skopeo("copy", "--all", "--dest-tls-verify=false", f"oci:{folder}/out:latest", f"docker://{name}")
    crane("pull", "--format=oci", name, folder / "crane")
    assert read_layout(folder / "crane") == index
    ctr("images", "pull", "--plain-http", "--snapshotter", "native", "--all-platforms", name)
    assert taken_out(ctr, folder, name) == index
    docker_classic.docker("pull", name)
    assert docker_classic.identity(name) == amd64.config.digest
    docker_classic.docker("pull", "--platform", "linux/arm64", name)
    assert docker_classic.identity(name) == arm64.config.digest
    podman("pull", PLAIN, "--platform", "linux/arm64", name)
    assert podman("image", "inspect", "--format", "{{.Id}}", name).strip() == arm64.config.digest[7:]


def test_sixty_layers(
    skopeo: Client, docker_classic: Engine, ctr: Client, remote: Remote, repository: str, folder: Path
) -> None:
    image = make_image([random_files(1, 500) for _ in range(60)])
    write_layout(folder / "out", latest=image)
    name = remote.name(repository)
    skopeo("copy", "--dest-tls-verify=false", f"oci:{folder}/out:latest", f"docker://{name}")
    assert remote.image(repository) == image
    skopeo("copy", "--src-tls-verify=false", f"docker://{name}", f"oci:{folder}/back")
    assert read_layout(folder / "back") == image
    diff_ids = image.config.json()["rootfs"]["diff_ids"]
    docker_classic.docker("pull", name)
    assert [sha256(layer) for layer in docker_classic.saved(name, folder)[1]] == diff_ids
    ctr("images", "pull", "--plain-http", "--snapshotter", "native", name)
    assert taken_out(ctr, folder, name) == image


def test_twenty_pulls_at_once(
    crane: Client, skopeo: Client, remote: Remote, repository: str, folder: Path
) -> None:
    image = make_image([random_files(1, 1_000_000) for _ in range(4)])
    name = remote.name(repository)
    crane("push", write_layout(folder / "out", latest=image), name)

    def pull(number: int) -> Path:
        back = folder / f"back-{number}"
        if number % 2:
            crane("pull", "--format=oci", name, back)
        else:
            skopeo("copy", "--src-tls-verify=false", f"docker://{name}", f"oci:{back}")
        return back

    with ThreadPoolExecutor(20) as pool:
        assert [read_layout(back) for back in pool.map(pull, range(20))] == [image] * 20


def test_twenty_pushes_at_once_share_their_layers(
    crane: Client, remote: Remote, repository: str, folder: Path
) -> None:
    """All push the same two layers at the same time, half of them into one repository."""
    image = make_image([random_files(1, 300_000) for _ in range(2)])
    write_layout(folder / "out", latest=image)
    places = [(repository, f"v{number}") for number in range(10)]
    places += [(f"{repository}/{number}", "v") for number in range(10)]

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda place: crane("push", folder / "out", remote.name(*place)), places))
    assert [remote.image(*place) for place in places] == [image] * 20
    assert len(remote.tags(repository)) == 10


@pytest.mark.timeout(300)
def test_a_layer_of_one_gibibyte(crane: Client, remote: Remote, repository: str, folder: Path) -> None:
    layer = write_huge_layout(folder / "out", 1 << 30)
    name = remote.name(repository)
    crane("push", folder / "out", name)
    [descriptor] = remote.manifest(repository, "latest").json()["layers"]
    assert descriptor["digest"] == layer
    tail = remote.request("GET", f"/v2/{repository}/blobs/{layer}", {"Range": "bytes=-5000"})
    assert tail.status == 206
    file = folder / "out" / "blobs" / layer.replace(":", "/")
    with file.open("rb") as stored:
        stored.seek(-5000, os.SEEK_END)
        assert tail.body == stored.read()
    crane("pull", "--format=oci", name, folder / "back")
    assert digest_of_file(folder / "back" / "blobs" / layer.replace(":", "/")) == layer


def test_artifact_of_oras_is_read_by_regctl(
    regctl: Client, remote: Remote, repository: str, work: Path
) -> None:
    content = os.urandom(50_000)
    (work / "model.bin").write_bytes(content)
    name = remote.name(repository)
    oras.client.OrasClient(hostname=remote.address, insecure=True).push(target=name, files=["model.bin"])
    (work / "back").mkdir()
    regctl("artifact", "get", "--output", work / "back", name)
    assert (work / "back" / "model.bin").read_bytes() == content
