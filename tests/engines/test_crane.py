"""crane (go-containerregistry): push, pull, copy, index, tags, append, mutate, delete."""

from pathlib import Path

from tests.engines.clients import Client
from tests.engines.images import Index, make_image, make_index, tar
from tests.engines.layouts import read_layout, write_layout
from tests.engines.recorder import Recording
from tests.engines.remote import Remote


def test_push_and_pull(crane: Client, remote: Remote, repository: str, folder: Path) -> None:
    image = make_image()
    name = remote.name(repository)
    crane("push", write_layout(folder / "out", latest=image), name)
    assert remote.image(repository) == image
    crane("pull", "--format=oci", name, folder / "back")
    assert read_layout(folder / "back") == image
    assert crane("digest", name).strip() == image.digest
    assert crane("manifest", name).encode() == image.manifest.data
    assert crane("config", name).encode() == image.config.data
    assert crane("blob", f"{remote.address}/{repository}@{image.config.digest}").encode() == image.config.data
    crane("validate", "--remote", name)


def test_index_of_images_pushed_before(crane: Client, remote: Remote, repository: str, folder: Path) -> None:
    images = make_index().images
    members = [f"{remote.address}/{repository}@{image.digest}" for image in images]
    for number, image in enumerate(images):
        crane("push", write_layout(folder / f"{number}", latest=image), members[number])
    arguments = [argument for member in members for argument in ("--manifest", member)]
    crane("index", "append", *arguments, "--tag", remote.name(repository))
    content = remote.content(repository)
    assert isinstance(content, Index)
    assert content.images == images
    crane("pull", "--format=oci", remote.name(repository), folder / "back")
    assert read_layout(folder / "back") == content
    for image in images:
        platform = ("--platform", image.platform())
        assert crane("digest", *platform, remote.name(repository)).strip() == image.digest


def test_copy_between_repositories_mounts_the_layers(
    crane: Client, remote: Remote, recording: Recording, repository: str, folder: Path
) -> None:
    image = make_image()
    source = f"{recording.address}/{repository}:latest"
    crane("push", write_layout(folder / "out", latest=image), source)
    assert recording.uploaded(repository) == sum(len(blob.data) for blob in image.blobs)
    copy = f"{repository}/copy"
    crane("copy", source, f"{recording.address}/{copy}:latest")
    assert remote.image(copy) == image
    assert recording.mounted(copy) >= {layer.digest for layer in image.layers}
    assert recording.uploaded(copy) <= len(image.config.data)


def test_tags(crane: Client, remote: Remote, repository: str, folder: Path) -> None:
    image = make_image()
    crane("push", write_layout(folder / "out", latest=image), remote.name(repository))
    for tag in ("v2", "v1", "V1.0_a-b"):
        crane("tag", remote.name(repository), tag)
    listed = crane("ls", f"{remote.address}/{repository}").split()
    assert sorted(listed) == sorted(["latest", "v1", "v2", "V1.0_a-b"])
    assert {crane("digest", remote.name(repository, tag)).strip() for tag in listed} == {image.digest}
    assert repository in crane("catalog", remote.address).split()


def test_append_and_mutate(crane: Client, remote: Remote, repository: str, folder: Path) -> None:
    base = make_image([{"base": b"here"}])
    crane("push", write_layout(folder / "out", latest=base), remote.name(repository, "base"))
    (folder / "layer.tar").write_bytes(tar({"added": b"layer"}))
    appended, mutated = remote.name(repository, "appended"), remote.name(repository, "mutated")
    crane("append", "-b", remote.name(repository, "base"), "-f", folder / "layer.tar", "-t", appended)
    crane("mutate", "--label", "colour=blue", "--annotation", "kind=test", "-t", mutated, appended)
    image = remote.image(repository, "mutated")
    assert image.files() == {"base": b"here", "added": b"layer"}
    assert image.layers[0] == base.layers[0]
    assert image.config.json()["config"]["Labels"]["colour"] == "blue"
    assert image.manifest.json()["annotations"] == {"kind": "test"}


def test_delete_and_push_again(crane: Client, remote: Remote, repository: str, folder: Path) -> None:
    image = make_image()
    name = remote.name(repository)
    crane("push", write_layout(folder / "out", latest=image), name)
    crane("delete", f"{remote.address}/{repository}@{image.digest}")
    assert "MANIFEST_UNKNOWN" in crane.refused("manifest", name)
    assert remote.tags(repository) == []
    crane("push", folder / "out", name)
    assert remote.image(repository) == image
