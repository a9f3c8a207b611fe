"""An image whose one layer is too big to be held in memory."""

import hashlib
import json
import os
import tarfile
from pathlib import Path

from tests.engines.images import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, Blob
from tests.engines.layouts import finish_layout

MIB = 1 << 20


def write_huge_layout(folder: Path, size: int) -> str:
    """An OCI image layout with an uncompressed layer that holds one file of `size` bytes, whole mebibytes.

    The file is one random mebibyte again and again: as quick to make as to write. Returns the layer's digest.
    """
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    entry = tarfile.TarInfo("huge")
    entry.size = size
    piece = os.urandom(MIB)
    digest = hashlib.sha256()
    with (blobs / "layer").open("wb") as file:
        for data in (entry.tobuf(), *[piece] * (size // MIB), bytes(2 * tarfile.BLOCKSIZE)):
            digest.update(data)
            file.write(data)
        length = file.tell()
    (blobs / "layer").rename(blobs / digest.hexdigest())
    layer = f"sha256:{digest.hexdigest()}"
    rootfs = {"type": "layers", "diff_ids": [layer]}
    config = {"os": "linux", "architecture": "amd64", "config": {}, "rootfs": rootfs}
    config_blob = Blob(OCI_CONFIG, json.dumps(config).encode())
    manifest = Blob(
        OCI_MANIFEST,
        json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": OCI_MANIFEST,
                "config": config_blob.descriptor(),
                "layers": [{"mediaType": OCI_LAYER, "digest": layer, "size": length}],
            }
        ).encode(),
    )
    for blob in (config_blob, manifest):
        (blobs / blob.digest.removeprefix("sha256:")).write_bytes(blob.data)
    finish_layout(folder, [manifest.descriptor()])
    return layer


def digest_of_file(file: Path) -> str:
    with file.open("rb") as content:
        return "sha256:" + hashlib.file_digest(content, "sha256").hexdigest()
