"""The Python client oras: files as an artifact, and the plain calls below it."""

import os
from pathlib import Path

import oras.client
import oras.oci
import oras.provider
import pytest

from tests.engines.remote import Remote


def test_push_and_pull_files(remote: Remote, repository: str, work: Path) -> None:
    files = {"model.bin": os.urandom(500_000), "notes.txt": b"some notes"}
    for name, content in files.items():
        (work / name).write_bytes(content)
    client = oras.client.OrasClient(hostname=remote.address, insecure=True)
    target = remote.name(repository, "v1")
    answer = client.push(target=target, files=list(files), manifest_annotations={"made": "here"})
    assert answer.status_code == 201
    pushed = remote.manifest(repository, "v1")
    assert pushed.json()["annotations"]["made"] == "here"
    stored = [remote.blob(repository, layer["digest"]) for layer in pushed.json()["layers"]]
    assert stored == list(files.values())
    back = work / "back"
    client.pull(target=target, outdir=str(back))
    assert {name: (back / name).read_bytes() for name in files} == files
    assert client.get_tags(f"{remote.address}/{repository}") == ["v1"]


@pytest.mark.parametrize("in_chunks", [False, True])
def test_plain_blob(remote: Remote, repository: str, work: Path, in_chunks: bool) -> None:
    content = os.urandom(300_000)
    (work / "blob").write_bytes(content)
    registry = oras.provider.Registry(remote.address, insecure=True)
    container = registry.get_container(remote.name(repository))
    layer = oras.oci.NewLayer(str(work / "blob"), "application/octet-stream")
    answer = registry.upload_blob(
        str(work / "blob"), container, layer, do_chunked=in_chunks, chunk_size=100_000
    )
    assert answer.status_code in (200, 201, 202)
    assert remote.blob(repository, layer["digest"]) == content
    assert registry.get_blob(container, layer["digest"]).content == content
    assert registry.blob_exists(layer, container)
