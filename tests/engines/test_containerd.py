"""containerd, through ctr: push, pull, indexes, mounts."""

from pathlib import Path

from tests.engines.clients import Client
from tests.engines.containerd import fresh, put_in, taken_out
from tests.engines.images import make_image, make_index
from tests.engines.recorder import Recording
from tests.engines.remote import Remote


def test_push_and_pull(ctr: Client, remote: Remote, repository: str, folder: Path) -> None:
    image = make_image()
    name = remote.name(repository)
    put_in(ctr, folder, name, image)
    ctr("images", "push", "--plain-http", name)
    assert remote.image(repository) == image
    other = fresh(ctr)
    other("images", "pull", "--plain-http", "--snapshotter", "native", name)
    assert taken_out(other, folder, name) == image


def test_every_platform(ctr: Client, remote: Remote, repository: str, folder: Path) -> None:
    index = make_index()
    name = remote.name(repository)
    put_in(ctr, folder, name, index)
    ctr("images", "push", "--plain-http", name)
    assert remote.content(repository) == index
    other = fresh(ctr)
    other("images", "pull", "--plain-http", "--snapshotter", "native", "--all-platforms", name)
    assert taken_out(other, folder, name) == index


def test_push_to_another_repository_mounts(
    ctr: Client, remote: Remote, recording: Recording, repository: str, folder: Path
) -> None:
    first, second = f"{repository}/first", f"{repository}/second"
    name, copy = f"{recording.address}/{first}:latest", f"{recording.address}/{second}:latest"
    image = make_image()
    put_in(ctr, folder, name, image)
    ctr("images", "push", "--plain-http", name)
    # Only what was pulled carries the label that says which repository it can be mounted from.
    other = fresh(ctr)
    other("images", "pull", "--plain-http", "--snapshotter", "native", name)
    other("images", "tag", name, copy)
    other("images", "push", "--plain-http", copy)
    assert remote.image(second) == image
    assert recording.mounted(second) == {blob.digest for blob in image.blobs}
    assert recording.uploaded(second) == 0


def test_delete_and_push_again(ctr: Client, remote: Remote, repository: str, folder: Path) -> None:
    image = make_image()
    name = remote.name(repository)
    put_in(ctr, folder, name, image)
    ctr("images", "push", "--plain-http", name)
    remote.delete_image(repository, image)
    other = fresh(ctr)
    assert "not found" in other.refused("images", "pull", "--plain-http", "--snapshotter", "native", name)
    ctr("images", "push", "--plain-http", name)
    assert remote.image(repository) == image
