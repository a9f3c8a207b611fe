"""Mounting a blob from another repository (end-11)."""

import pytest

from conformance.client import Response
from conformance.content import digest_of, random_bytes, random_digest
from conformance.repository import Repository

pytestmark = pytest.mark.section("Mounting a blob from another repository")


def mount(repository: Repository, **query: str) -> Response:
    return repository.client.request("POST", repository.path("blobs/uploads/", **query))


def works(repository: Repository, response: Response) -> bool:
    """Whether the session in a 202 takes a blob."""
    content = random_bytes(100)
    location = response.header("Location") or ""
    return repository.close_upload(location, digest_of(content), content).status == 201


@pytest.mark.must
def test_mounting_a_blob_from_another_repository__must_give_a_pullable_location(
    repository: Repository,
) -> None:
    """A mount that succeeds answers 201 with the Location of the blob in this repository"""
    source = repository.sibling()
    content, digest = source.push_blob()
    response = mount(repository, mount=digest, **{"from": source.name})
    if response.status == 202:
        repository.optional("mounting a blob")
    assert response.status == 201
    location = response.header("Location") or ""
    assert repository.name in location
    assert repository.get(location).body == content


@pytest.mark.should
@pytest.mark.parametrize("missing", ["blob", "repository"])
def test_mounting_a_blob_from_another_repository__should_answer_202(
    repository: Repository, missing: str
) -> None:
    """A mount of what is not there answers 202 with a session that works"""
    source = repository.sibling()
    if missing == "blob":
        source.push_blob()
    response = mount(repository, mount=random_digest(), **{"from": source.name})
    assert response.status == 202
    assert works(repository, response)


@pytest.mark.expected
def test_mounting_a_blob_from_another_repository__expected_support(repository: Repository) -> None:
    """Mounting is supported: 201 with Docker-Content-Digest"""
    source = repository.sibling()
    _, digest = source.push_blob()
    response = mount(repository, mount=digest, **{"from": source.name})
    assert (response.status, response.header("Docker-Content-Digest")) == (201, digest)


@pytest.mark.expected
def test_mounting_a_blob_from_another_repository__expected_without_from(repository: Repository) -> None:
    """A mount without `from` takes the blob from wherever it may be read: 201"""
    content, digest = repository.sibling().push_blob()
    response = mount(repository, mount=digest)
    assert response.status == 201
    assert repository.get(repository.blob(digest)).body == content


@pytest.mark.expected
def test_mounting_a_blob_from_another_repository__expected_202_without_from(
    repository: Repository,
) -> None:
    """A mount without `from` of a blob that nobody has answers 202 with a session that works"""
    response = mount(repository, mount=random_digest())
    assert response.status == 202
    assert works(repository, response)


@pytest.mark.expected
def test_mounting_a_blob_from_another_repository__expected_independence(repository: Repository) -> None:
    """A mounted blob outlives its deletion in the repository it came from"""
    source = repository.sibling()
    content, digest = source.push_blob()
    assert mount(repository, mount=digest, **{"from": source.name}).status == 201
    assert source.delete(source.blob(digest)).status == 202
    assert repository.get(repository.blob(digest)).body == content
