"""buildah: commit without a daemon, push in both formats, pull, manifest lists."""

from pathlib import Path

import pytest

from tests.engines.clients import Client
from tests.engines.containers import PLAIN, commit
from tests.engines.images import DOCKER_MANIFEST, OCI_MANIFEST, Index
from tests.engines.layouts import read_layout
from tests.engines.remote import Remote


@pytest.mark.parametrize(("form", "media_type"), [("oci", OCI_MANIFEST), ("v2s2", DOCKER_MANIFEST)])
def test_commit_push_and_pull(
    buildah: Client, remote: Remote, repository: str, folder: Path, form: str, media_type: str
) -> None:
    name = remote.name(repository)
    files = commit(buildah, folder, name)
    buildah("push", PLAIN, "--format", form, name, f"docker://{name}")
    image = remote.image(repository)
    assert image.manifest.media_type == media_type
    assert image.files() == files
    buildah("rmi", name)
    buildah("pull", PLAIN, name)
    pulled = buildah("images", "--no-trunc", "--format", "{{.ID}} {{.Digest}}", name)
    assert pulled.split() == [image.config.digest, image.digest]
    buildah("push", name, f"oci:{folder}/back")
    back = read_layout(folder / "back")
    assert not isinstance(back, Index)
    assert back.files() == files


def test_manifest_list(buildah: Client, remote: Remote, repository: str, folder: Path) -> None:
    name = remote.name(repository)
    buildah("manifest", "create", name)
    expected = {}
    for architecture in ("amd64", "arm64"):
        member = f"localhost/{repository}/{architecture}"
        expected[f"linux/{architecture}"] = commit(buildah, folder, member, "--arch", architecture)
        buildah("manifest", "add", name, f"containers-storage:{member}")
    buildah("manifest", "push", "--all", PLAIN, name, f"docker://{name}")
    content = remote.content(repository)
    assert isinstance(content, Index)
    assert {image.platform(): image.files() for image in content.images} == expected


def test_delete_and_push_again(buildah: Client, remote: Remote, repository: str, folder: Path) -> None:
    name = remote.name(repository)
    files = commit(buildah, folder, name)
    buildah("push", PLAIN, name, f"docker://{name}")
    remote.delete_image(repository, remote.image(repository))
    buildah("push", PLAIN, name, f"docker://{name}")
    assert remote.image(repository).files() == files
