"""Pushing blobs: what holds for each way to push them."""

import pytest

from conformance.content import digest_of, random_bytes, random_digest
from conformance.repository import OCTETS, Repository

pytestmark = pytest.mark.section("Pushing blobs")

BAD_DIGESTS = {
    "short": "sha256:" + "a" * 63,
    "upper case": "sha256:" + "A" * 64,
    "not hexadecimal": "sha256:" + "z" * 64,
    "no algorithm": "a" * 64,
    "unsupported algorithm": "md5:" + "a" * 32,
    "unknown algorithm": "nonesuch:" + "a" * 64,
    "empty": "",
}
every_bad_digest = pytest.mark.parametrize("digest", BAD_DIGESTS.values(), ids=BAD_DIGESTS.keys())


@pytest.mark.should
@every_bad_digest
def test_pushing_blobs__should_answer_400_to_a_bad_digest_in_put(repository: Repository, digest: str) -> None:
    """The closing PUT with an invalid or unsupported digest answers 400"""
    upload = repository.start_upload()
    assert repository.close_upload(upload.location, digest, random_bytes(100)).status == 400


@pytest.mark.should
@every_bad_digest
def test_pushing_blobs__should_answer_400_to_a_bad_digest_in_post(
    repository: Repository, digest: str
) -> None:
    """A single POST with an invalid or unsupported digest answers 400"""
    target = repository.path("blobs/uploads/", digest=digest)
    response = repository.client.request("POST", target, random_bytes(100), OCTETS)
    if response.status == 202:
        repository.optional("pushing a blob with a single POST")
    assert response.status == 400


@pytest.mark.should
def test_pushing_blobs__should_answer_400_to_the_digest_of_something_else(repository: Repository) -> None:
    """A digest that the content does not have answers 400, and nothing is stored"""
    content, wrong = random_bytes(100), random_digest()
    assert repository.close_upload(repository.start_upload().location, wrong, content).status == 400
    assert repository.head(repository.blob(wrong)).status == 404
    assert repository.head(repository.blob(digest_of(content))).status == 404


@pytest.mark.expected
def test_pushing_blobs__expected_digest_invalid(repository: Repository) -> None:
    """A digest that the content does not have is DIGEST_INVALID"""
    response = repository.close_upload(repository.start_upload().location, random_digest(), b"x")
    assert (response.status, response.error_codes) == (400, ["DIGEST_INVALID"])


@pytest.mark.expected
def test_pushing_blobs__expected_end_of_the_session_after_a_mismatch(repository: Repository) -> None:
    """After a wrong digest the session is gone: its bytes can never become that blob"""
    upload = repository.start_upload()
    repository.close_upload(upload.location, random_digest(), random_bytes(100))
    response = repository.get(upload.location)
    assert (response.status, response.error_codes) == (404, ["BLOB_UPLOAD_UNKNOWN"])


@pytest.mark.expected
@pytest.mark.parametrize("size", [0, 1, 5_000_000])
def test_pushing_blobs__expected_every_size(repository: Repository, size: int) -> None:
    """An empty blob, one of a byte and one of megabytes are taken"""
    content, digest = repository.push_blob(random_bytes(size))
    assert repository.get(repository.blob(digest)).body == content


@pytest.mark.expected
def test_pushing_blobs__expected_the_same_blob_again(repository: Repository) -> None:
    """A blob that is there already is taken again: 201"""
    content, digest = repository.push_blob()
    again = repository.close_upload(repository.start_upload().location, digest, content)
    assert (again.status, again.header("Docker-Content-Digest")) == (201, digest)
