"""podman: build, push, pull, manifest lists, delete."""

import json
from pathlib import Path

import pytest

from tests.engines.clients import Client
from tests.engines.containers import PLAIN, build, saved
from tests.engines.images import Index, sha256
from tests.engines.remote import Remote


@pytest.mark.parametrize("form", ["oci", "v2s2"])
def test_build_push_and_pull(
    podman: Client, remote: Remote, repository: str, folder: Path, form: str
) -> None:
    name = remote.name(repository)
    files = build(podman, folder, name, "--format", "oci" if form == "oci" else "docker")
    podman("push", PLAIN, "--format", form, name)
    image = remote.image(repository)
    assert image.files() == files
    identity = podman("image", "inspect", "--format", "{{.Id}}", name).strip()
    assert image.config.digest == f"sha256:{identity}"
    config, layers = saved(podman, folder, name)
    assert image.config.json()["rootfs"]["diff_ids"] == [sha256(layer) for layer in layers]
    podman("rmi", "--force", name)
    podman("pull", PLAIN, name)
    assert podman("image", "inspect", "--format", "{{.Id}}", name).strip() == identity
    assert podman("image", "inspect", "--format", "{{.Digest}}", name).strip() == image.digest
    assert saved(podman, folder, name) == (config, layers)


def test_manifest_list(podman: Client, remote: Remote, repository: str, folder: Path) -> None:
    name = remote.name(repository)
    podman("manifest", "create", name)
    expected = {}
    for platform in ("linux/amd64", "linux/arm64"):
        member = f"localhost/{repository}/{platform}"
        expected[platform] = build(podman, folder, member, "--platform", platform)
        podman("manifest", "add", name, f"containers-storage:{member}")
    podman("manifest", "push", "--all", PLAIN, name, f"docker://{name}")
    content = remote.content(repository)
    assert isinstance(content, Index)
    assert {image.platform(): image.files() for image in content.images} == expected
    podman("pull", PLAIN, "--platform", "linux/arm64", name)
    [found] = [image for image in content.images if image.platform() == "linux/arm64"]
    assert (
        podman("image", "inspect", "--format", "{{.Id}}", found.config.digest).strip() in found.config.digest
    )


def test_search_of_tags(podman: Client, remote: Remote, repository: str, folder: Path) -> None:
    build(podman, folder, remote.name(repository, "one"), parts=1)
    for tag in ("one", "two"):
        podman("push", PLAIN, remote.name(repository, "one"), remote.name(repository, tag))
    listed = json.loads(
        podman("search", PLAIN, "--list-tags", "--format", "json", f"{remote.address}/{repository}")
    )
    assert [sorted(each["Tags"]) for each in listed] == [["one", "two"]]


def test_delete_and_push_again(podman: Client, remote: Remote, repository: str, folder: Path) -> None:
    name = remote.name(repository)
    files = build(podman, folder, name)
    podman("push", PLAIN, name)
    remote.delete_image(repository, remote.image(repository))
    assert "manifest unknown" in podman.refused("pull", PLAIN, name)
    podman("push", PLAIN, name)
    assert remote.image(repository).files() == files
