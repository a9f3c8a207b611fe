"""Images on disk: OCI image layouts (folders and tar files) and what `docker save` writes."""

import io
import json
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.engines.images import OCI_INDEX, Blob, Image, Index, sha256

REFERENCE_NAME = "org.opencontainers.image.ref.name"

ReadBlob = Callable[[str], bytes]
"""From the digest of a blob to its bytes."""


def write_layout(folder: Path, **tagged: Image | Index) -> Path:
    """An OCI image layout that holds each image or index under its tag."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    descriptors = []
    for tag, content in tagged.items():
        images = content.images if isinstance(content, Index) else (content,)
        parts = [content.manifest, *(part for image in images for part in (image.manifest, *image.blobs))]
        for part in parts:
            (blobs / part.digest.removeprefix("sha256:")).write_bytes(part.data)
        descriptors.append({**content.manifest.descriptor(), "annotations": {REFERENCE_NAME: tag}})
    finish_layout(folder, descriptors)
    return folder


def finish_layout(folder: Path, descriptors: Sequence[dict[str, object]]) -> None:
    """The two files that make a folder of blobs an image layout."""
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": descriptors}
    (folder / "index.json").write_text(json.dumps(index))


def write_layout_archive(file: Path, folder: Path) -> Path:
    """An image layout as one tar file, the form `ctr images import` takes."""
    with tarfile.open(file, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.add(path, str(path.relative_to(folder)), recursive=False)
    return file


def read_layout(folder: Path) -> Image | Index:
    """The one image or index of a layout, every digest compared with the bytes."""
    [descriptor] = json.loads((folder / "index.json").read_text())["manifests"]
    blobs = folder / "blobs"
    return read_content(lambda digest: (blobs / digest.replace(":", "/")).read_bytes(), descriptor)


def read_layout_archive(file: Path) -> Image | Index:
    """As `read_layout`, from a tar file."""
    with tarfile.open(file) as archive:
        [descriptor] = json.loads(member(archive, "index.json"))["manifests"]
        return read_content(lambda digest: member(archive, "blobs/" + digest.replace(":", "/")), descriptor)


def read_content(read: ReadBlob, descriptor: dict[str, Any]) -> Image | Index:
    """The image or index that `descriptor` names. Checks digest and size of everything it reads."""
    manifest = read_part(read, descriptor)
    fields = manifest.json()
    if "manifests" in fields:
        images = tuple(read_image(read, child) for child in fields["manifests"])
        return Index(manifest, images)
    return read_image(read, descriptor)


def read_image(read: ReadBlob, descriptor: dict[str, Any]) -> Image:
    manifest = read_part(read, descriptor)
    fields = manifest.json()
    layers = tuple(read_part(read, layer) for layer in fields["layers"])
    return Image(manifest, read_part(read, fields["config"]), layers)


def read_part(read: ReadBlob, descriptor: dict[str, Any]) -> Blob:
    part = Blob(descriptor["mediaType"], read(descriptor["digest"]))
    assert (part.digest, len(part.data)) == (descriptor["digest"], descriptor["size"])
    return part


def read_skopeo_folder(folder: Path) -> Image:
    """The image of a folder that `skopeo copy ... dir:` wrote: a manifest, and blobs named by their hex."""
    data = (folder / "manifest.json").read_bytes()
    descriptor = {"mediaType": json.loads(data)["mediaType"], "digest": sha256(data), "size": len(data)}

    def read(digest: str) -> bytes:
        if digest == descriptor["digest"]:
            return data
        return (folder / digest.removeprefix("sha256:")).read_bytes()

    return read_image(read, descriptor)


def read_docker_archive(file: Path) -> tuple[bytes, list[bytes]]:
    """The configuration and the uncompressed layers of the one image that `docker save` wrote to `file`."""
    with tarfile.open(file) as archive:
        [entry] = json.loads(member(archive, "manifest.json"))
        return member(archive, entry["Config"]), [member(archive, layer) for layer in entry["Layers"]]


def member(archive: tarfile.TarFile, name: str) -> bytes:
    found = archive.getmember(name)
    if found.issym():
        # Older engines save a layer that occurs twice as a link to the first one: ../<id>/layer.tar
        return member(archive, found.linkname.removeprefix("../"))
    content = archive.extractfile(found)
    assert isinstance(content, io.BufferedReader)
    return content.read()
