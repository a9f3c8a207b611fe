"""skopeo: copy to and from folders and layouts, whole indexes, sync, inspect, delete."""

import json
from pathlib import Path

import pytest

from tests.engines.clients import Client
from tests.engines.images import make_image, make_index
from tests.engines.layouts import read_layout, read_skopeo_folder, write_layout
from tests.engines.remote import Remote

PLAIN_SOURCE = "--src-tls-verify=false"
PLAIN_TARGET = "--dest-tls-verify=false"
PLAIN = "--tls-verify=false"


@pytest.mark.parametrize("form", ["oci", "dir"])
def test_push_and_pull(skopeo: Client, remote: Remote, repository: str, folder: Path, form: str) -> None:
    image = make_image()
    write_layout(folder / "out", latest=image)
    name = "docker://" + remote.name(repository)
    skopeo("copy", PLAIN_TARGET, f"oci:{folder}/out:latest", name)
    assert remote.image(repository) == image
    skopeo("copy", PLAIN_SOURCE, name, f"{form}:{folder}/back")
    back = read_layout(folder / "back") if form == "oci" else read_skopeo_folder(folder / "back")
    assert back == image
    again = f"docker://{remote.name(repository, 'again')}"
    skopeo("copy", PLAIN_TARGET, f"{form}:{folder}/back", again)
    assert remote.image(repository, "again") == image


def test_all_platforms(skopeo: Client, remote: Remote, repository: str, folder: Path) -> None:
    index = make_index(("linux/amd64", "linux/arm64", "linux/s390x"))
    write_layout(folder / "out", latest=index)
    name = "docker://" + remote.name(repository)
    skopeo("copy", "--all", PLAIN_TARGET, f"oci:{folder}/out:latest", name)
    assert remote.content(repository) == index
    skopeo("copy", "--all", PLAIN_SOURCE, name, f"oci:{folder}/back:latest")
    assert read_layout(folder / "back") == index
    skopeo("copy", "--override-arch=arm64", PLAIN_SOURCE, name, f"oci:{folder}/arm:latest")
    assert read_layout(folder / "arm") == index.images[1]


def test_inspect_and_tags(skopeo: Client, remote: Remote, repository: str, folder: Path) -> None:
    image = make_image()
    write_layout(folder / "out", latest=image)
    for tag in ("two", "one"):
        skopeo("copy", PLAIN_TARGET, f"oci:{folder}/out:latest", f"docker://{remote.name(repository, tag)}")
    name = "docker://" + remote.name(repository, "one")
    found = json.loads(skopeo("inspect", PLAIN, name))
    assert found["Digest"] == image.digest
    assert found["Layers"] == [layer.digest for layer in image.layers]
    assert sorted(found["RepoTags"]) == ["one", "two"]
    assert skopeo("inspect", "--raw", PLAIN, name).encode() == image.manifest.data
    assert json.loads(skopeo("inspect", "--config", "--raw", PLAIN, name)) == image.config.json()
    listed = json.loads(skopeo("list-tags", PLAIN, f"docker://{remote.address}/{repository}"))
    assert sorted(listed["Tags"]) == ["one", "two"]


def test_sync_there_and_back(skopeo: Client, remote: Remote, repository: str, folder: Path) -> None:
    images = {"one": make_image(), "two": make_image()}
    for tag, image in images.items():
        write_layout(folder / tag, latest=image)
        skopeo("copy", PLAIN_TARGET, f"oci:{folder}/{tag}:latest", f"docker://{remote.name(repository, tag)}")
    skopeo(
        "sync", "--src=docker", "--dest=dir", PLAIN_SOURCE, f"{remote.address}/{repository}", folder / "all"
    )
    last = repository.rsplit("/", 1)[1]
    for tag, image in images.items():
        assert read_skopeo_folder(folder / "all" / f"{last}:{tag}") == image
    skopeo(
        "sync", "--src=dir", "--dest=docker", PLAIN_TARGET, folder / "all", f"{remote.address}/{repository}"
    )
    for tag, image in images.items():
        assert remote.image(f"{repository}/{last}", tag) == image


def test_delete_and_push_again(skopeo: Client, remote: Remote, repository: str, folder: Path) -> None:
    image = make_image()
    write_layout(folder / "out", latest=image)
    name = "docker://" + remote.name(repository)
    skopeo("copy", PLAIN_TARGET, f"oci:{folder}/out:latest", name)
    skopeo("delete", PLAIN, name)
    assert not remote.has_manifest(repository, image.digest)
    assert "manifest unknown" in skopeo.refused("inspect", PLAIN, name)
    skopeo("copy", PLAIN_TARGET, f"oci:{folder}/out:latest", name)
    assert remote.image(repository) == image
