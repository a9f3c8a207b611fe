"""Digest algorithms: sha512 wherever sha256 is taken (image-spec, Digests)."""

import pytest

from conformance.client import with_query
from conformance.content import OCI_IMAGE, OCI_LAYER, descriptor, digest_of, image, random_bytes
from conformance.repository import OCTETS, Repository

pytestmark = pytest.mark.section("Digest algorithms")


@pytest.mark.expected
@pytest.mark.parametrize("announced", [True, False], ids=["announced", "at the end"])
@pytest.mark.parametrize("way", ["PUT", "PATCH", "stream"])
def test_digest_algorithms__expected_blobs(repository: Repository, way: str, announced: bool) -> None:
    """A blob is pushed by its sha512 digest, announced with digest-algorithm or only at the end"""
    upload = repository.start_upload(**({"digest-algorithm": "sha512"} if announced else {}))
    content = random_bytes(upload.chunk)
    digest = digest_of(content, "sha512")
    if way == "PUT":
        closed = repository.close_upload(upload.location, digest, content)
    else:
        sent = repository.patch(upload.location, content, 0 if way == "PATCH" else None)
        closed = repository.close_upload(sent.header("Location") or "", digest)
    assert (closed.status, closed.header("Docker-Content-Digest")) == (201, digest)
    response = repository.get(repository.blob(digest))
    assert (response.body, response.header("Docker-Content-Digest")) == (content, digest)


@pytest.mark.expected
def test_digest_algorithms__expected_single_post(repository: Repository) -> None:
    """A single POST takes a sha512 digest"""
    content = random_bytes(500)
    target = repository.path("blobs/uploads/", digest=digest_of(content, "sha512"))
    assert repository.client.request("POST", target, content, OCTETS).status == 201


@pytest.mark.expected
def test_digest_algorithms__expected_sha256_after_all(repository: Repository) -> None:
    """A session announced as sha512 may be closed with sha256"""
    content = random_bytes(500)
    upload = repository.start_upload(**{"digest-algorithm": "sha512"})
    assert repository.close_upload(upload.location, digest_of(content), content).status == 201


@pytest.mark.expected
def test_digest_algorithms__expected_refusal_of_other_content(repository: Repository) -> None:
    """Content that has not the sha512 digest answers 400 DIGEST_INVALID"""
    digest = digest_of(b"something", "sha512")
    response = repository.close_upload(repository.start_upload().location, digest, b"else")
    assert (response.status, response.error_codes) == (400, ["DIGEST_INVALID"])


@pytest.mark.expected
def test_digest_algorithms__expected_refusal_of_a_short_one(repository: Repository) -> None:
    """A sha512 digest of 64 digits answers 400 DIGEST_INVALID"""
    target = with_query(repository.start_upload().location, digest="sha512:" + "a" * 64)
    response = repository.client.request("PUT", target, b"x", OCTETS)
    assert (response.status, response.error_codes) == (400, ["DIGEST_INVALID"])


@pytest.mark.expected
def test_digest_algorithms__expected_mount(repository: Repository) -> None:
    """A blob is mounted by its sha512 digest"""
    source = repository.sibling()
    content, digest = source.push_blob(algorithm="sha512")
    target = repository.path("blobs/uploads/", mount=digest, **{"from": source.name})
    assert repository.client.request("POST", target).status == 201
    assert repository.get(repository.blob(digest)).body == content


@pytest.mark.expected
def test_digest_algorithms__expected_manifests(repository: Repository) -> None:
    """A manifest that cites sha512 is pushed, found and deleted by its own sha512 digest"""
    config, _ = repository.push_blob(b"{}", "sha512")
    layer, _ = repository.push_blob(algorithm="sha512")
    layers = [descriptor(OCI_LAYER, layer, "sha512")]
    manifest = image(descriptor("application/vnd.oci.image.config.v1+json", config, "sha512"), layers)
    digest = manifest.digest_by("sha512")
    pushed = repository.put_manifest(manifest, digest)
    assert (pushed.status, pushed.header("Docker-Content-Digest")) == (201, digest)
    for method in ("GET", "HEAD"):
        found = repository.client.request(method, repository.manifest(digest), None, {"Accept": OCI_IMAGE})
        assert (found.status, found.header("Docker-Content-Digest")) == (200, digest)
    assert repository.delete(repository.manifest(digest)).status == 202
    assert repository.get(repository.manifest(digest)).status == 404


@pytest.mark.expected
def test_digest_algorithms__expected_referrers(repository: Repository) -> None:
    """A referrer pushed by its sha512 digest is listed under that digest"""
    subject = repository.push_image("latest")
    artifact = repository.new_artifact(subject.as_descriptor())
    assert repository.put_manifest(artifact, artifact.digest_by("sha512")).status == 201
    document = repository.get(repository.path(f"referrers/{subject.digest}")).json()
    assert isinstance(document, dict)
    assert [entry["digest"] for entry in document["manifests"]] == [artifact.digest_by("sha512")]
