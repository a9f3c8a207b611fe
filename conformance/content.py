"""Blobs and manifests to push. Everything is random, so that no two tests share content by chance."""

import hashlib
import json
import secrets
from dataclasses import dataclass

OCI_IMAGE = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_IMAGE = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
EMPTY = "application/vnd.oci.empty.v1+json"
HEX_LENGTHS = {"sha256": 64, "sha512": 128}

Json = dict[str, object]


def digest_of(content: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


def random_bytes(size: int) -> bytes:
    return secrets.token_bytes(size)


def random_digest(algorithm: str = "sha256") -> str:
    """A well-formed digest of content that nobody has."""
    return f"{algorithm}:{secrets.token_hex(HEX_LENGTHS[algorithm] // 2)}"


def descriptor(media_type: str, content: bytes, algorithm: str = "sha256", **fields: object) -> Json:
    """Media type, digest and size of `content`, and whatever else `fields` say."""
    digest = digest_of(content, algorithm)
    return {"mediaType": media_type, "digest": digest, "size": len(content), **fields}


@dataclass(frozen=True)
class Manifest:
    """A manifest as it is sent: its bytes are what the digest is of."""

    media_type: str
    body: bytes

    @property
    def digest(self) -> str:
        return digest_of(self.body)

    def digest_by(self, algorithm: str) -> str:
        return digest_of(self.body, algorithm)

    def as_descriptor(self, **fields: object) -> Json:
        return {**descriptor(self.media_type, self.body), **fields}


def encode(media_type: str, document: Json) -> Manifest:
    return Manifest(media_type, json.dumps(document, indent=2).encode())


def image(config: Json, layers: list[Json], media_type: str = OCI_IMAGE, **fields: object) -> Manifest:
    """An image manifest. A field given as None is left out."""
    document: Json = {"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": layers}
    document.update(fields)
    return encode(media_type, {key: value for key, value in document.items() if value is not None})


def index(children: list[Json], media_type: str = OCI_INDEX, **fields: object) -> Manifest:
    """An image index or a Docker manifest list. A field given as None is left out."""
    document: Json = {"schemaVersion": 2, "mediaType": media_type, "manifests": children, **fields}
    return encode(media_type, {key: value for key, value in document.items() if value is not None})
