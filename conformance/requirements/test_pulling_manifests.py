"""Pulling manifests (end-3)."""

import pytest

from conformance.content import (
    DOCKER_IMAGE,
    DOCKER_LIST,
    OCI_IMAGE,
    OCI_INDEX,
    Manifest,
    digest_of,
    index,
    random_digest,
)
from conformance.repository import Repository

pytestmark = pytest.mark.section("Pulling manifests")

oci_types = pytest.mark.parametrize("media_type", [OCI_IMAGE, OCI_INDEX], ids=["image", "index"])
docker_types = pytest.mark.parametrize("media_type", [DOCKER_IMAGE, DOCKER_LIST], ids=["image", "list"])


def manifest_of(repository: Repository, media_type: str) -> Manifest:
    """A pushed manifest of this type, tagged `typed`."""
    if media_type in (OCI_IMAGE, DOCKER_IMAGE):
        return repository.push_image("typed", media_type=media_type)
    child = repository.push_image(media_type=OCI_IMAGE if media_type == OCI_INDEX else DOCKER_IMAGE)
    return repository.push_manifest(index([child.as_descriptor()], media_type), "typed")


@pytest.mark.must
def test_pulling_manifests__must_answer_a_tag_with_the_manifest(repository: Repository) -> None:
    """GET by tag answers 200 with the manifest, byte for byte"""
    pushed = repository.push_image("latest")
    response = repository.get(repository.manifest("latest"), {"Accept": OCI_IMAGE})
    assert (response.status, response.body) == (200, pushed.body)


@pytest.mark.must
def test_pulling_manifests__must_answer_a_digest_with_the_manifest(repository: Repository) -> None:
    """GET by digest answers 200 with the manifest, byte for byte"""
    pushed = repository.push_image()
    response = repository.get(repository.manifest(pushed.digest), {"Accept": OCI_IMAGE})
    assert (response.status, response.body) == (200, pushed.body)


@pytest.mark.must
@pytest.mark.parametrize("by", ["tag", "digest"])
def test_pulling_manifests__must_name_the_digest(repository: Repository, by: str) -> None:
    """GET carries Docker-Content-Digest, the digest of the body"""
    pushed = repository.push_image("latest")
    reference = "latest" if by == "tag" else pushed.digest
    response = repository.get(repository.manifest(reference), {"Accept": OCI_IMAGE})
    assert response.header("Docker-Content-Digest") == digest_of(response.body) == pushed.digest


@pytest.mark.must
@pytest.mark.parametrize("by", ["tag", "digest"])
def test_pulling_manifests__must_answer_404_for_a_missing_one(repository: Repository, by: str) -> None:
    """GET of a manifest that is not in the repository answers 404"""
    repository.push_image("latest")
    reference = "missing" if by == "tag" else random_digest()
    assert repository.get(repository.manifest(reference)).status == 404


@pytest.mark.must
def test_pulling_manifests__must_answer_404_for_that_of_another_repository(repository: Repository) -> None:
    """GET of a manifest that only another repository has answers 404"""
    elsewhere = repository.sibling().push_image()
    repository.push_image("latest")
    assert repository.get(repository.manifest(elsewhere.digest)).status == 404


@pytest.mark.must
@pytest.mark.parametrize("length", [1, 128])
def test_pulling_manifests__must_take_tags_of_every_length(repository: Repository, length: int) -> None:
    """A tag may have 1 to 128 characters"""
    tag = "t" * length
    pushed = repository.push_image(tag)
    assert repository.get(repository.manifest(tag), {"Accept": OCI_IMAGE}).body == pushed.body


@pytest.mark.must
@pytest.mark.parametrize("tag", ["_", "1.2.3", "V1", "a-b_c.d", "0--", "latest."])
def test_pulling_manifests__must_take_every_character_of_tags(repository: Repository, tag: str) -> None:
    """A tag may have letters, digits, `_`, `.` and `-`"""
    pushed = repository.push_image(tag)
    assert repository.get(repository.manifest(tag), {"Accept": OCI_IMAGE}).body == pushed.body


@pytest.mark.must
@oci_types
def test_pulling_manifests__must_say_the_type(repository: Repository, media_type: str) -> None:
    """Content-Type names the type of the manifest"""
    manifest_of(repository, media_type)
    response = repository.get(repository.manifest("typed"), {"Accept": media_type})
    assert (response.header("Content-Type") or "").partition(";")[0] == media_type


@pytest.mark.should
@oci_types
def test_pulling_manifests__should_repeat_the_type_pushed(repository: Repository, media_type: str) -> None:
    """Content-Type is the one it was pushed with, without parameters"""
    manifest_of(repository, media_type)
    response = repository.get(repository.manifest("typed"), {"Accept": media_type})
    assert response.lines("Content-Type") == [media_type]


@pytest.mark.expected
@docker_types
def test_pulling_manifests__expected_docker_types(repository: Repository, media_type: str) -> None:
    """Docker manifests and lists are served as they were pushed, with their type"""
    pushed = manifest_of(repository, media_type)
    response = repository.get(repository.manifest("typed"), {"Accept": media_type})
    assert (response.header("Content-Type"), response.body) == (media_type, pushed.body)


@pytest.mark.expected
def test_pulling_manifests__expected_content_length(repository: Repository) -> None:
    """GET carries Content-Length"""
    pushed = repository.push_image("latest")
    response = repository.get(repository.manifest("latest"), {"Accept": OCI_IMAGE})
    assert response.header("Content-Length") == str(len(pushed.body))


@pytest.mark.expected
def test_pulling_manifests__expected_manifest_unknown(repository: Repository) -> None:
    """A missing manifest is MANIFEST_UNKNOWN"""
    repository.push_image("latest")
    assert repository.get(repository.manifest("missing")).error_codes == ["MANIFEST_UNKNOWN"]


@pytest.mark.expected
@pytest.mark.parametrize(
    "digest",
    ["sha256:baddigeststring", "sha256:" + "A" * 64, "md5:" + "a" * 32],
    ids=["not hexadecimal", "upper case", "md5"],
)
def test_pulling_manifests__expected_refusal_of_bad_digests(repository: Repository, digest: str) -> None:
    """GET by a malformed digest or an unknown algorithm answers 400 or 404"""
    assert repository.get(repository.manifest(digest)).status in (400, 404)


@pytest.mark.expected
def test_pulling_manifests__expected_no_content_encoding(repository: Repository) -> None:
    """A manifest is never compressed, whatever Accept-Encoding says"""
    pushed = repository.push_image("latest")
    headers = {"Accept": OCI_IMAGE, "Accept-Encoding": "zstd, gzip, deflate"}
    response = repository.get(repository.manifest("latest"), headers)
    assert (response.header("Content-Encoding"), response.body) == (None, pushed.body)
