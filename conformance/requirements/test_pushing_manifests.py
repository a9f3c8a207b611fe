"""Pushing Manifests (end-7a)."""

import json

import pytest

from conformance.content import (
    EMPTY,
    OCI_IMAGE,
    OCI_INDEX,
    Manifest,
    descriptor,
    digest_of,
    image,
    index,
    random_bytes,
    random_digest,
)
from conformance.repository import Repository

pytestmark = pytest.mark.section("Pushing Manifests")

MEBIBYTE = 1024 * 1024


def padded(repository: Repository, size: int) -> Manifest:
    """An image manifest of exactly `size` bytes, its blobs pushed."""
    small = len(repository.new_image(annotations={"padding": ""}).body)
    made = repository.new_image(annotations={"padding": "x" * (size - small)})
    assert len(made.body) == size
    return made


@pytest.mark.must
@pytest.mark.parametrize("to", ["tag", "digest"])
def test_pushing_manifests__must_answer_201(repository: Repository, to: str) -> None:
    """PUT of an image manifest answers 201"""
    manifest = repository.new_image()
    reference = "latest" if to == "tag" else manifest.digest
    assert repository.put_manifest(manifest, reference).status == 201


@pytest.mark.must
@pytest.mark.parametrize("to", ["tag", "digest"])
def test_pushing_manifests__must_give_a_pullable_location(repository: Repository, to: str) -> None:
    """201 carries the Location of the manifest, which can be pulled from there"""
    manifest = repository.new_image()
    location = repository.put_manifest(manifest, "latest" if to == "tag" else "").header("Location")
    assert location
    assert repository.get(location, {"Accept": OCI_IMAGE}).body == manifest.body


@pytest.mark.must
def test_pushing_manifests__must_take_an_index(repository: Repository) -> None:
    """PUT of an index whose manifests are there answers 201"""
    children = [repository.push_image().as_descriptor() for _ in range(2)]
    manifest = index(children)
    assert repository.put_manifest(manifest, "latest").status == 201
    assert repository.get(repository.manifest("latest"), {"Accept": OCI_INDEX}).body == manifest.body


@pytest.mark.must
def test_pushing_manifests__must_keep_the_exact_bytes(repository: Repository) -> None:
    """The manifest is stored byte for byte: blanks, order, escapes and unknown fields too"""
    document = json.loads(repository.new_image().body)
    document["vnd.example.unknown"] = {"z": [1.50, None, "\u00fc"], "a": "</>"}
    text = json.dumps(dict(reversed(document.items())), indent="\t").replace("example", "\\u0065xample")
    body = f"\n {text} \r\n".encode()
    manifest = Manifest(OCI_IMAGE, body)
    assert repository.put_manifest(manifest, "odd").status == 201
    response = repository.get(repository.manifest("odd"), {"Accept": OCI_IMAGE})
    assert (response.body, response.header("Docker-Content-Digest")) == (body, manifest.digest)


@pytest.mark.must
def test_pushing_manifests__must_name_the_digest_pushed(repository: Repository) -> None:
    """Docker-Content-Digest of 201 is the digest that the client used"""
    manifest = repository.new_image()
    assert repository.put_manifest(manifest).header("Docker-Content-Digest") == manifest.digest


@pytest.mark.must
def test_pushing_manifests__must_take_no_layers(repository: Repository) -> None:
    """The list of layers may be empty"""
    config, _ = repository.push_blob(b"{}")
    manifest = image(descriptor(EMPTY, config), [], artifactType="application/vnd.example.nothing")
    assert repository.put_manifest(manifest, "latest").status == 201


@pytest.mark.must
def test_pushing_manifests__must_not_take_another_digest(repository: Repository) -> None:
    """A manifest is not stored under a digest that it does not have"""
    wrong = random_digest()
    assert 400 <= repository.put_manifest(repository.new_image(), wrong).status < 500
    assert repository.get(repository.manifest(wrong), {"Accept": OCI_IMAGE}).status == 404


@pytest.mark.must
def test_pushing_manifests__must_answer_404_in_an_unknown_repository(repository: Repository) -> None:
    """A pull from a repository that does not exist answers 404"""
    assert repository.get(repository.manifest("latest")).status == 404


@pytest.mark.must
@pytest.mark.parametrize("reference", [".hidden", "-dash", "t" * 129, "a+b"], ids=lambda value: value[:8])
def test_pushing_manifests__must_not_take_bad_tags(repository: Repository, reference: str) -> None:
    """A tag outside the grammar is not taken"""
    assert 400 <= repository.put_manifest(repository.new_image(), reference).status < 500


@pytest.mark.must
@pytest.mark.parametrize("missing", ["layer", "child"])
def test_pushing_manifests__must_say_manifest_blob_unknown(repository: Repository, missing: str) -> None:
    """A manifest refused for content that is not there gives MANIFEST_BLOB_UNKNOWN"""
    absent = random_bytes(100)
    if missing == "layer":
        config, _ = repository.push_blob(b"{}")
        manifest = image(descriptor(EMPTY, config), [descriptor("application/octet-stream", absent)])
    else:
        repository.push_image()
        manifest = index([descriptor(OCI_IMAGE, absent)])
    response = repository.put_manifest(manifest, "latest")
    assert response.status == 201 or "MANIFEST_BLOB_UNKNOWN" in response.error_codes


@pytest.mark.should
def test_pushing_manifests__should_ignore_parameters_of_the_type(repository: Repository) -> None:
    """Parameters of Content-Type are ignored"""
    manifest = repository.new_image()
    headers = {"Content-Type": f"{OCI_IMAGE}; charset=utf-8"}
    target = repository.manifest("latest")
    assert repository.client.request("PUT", target, manifest.body, headers).status == 201
    got = repository.get(target, {"Accept": OCI_IMAGE})
    assert (got.body, got.header("Content-Type")) == (manifest.body, OCI_IMAGE)


@pytest.mark.should
def test_pushing_manifests__should_take_four_megabytes(repository: Repository) -> None:
    """A manifest of 4 megabytes is taken"""
    manifest = padded(repository, 4_000_000)
    assert repository.put_manifest(manifest, "large").status == 201
    assert repository.get(repository.manifest("large"), {"Accept": OCI_IMAGE}).body == manifest.body


@pytest.mark.should
def test_pushing_manifests__should_limit_the_size(repository: Repository) -> None:
    """There is a limit to the size of manifests: one of 16 MiB is not taken"""
    assert repository.put_manifest(padded(repository, 16 * MEBIBYTE), "huge").status != 201


@pytest.mark.should
def test_pushing_manifests__should_answer_413_above_the_limit(repository: Repository) -> None:
    """A manifest above the limit answers 413"""
    response = repository.put_manifest(padded(repository, 16 * MEBIBYTE), "huge")
    assert response.status in (201, 413)


@pytest.mark.expected
@pytest.mark.parametrize("declared", ["Content-Length", "chunked"])
def test_pushing_manifests__expected_limit(repository: Repository, declared: str) -> None:
    """4 MiB are taken and a byte more answers 413, declared or not"""
    for size, status in ((4 * MEBIBYTE, 201), (4 * MEBIBYTE + 1, 413)):
        manifest = padded(repository, size)
        body = manifest.body if declared == "Content-Length" else [manifest.body]
        headers = {"Content-Type": OCI_IMAGE}
        response = repository.client.request("PUT", repository.manifest("large"), body, headers)
        assert response.status == status


@pytest.mark.expected
def test_pushing_manifests__expected_digest_invalid(repository: Repository) -> None:
    """A digest that the manifest does not have answers 400 DIGEST_INVALID"""
    response = repository.put_manifest(repository.new_image(), random_digest())
    assert (response.status, response.error_codes) == (400, ["DIGEST_INVALID"])


@pytest.mark.expected
@pytest.mark.parametrize(
    "reference",
    ["sha256:baddigeststring", "sha256:" + "A" * 64, "md5:" + "a" * 32, ".hidden", "-dash", "t" * 129],
    ids=["not hexadecimal", "upper case", "md5", "dot first", "dash first", "129 characters"],
)
def test_pushing_manifests__expected_400(repository: Repository, reference: str) -> None:
    """A reference that is neither a tag nor a digest answers 400"""
    assert repository.put_manifest(repository.new_image(), reference).status == 400


@pytest.mark.expected
def test_pushing_manifests__expected_chunked_body(repository: Repository) -> None:
    """A manifest of unknown length (chunked transfer-encoding) is taken"""
    manifest = repository.new_image()
    body = [manifest.body[:10], manifest.body[10:]]
    target = repository.manifest("latest")
    assert repository.client.request("PUT", target, body, {"Content-Type": OCI_IMAGE}).status == 201
    assert repository.get(target, {"Accept": OCI_IMAGE}).body == manifest.body


@pytest.mark.expected
def test_pushing_manifests__expected_the_tag_to_move(repository: Repository) -> None:
    """A tag pushed again points to the new manifest, and the old one stays readable by digest"""
    old, new = repository.push_image("latest"), repository.push_image("latest")
    accept = {"Accept": OCI_IMAGE}
    assert repository.get(repository.manifest("latest"), accept).body == new.body
    assert repository.get(repository.manifest(old.digest), accept).body == old.body


@pytest.mark.expected
def test_pushing_manifests__expected_every_missing_digest(repository: Repository) -> None:
    """Missing blobs answer 400 with one MANIFEST_BLOB_UNKNOWN each"""
    config, _ = repository.push_blob(b"{}")
    absent = [random_bytes(100) for _ in range(3)]
    layers = [descriptor("application/octet-stream", content) for content in absent]
    response = repository.put_manifest(image(descriptor(EMPTY, config), layers), "latest")
    assert (response.status, response.error_codes) == (400, ["MANIFEST_BLOB_UNKNOWN"] * 3)
    for content in absent:
        assert digest_of(content).encode() in response.body


@pytest.mark.expected
def test_pushing_manifests__expected_blobs_of_this_repository(repository: Repository) -> None:
    """A blob that only another repository has does not count: 400 MANIFEST_BLOB_UNKNOWN"""
    elsewhere, _ = repository.sibling().push_blob()
    config, _ = repository.push_blob(b"{}")
    layers = [descriptor("application/octet-stream", elsewhere)]
    response = repository.put_manifest(image(descriptor(EMPTY, config), layers), "latest")
    assert (response.status, response.error_codes) == (400, ["MANIFEST_BLOB_UNKNOWN"])


@pytest.mark.expected
def test_pushing_manifests__expected_children_in_the_repository(repository: Repository) -> None:
    """An index whose manifest is not there answers 400 MANIFEST_BLOB_UNKNOWN"""
    repository.push_image()
    response = repository.put_manifest(index([repository.new_image().as_descriptor()]), "latest")
    assert (response.status, response.error_codes) == (400, ["MANIFEST_BLOB_UNKNOWN"])


@pytest.mark.expected
def test_pushing_manifests__expected_blobs_as_children(repository: Repository) -> None:
    """An index may list blobs, as BuildKit's caches do"""
    layer, _ = repository.push_blob()
    config, _ = repository.push_blob(b'{"layers":[]}')
    children = [
        descriptor("application/vnd.oci.image.layer.v1.tar+gzip", layer),
        descriptor("application/vnd.buildkit.cacheconfig.v0", config),
    ]
    assert repository.put_manifest(index(children), "cache").status == 201
