"""A docker-registry to take over, and trees in its form that are made by hand."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.engines.images import Blob, Image, Index, sha256
from tests.engines.remote import Remote
from tests.support.registries import running_program
from tests.support.tools import tool

ROOT = "docker/registry/v2"


@dataclass(frozen=True)
class OldRegistry(Remote):
    """A docker-registry that runs. It takes no blob in one request."""

    def push_blob(self, repository: str, data: bytes) -> None:
        begun = self.request("POST", f"/v2/{repository}/blobs/uploads/")
        assert begun.status == 202
        target = begun.headers["Location"].removeprefix(f"http://{self.address}")
        headers = {"Content-Type": "application/octet-stream"}
        answer = self.request("PUT", f"{target}&digest={sha256(data)}", headers, data)
        assert answer.status == 201, answer

    def push_manifest(self, repository: str, manifest: Blob, reference: str | None = None) -> None:
        target = f"/v2/{repository}/manifests/{reference or manifest.digest}"
        answer = self.request("PUT", target, {"Content-Type": manifest.media_type}, manifest.data)
        assert answer.status == 201, answer

    def push(self, repository: str, content: Image | Index, *tags: str) -> None:
        for image in content.images if isinstance(content, Index) else (content,):
            for blob in image.blobs:
                self.push_blob(repository, blob.data)
            self.push_manifest(repository, image.manifest)
        for tag in tags or (content.digest,):
            self.push_manifest(repository, content.manifest, tag)


@contextmanager
def running_old_registry(folder: Path, storage: Mapping[str, object]) -> Iterator[OldRegistry]:
    """Run docker-registry; `storage` is its driver with that driver's settings."""
    program = tool("docker-registry", "apt-get install docker-registry")

    def configuration(address: str) -> Mapping[str, object]:
        return {
            "version": 0.1,
            "log": {"level": "error"},
            "storage": {**storage, "delete": {"enabled": True}},
            "http": {"addr": address, "secret": "of the tests"},
        }

    with running_program(program, folder, configuration) as address:
        yield OldRegistry(address)


class Tree:
    """A tree as docker-registry leaves it, below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def blob(self, digest: str) -> Path:
        algorithm, _, encoded = digest.partition(":")
        return self.root / ROOT / "blobs" / algorithm / encoded[:2] / encoded / "data"

    def layer(self, repository: str, digest: str) -> Path:
        return self.root / ROOT / "repositories" / repository / "_layers" / digest.replace(":", "/") / "link"

    def revision(self, repository: str, digest: str) -> Path:
        return (
            self.root / ROOT / "repositories" / repository
            / "_manifests" / "revisions" / digest.replace(":", "/") / "link"
        )  # fmt: skip

    def tag(self, repository: str, tag: str) -> Path:
        return (
            self.root / ROOT / "repositories" / repository / "_manifests" / "tags" / tag / "current" / "link"
        )

    def write_manifest(self, repository: str, manifest: Blob, *tags: str) -> None:
        write(self.blob(manifest.digest), manifest.data)
        write(self.revision(repository, manifest.digest), manifest.digest.encode())
        for tag in tags:
            write(self.tag(repository, tag), manifest.digest.encode())

    def write_image(self, repository: str, image: Image, *tags: str) -> None:
        for blob in image.blobs:
            write(self.blob(blob.digest), blob.data)
            write(self.layer(repository, blob.digest), blob.digest.encode())
        self.write_manifest(repository, image.manifest, *tags)


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
