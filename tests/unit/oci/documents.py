"""Manifests to try things on."""

import json

from registry.oci.media_types import OCI_INDEX, OCI_MANIFEST

DIGEST = "sha256:" + "a" * 64
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG = "application/vnd.oci.image.config.v1+json"


def descriptor(**members: object) -> dict[str, object]:
    return {"mediaType": LAYER, "digest": DIGEST, "size": 7} | members


def image(**members: object) -> dict[str, object]:
    return {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(mediaType=CONFIG, size=2),
        "layers": [descriptor(digest=f"sha256:{number:064x}", size=number) for number in range(3)],
    } | members


def index(**members: object) -> dict[str, object]:
    return {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [descriptor(mediaType=OCI_MANIFEST)],
    } | members


def encode(document: object) -> bytes:
    return json.dumps(document).encode()


def without(document: dict[str, object], *members: str) -> dict[str, object]:
    return {key: value for key, value in document.items() if key not in members}
