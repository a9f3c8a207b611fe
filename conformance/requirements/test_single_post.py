"""Single POST: pushing a blob in one request (end-4b)."""

import pytest

from conformance.client import Response
from conformance.content import digest_of, random_bytes, random_digest
from conformance.repository import OCTETS, Repository

pytestmark = pytest.mark.section("Single POST")


def post(repository: Repository, content: bytes, digest: str) -> Response:
    target = repository.path("blobs/uploads/", digest=digest)
    return repository.client.request("POST", target, content, OCTETS)


@pytest.mark.must
def test_single_post__must_give_a_pullable_location(repository: Repository) -> None:
    """On success it answers 201 with the Location of the blob"""
    content = random_bytes(3000)
    response = post(repository, content, digest_of(content))
    if response.status == 202:
        repository.optional("pushing a blob with a single POST")
    assert response.status == 201
    location = response.header("Location")
    assert location
    assert repository.get(location).body == content


@pytest.mark.should
def test_single_post__should_fall_back_to_a_session(repository: Repository) -> None:
    """Where it is not supported it answers 202 with the Location of a session that works"""
    content = random_bytes(3000)
    response = post(repository, content, digest_of(content))
    assert response.status in (201, 202)
    if response.status == 202:
        location = response.header("Location") or ""
        assert repository.close_upload(location, digest_of(content), content).status == 201
    assert repository.get(repository.blob(digest_of(content))).body == content


@pytest.mark.expected
def test_single_post__expected_support(repository: Repository) -> None:
    """It is supported: 201 with Docker-Content-Digest"""
    content = random_bytes(3000)
    response = post(repository, content, digest_of(content))
    assert (response.status, response.header("Docker-Content-Digest")) == (201, digest_of(content))


@pytest.mark.expected
def test_single_post__expected_digest_invalid(repository: Repository) -> None:
    """A digest that the content does not have answers 400 DIGEST_INVALID and stores nothing"""
    wrong = random_digest()
    response = post(repository, random_bytes(100), wrong)
    assert (response.status, response.error_codes) == (400, ["DIGEST_INVALID"])
    assert repository.head(repository.blob(wrong)).status == 404


@pytest.mark.expected
def test_single_post__expected_verification_of_what_is_known(repository: Repository) -> None:
    """Other content under the digest of a blob that is there answers 400"""
    content, digest = repository.push_blob()
    assert post(repository, random_bytes(len(content)), digest).status == 400
    assert repository.get(repository.blob(digest)).body == content
