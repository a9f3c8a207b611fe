"""Which manifests are taken, and which are refused with 400 MANIFEST_INVALID (image-spec)."""

import base64
import json

import pytest

from conformance.client import Response
from conformance.content import (
    DOCKER_IMAGE,
    DOCKER_LIST,
    DOCKER_SCHEMA1,
    EMPTY,
    OCI_CONFIG,
    OCI_IMAGE,
    OCI_INDEX,
    OCI_LAYER,
    Json,
    Manifest,
    descriptor,
    image,
    index,
    random_bytes,
)
from conformance.repository import Repository

pytestmark = pytest.mark.section("Manifest validation")

REFUSED = (400, ["MANIFEST_INVALID"])


def altered(repository: Repository, **fields: object) -> Manifest:
    """A good image manifest with some fields replaced; None removes one."""
    document: Json = {**json.loads(repository.new_image().body), **fields}
    body = json.dumps({key: value for key, value in document.items() if value is not None})
    return Manifest(OCI_IMAGE, body.encode())


def put(repository: Repository, body: bytes, content_type: str | None = OCI_IMAGE) -> Response:
    headers = {"Content-Type": content_type} if content_type else {}
    return repository.client.request("PUT", repository.manifest("latest"), body, headers)


@pytest.mark.expected
@pytest.mark.parametrize(
    ("config_type", "layer_type"),
    [
        ("application/vnd.cncf.helm.config.v1+json", "application/vnd.cncf.helm.chart.content.v1.tar+gzip"),
        ("application/vnd.wasm.config.v0+json", "application/wasm"),
        ("application/vnd.cncf.flux.config.v1+json", "application/vnd.cncf.flux.content.v1.tar+gzip"),
        (EMPTY, "text/plain"),
    ],
    ids=["helm", "wasm", "flux", "text"],
)
def test_manifest_validation__expected_any_media_types(
    repository: Repository, config_type: str, layer_type: str
) -> None:
    """Config and layers of any media type are taken"""
    config, _ = repository.push_blob(b"{}")
    layer, _ = repository.push_blob()
    manifest = image(descriptor(config_type, config), [descriptor(layer_type, layer)])
    assert repository.put_manifest(manifest, "latest").status == 201


@pytest.mark.expected
def test_manifest_validation__expected_embedded_data(repository: Repository) -> None:
    """Descriptors may embed their content in `data`"""
    config, _ = repository.push_blob(b"{}")
    data = base64.b64encode(config).decode()
    manifest = image(descriptor(EMPTY, config, data=data), [])
    assert repository.put_manifest(manifest, "latest").status == 201


@pytest.mark.expected
@pytest.mark.parametrize(
    "layer_type",
    [
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    ],
    ids=["OCI", "Docker"],
)
def test_manifest_validation__expected_layers_from_elsewhere(repository: Repository, layer_type: str) -> None:
    """Layers that may not be distributed need not be there, and may have `urls`"""
    config, _ = repository.push_blob(b"{}")
    foreign = descriptor(layer_type, random_bytes(100), urls=["https://example.com/layer"])
    manifest = image(descriptor(OCI_CONFIG, config), [foreign])
    assert repository.put_manifest(manifest, "latest").status == 201


@pytest.mark.expected
def test_manifest_validation__expected_an_empty_index(repository: Repository) -> None:
    """An index without manifests is taken"""
    assert repository.put_manifest(index([]), "latest").status == 201


@pytest.mark.expected
def test_manifest_validation__expected_an_index_of_indexes(repository: Repository) -> None:
    """An index may list indexes"""
    inner = repository.push_manifest(index([repository.push_image().as_descriptor()]))
    assert repository.put_manifest(index([inner.as_descriptor()]), "latest").status == 201


@pytest.mark.expected
@pytest.mark.parametrize("kind", [DOCKER_IMAGE, DOCKER_LIST], ids=["image", "list"])
def test_manifest_validation__expected_docker_schema_2(repository: Repository, kind: str) -> None:
    """Docker's schema 2 manifests and lists are taken"""
    manifest = repository.new_image(media_type=DOCKER_IMAGE)
    if kind == DOCKER_LIST:
        manifest = index([repository.push_manifest(manifest).as_descriptor()], DOCKER_LIST)
    assert repository.put_manifest(manifest, "latest").status == 201


@pytest.mark.expected
@pytest.mark.parametrize("declared", ["mediaType", "nothing"])
@pytest.mark.parametrize("kind", ["image", "index"])
def test_manifest_validation__expected_recognition(repository: Repository, kind: str, declared: str) -> None:
    """Without Content-Type the manifest is recognised by what it says, or by what it has"""
    media_type = OCI_IMAGE if kind == "image" else OCI_INDEX
    if kind == "image":
        manifest = altered(repository, mediaType=media_type if declared == "mediaType" else None)
    else:
        manifest = index([], mediaType=media_type if declared == "mediaType" else None)
    assert put(repository, manifest.body, None).status == 201
    response = repository.get(repository.manifest("latest"), {"Accept": media_type})
    assert (response.header("Content-Type"), response.body) == (media_type, manifest.body)


@pytest.mark.expected
@pytest.mark.parametrize(
    "media_type", [DOCKER_SCHEMA1, "application/json", "text/plain"], ids=["schema 1", "JSON", "text"]
)
def test_manifest_validation__expected_refusal_of_other_types(
    repository: Repository, media_type: str
) -> None:
    """Schema 1 and unknown manifest types are MANIFEST_INVALID"""
    body = altered(repository, mediaType=media_type).body
    response = put(repository, body, media_type)
    assert (response.status, response.error_codes) == REFUSED


@pytest.mark.expected
def test_manifest_validation__expected_refusal_of_two_types(repository: Repository) -> None:
    """A Content-Type that is not the manifest's mediaType is MANIFEST_INVALID"""
    response = put(repository, altered(repository, mediaType=DOCKER_IMAGE).body, OCI_IMAGE)
    assert (response.status, response.error_codes) == REFUSED


@pytest.mark.expected
@pytest.mark.parametrize("media_type", [OCI_IMAGE, OCI_INDEX], ids=["image", "index"])
def test_manifest_validation__expected_refusal_of_ambiguity(repository: Repository, media_type: str) -> None:
    """A manifest that is image and index at once is MANIFEST_INVALID (CVE-2021-41190)"""
    body = altered(repository, mediaType=None, manifests=[]).body
    response = put(repository, body, media_type)
    assert (response.status, response.error_codes) == REFUSED


@pytest.mark.expected
@pytest.mark.parametrize("version", [1, 3, "2", None])
def test_manifest_validation__expected_schema_version_2(repository: Repository, version: object) -> None:
    """A schemaVersion that is not 2 is MANIFEST_INVALID"""
    response = put(repository, altered(repository, schemaVersion=version).body)
    assert (response.status, response.error_codes) == REFUSED


BROKEN = {
    "nothing": b"",
    "not JSON": b"manifest",
    "truncated": b'{"schemaVersion": 2, "mediaType": "',
    "a list": b"[]",
    "a string": b'"manifest"',
    "null": b"null",
    "bad UTF-8": b'{"schemaVersion": 2, "x": "\xff"}',
    "a byte order mark": b'\xef\xbb\xbf{"schemaVersion": 2}',
    "deep": b'{"schemaVersion": 2, "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a long number": b'{"schemaVersion": 2, "x": ' + b"9" * 5000 + b"}",
    "no layers": b'{"schemaVersion": 2}',
}


@pytest.mark.expected
@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN.keys())
def test_manifest_validation__expected_refusal_of_no_manifest(repository: Repository, body: bytes) -> None:
    """What is no manifest is MANIFEST_INVALID"""
    response = put(repository, body)
    assert (response.status, response.error_codes) == REFUSED


@pytest.mark.expected
@pytest.mark.parametrize("size", [-1, "700", 699, None, 1.5])
def test_manifest_validation__expected_true_sizes(repository: Repository, size: object) -> None:
    """A descriptor whose size is no number, or not the blob's, answers 400"""
    config, _ = repository.push_blob(b"{}")
    layer, _ = repository.push_blob()
    wrong = {**descriptor(OCI_LAYER, layer), "size": size}
    assert repository.put_manifest(image(descriptor(OCI_CONFIG, config), [wrong]), "latest").status == 400
