"""Content to push: blobs, image manifests and indexes."""

import hashlib
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

from registry.oci.media_types import MANIFEST_TYPES, OCI_INDEX, OCI_MANIFEST
from tests.http.answers import Answer
from tests.http.client import Client

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
EMPTY_CONFIG = b"{}"
REPOSITORY = "team/app"
MISSING = "sha256:" + 64 * "0"
"""A digest that nothing has."""


def digest_of(content: bytes, algorithm: str = "sha256") -> str:
    return f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}"


def descriptor(content: bytes, media_type: str = LAYER_TYPE, **members: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content), **members}


def image(config: bytes = EMPTY_CONFIG, layers: Iterable[bytes] = (), **members: Any) -> bytes:
    """An OCI image manifest; `members` replace or add members of it, and None leaves one out."""
    return document(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": descriptor(config, CONFIG_TYPE),
            "layers": [descriptor(layer) for layer in layers],
            **members,
        }
    )


def index(children: Iterable[bytes] = (), **members: Any) -> bytes:
    """An OCI image index of image manifests."""
    listed = [descriptor(child, OCI_MANIFEST) for child in children]
    return document({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed, **members})


def document(members: Mapping[str, Any]) -> bytes:
    return json.dumps({key: value for key, value in members.items() if value is not None}).encode()


def without(body: bytes, member: str) -> bytes:
    """The manifest without one member."""
    return document({**json.loads(body), member: None})


def media_type_of(body: bytes) -> str:
    media_type = str(json.loads(body)["mediaType"])
    assert media_type in MANIFEST_TYPES
    return media_type


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    """A body that is sent in these chunks, without Content-Length."""
    for part in parts:
        yield part


async def push_blob(
    client: Client, content: bytes, repository: str = REPOSITORY, algorithm: str = "sha256"
) -> str:
    """Push a blob; its digest."""
    digest = digest_of(content, algorithm)
    answer = await client.post(f"/v2/{repository}/blobs/uploads/?digest={digest}", content)
    assert answer.status == 201, answer
    return digest


async def push_manifest(
    client: Client, reference: str, body: bytes, repository: str = REPOSITORY, media_type: str | None = None
) -> Answer:
    """PUT a manifest, whatever comes of it."""
    headers = {"Content-Type": media_type or media_type_of(body)}
    return await client.put(f"/v2/{repository}/manifests/{reference}", body, headers)


async def push_image(
    client: Client, reference: str | None = None, repository: str = REPOSITORY, **members: Any
) -> bytes:
    """Push an image of an empty config and no layers, different for different members; its manifest."""
    await push_blob(client, EMPTY_CONFIG, repository)
    body = image(**members)
    answer = await push_manifest(client, reference or digest_of(body), body, repository)
    assert answer.status == 201, answer
    return body


async def start_upload(client: Client, repository: str = REPOSITORY, query: str = "") -> str:
    """Open a session; its address."""
    answer = await client.post(f"/v2/{repository}/blobs/uploads/{query}")
    assert answer.status == 202, answer
    return answer.headers["Location"]
