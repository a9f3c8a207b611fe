"""The Docker Engine, with both of its image stores: build, push, pull, tags, mounts, delete."""

import re
from pathlib import Path

from tests.engines.docker import Engine
from tests.engines.images import Image, random_files, sha256
from tests.engines.recorder import Recording
from tests.engines.remote import Remote


def pushed_as_built(docker: Engine, remote: Remote, repository: str, name: str, folder: Path) -> Image:
    """The image in the registry, after a comparison with what the engine itself says it has."""
    image = remote.image(repository)
    config, layers = docker.saved(name, folder)
    assert image.config.data == config
    assert image.config.json()["rootfs"]["diff_ids"] == [sha256(layer) for layer in layers]
    return image


def test_build_push_and_pull(docker: Engine, remote: Remote, repository: str, folder: Path) -> None:
    name = remote.name(repository)
    files = docker.build(name, random_files(), random_files(3, 100_000))
    docker.docker("push", name)
    image = pushed_as_built(docker, remote, repository, name, folder)
    assert image.files() == files
    built = docker.saved(name, folder)
    identity = docker.identity(name)
    docker.docker("rmi", name)
    docker.docker("pull", name)
    assert docker.identity(name) == identity
    assert docker.saved(name, folder) == built
    docker.docker("rmi", name)
    docker.docker("pull", f"{remote.address}/{repository}@{image.digest}")


def test_all_tags(docker: Engine, remote: Remote, repository: str) -> None:
    tags = ["first", "second", "third"]
    docker.build(remote.name(repository, "first"), random_files())
    for tag in tags[1:]:
        docker.docker("tag", remote.name(repository, "first"), remote.name(repository, tag))
    docker.docker("push", "--all-tags", f"{remote.address}/{repository}")
    assert sorted(remote.tags(repository)) == tags
    assert len({remote.manifest(repository, tag).digest for tag in tags}) == 1
    for tag in tags:
        docker.docker("rmi", remote.name(repository, tag))
    docker.docker("pull", "--all-tags", f"{remote.address}/{repository}")
    assert len({docker.identity(remote.name(repository, tag)) for tag in tags}) == 1


def test_push_to_another_repository_mounts(
    docker: Engine, remote: Remote, recording: Recording, repository: str, folder: Path
) -> None:
    first, second = f"{repository}/first", f"{repository}/second"
    name, copy = f"{recording.address}/{first}", f"{recording.address}/{second}"
    docker.build(name, random_files(), random_files())
    docker.docker("push", name)
    image = remote.image(first)
    assert recording.uploaded(first) == sum(len(blob.data) for blob in image.blobs)
    docker.docker("tag", name, copy)
    docker.docker("push", copy)
    assert remote.image(second) == image
    assert recording.mounted(second) >= {layer.digest for layer in image.layers}
    assert recording.uploaded(second) <= len(image.config.data)


def test_delete_and_push_again(docker: Engine, remote: Remote, repository: str) -> None:
    name = remote.name(repository)
    docker.build(name, random_files())
    docker.docker("push", name)
    image = remote.image(repository)
    remote.delete_image(repository, image)
    assert re.search("manifest unknown|not found", docker.docker.refused("pull", name))
    docker.docker("push", name)
    assert remote.image(repository) == image
    docker.docker("rmi", name)
    docker.docker("pull", name)
