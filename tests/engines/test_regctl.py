"""regctl (regclient): copy, uploads in chunks, tags, artifacts that refer to an image."""

import json
from pathlib import Path

import pytest

from tests.engines.clients import Client
from tests.engines.images import make_image, make_index, random_files
from tests.engines.layouts import read_layout, write_layout
from tests.engines.recorder import Recording
from tests.engines.remote import Remote


def test_copy_there_and_back(regctl: Client, remote: Remote, repository: str, folder: Path) -> None:
    index = make_index()
    write_layout(folder / "out", latest=index)
    name = remote.name(repository)
    regctl("image", "copy", f"ocidir://{folder}/out:latest", name)
    assert remote.content(repository) == index
    regctl("image", "copy", name, f"ocidir://{folder}/back:latest")
    assert read_layout(folder / "back") == index
    assert regctl("image", "digest", name).strip() == index.digest
    assert regctl("manifest", "get", "--format", "raw-body", name).encode() == index.manifest.data


def test_upload_in_chunks(
    regctl: Client, remote: Remote, recording: Recording, repository: str, folder: Path
) -> None:
    image = make_image([random_files(1, 300_000)])
    write_layout(folder / "out", latest=image)
    chunk = 65536
    limits = ("--blob-max", "1024", "--blob-chunk", str(chunk))
    regctl("registry", "set", "--tls", "disabled", *limits, recording.address)
    regctl("image", "copy", f"ocidir://{folder}/out:latest", f"{recording.address}/{repository}:latest")
    assert remote.image(repository) == image
    patches = [each for each in recording.exchanges if each.method == "PATCH"]
    assert {each.status for each in patches} == {202}
    [layer] = image.layers
    assert len([each for each in patches if each.body == chunk]) == len(layer.data) // chunk


def test_tags(regctl: Client, remote: Remote, repository: str, folder: Path) -> None:
    image = make_image()
    write_layout(folder / "out", latest=image)
    for tag in ("one", "two", "three"):
        regctl("image", "copy", f"ocidir://{folder}/out:latest", remote.name(repository, tag))
    assert sorted(regctl("tag", "ls", f"{remote.address}/{repository}").split()) == ["one", "three", "two"]
    regctl("tag", "rm", remote.name(repository, "two"))
    assert sorted(remote.tags(repository)) == ["one", "three"]
    assert remote.image(repository, "one") == image
    assert (
        repository
        in regctl("repo", "ls", "--limit", "1000", "--last", repository[:-1], remote.address).split()
    )


def test_artifact_refers_to_an_image(regctl: Client, remote: Remote, repository: str, folder: Path) -> None:
    image = make_image()
    write_layout(folder / "out", latest=image)
    name = remote.name(repository)
    regctl("image", "copy", f"ocidir://{folder}/out:latest", name)
    for kind in ("sbom", "report"):
        options = ("--artifact-type", f"application/x.{kind}", "--file-media-type", "text/plain")
        regctl("artifact", "put", *options, "--subject", name, standard_input=kind.encode())
    listed = json.loads(regctl("artifact", "list", "--format", "{{json .}}", name))["descriptors"]
    assert {each["artifactType"] for each in listed} == {"application/x.sbom", "application/x.report"}
    wanted = ("--filter-artifact-type", "application/x.sbom")
    assert regctl("artifact", "get", "--subject", name, *wanted) == "sbom"


@pytest.mark.usefixtures("referrers_api")
def test_artifact_needs_no_tag(regctl: Client, remote: Remote, repository: str, folder: Path) -> None:
    image = make_image()
    write_layout(folder / "out", latest=image)
    name = remote.name(repository)
    regctl("image", "copy", f"ocidir://{folder}/out:latest", name)
    regctl("artifact", "put", "--artifact-type", "application/x.note", "--subject", name, standard_input=b"!")
    [artifact] = remote.referrers(repository, image.digest)
    assert artifact["artifactType"] == "application/x.note"
    assert remote.tags(repository) == ["latest"], "a client that misses the referrers API writes a tag"


def test_delete_and_push_again(regctl: Client, remote: Remote, repository: str, folder: Path) -> None:
    image = make_image()
    write_layout(folder / "out", latest=image)
    name = remote.name(repository)
    regctl("image", "copy", f"ocidir://{folder}/out:latest", name)
    regctl("manifest", "delete", f"{remote.address}/{repository}@{image.digest}")
    for blob in image.blobs:
        regctl("blob", "delete", f"{remote.address}/{repository}", blob.digest)
    assert not any(remote.has_blob(repository, blob.digest) for blob in image.blobs)
    regctl("image", "copy", f"ocidir://{folder}/out:latest", name)
    assert remote.image(repository) == image
