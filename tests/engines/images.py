"""Images to push, made in memory: small, valid, with random content, so that no cache knows them."""

import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_MANIFEST_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Blob:
    """Bytes with their media type. Equal are two of the same type and digest; that is computed here."""

    media_type: str
    data: bytes = field(repr=False, compare=False)
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", sha256(self.data))

    def json(self) -> dict[str, Any]:
        """The JSON object that the bytes are."""
        found: dict[str, Any] = json.loads(self.data)
        return found

    def descriptor(self) -> dict[str, object]:
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.data)}


@dataclass(frozen=True)
class Image:
    """The manifest, configuration and layers of one image, exactly as they travel."""

    manifest: Blob
    config: Blob
    layers: tuple[Blob, ...]

    @property
    def digest(self) -> str:
        return self.manifest.digest

    @property
    def blobs(self) -> tuple[Blob, ...]:
        return (self.config, *self.layers)

    def files(self) -> dict[str, bytes]:
        """What a container would see: the files of all layers, the upper ones winning."""
        found: dict[str, bytes] = {}
        for blob in self.layers:
            found |= files_of_layer(blob.data)
        return found

    def platform(self) -> str:
        return "{os}/{architecture}".format_map(self.config.json())

    def descriptor(self) -> dict[str, object]:
        os_name, architecture = self.platform().split("/")
        return {
            **self.manifest.descriptor(),
            "platform": {"os": os_name, "architecture": architecture},
        }


@dataclass(frozen=True)
class Index:
    """A multi-architecture index and its images."""

    manifest: Blob
    images: tuple[Image, ...]

    @property
    def digest(self) -> str:
        return self.manifest.digest


def files_of_layer(data: bytes) -> dict[str, bytes]:
    """Path (without leading `./`) to content of every regular file of a layer, compressed or not."""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {
            member.name.removeprefix("./"): archive.extractfile(member).read()  # type: ignore[union-attr]
            for member in archive
            if member.isfile()
        }


def tar(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def random_files(count: int = 2, size: int = 2000) -> dict[str, bytes]:
    return {f"file-{os.urandom(4).hex()}": os.urandom(size) for _ in range(count)}


def make_image(
    layers: Sequence[Mapping[str, bytes]] | None = None,
    *,
    platform: str = "linux/amd64",
    compressed: bool = True,
) -> Image:
    """An OCI image with one layer for each mapping of path to content; by default two of random files."""
    tars = [tar(files) for files in layers or (random_files(), random_files())]
    if compressed:
        # Level 0: nothing that has to be compressed again on the way, and no CPU for random bytes.
        blobs = [Blob(OCI_LAYER_GZIP, gzip.compress(data, compresslevel=0, mtime=0)) for data in tars]
    else:
        blobs = [Blob(OCI_LAYER, data) for data in tars]
    os_name, architecture = platform.split("/")
    config = {
        "architecture": architecture,
        "os": os_name,
        "config": {"Labels": {"made-for": os.urandom(8).hex()}},
        "rootfs": {"type": "layers", "diff_ids": [sha256(data) for data in tars]},
        "history": [{"created_by": f"layer {number}"} for number in range(len(tars))],
    }
    return assemble(Blob(OCI_CONFIG, json.dumps(config).encode()), blobs)


def assemble(config: Blob, layers: Sequence[Blob]) -> Image:
    """The OCI image made of these parts."""
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": config.descriptor(),
        "layers": [blob.descriptor() for blob in layers],
    }
    return Image(Blob(OCI_MANIFEST, json.dumps(manifest).encode()), config, tuple(layers))


def make_index(platforms: Sequence[str] = ("linux/amd64", "linux/arm64")) -> Index:
    """An OCI index with an image of its own for each platform."""
    images = tuple(make_image(platform=platform) for platform in platforms)
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [image.descriptor() for image in images],
    }
    return Index(Blob(OCI_INDEX, json.dumps(manifest).encode()), images)
