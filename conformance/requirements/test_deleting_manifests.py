"""Deleting Manifests (end-9)."""

import pytest

from conformance.content import OCI_IMAGE, index, random_digest
from conformance.repository import Repository

pytestmark = pytest.mark.section("Deleting Manifests")

ACCEPT = {"Accept": OCI_IMAGE}


@pytest.mark.must
def test_deleting_manifests__must_answer_202(repository: Repository) -> None:
    """DELETE of a manifest answers 202, or 400 or 405 where it is disabled"""
    image = repository.push_image()
    assert repository.delete(repository.manifest(image.digest)).status in (202, 400, 405)


@pytest.mark.must
def test_deleting_manifests__must_answer_404_for_an_unknown_repository(repository: Repository) -> None:
    """DELETE in a repository that does not exist answers 404"""
    assert repository.delete(repository.manifest(random_digest())).status == 404


@pytest.mark.must
def test_deleting_manifests__must_answer_404_afterwards(repository: Repository) -> None:
    """After 202, GET of the digest and of every tag that pointed to it answers 404"""
    image = repository.push_image("one")
    repository.push_manifest(image, "two")
    if repository.delete(repository.manifest(image.digest)).status != 202:
        repository.optional("deletion of manifests")
    for reference in (image.digest, "one", "two"):
        assert repository.get(repository.manifest(reference), ACCEPT).status == 404


@pytest.mark.must
def test_deleting_manifests__must_refuse_where_disabled(repository_without_deletion: Repository) -> None:
    """Where deletion of manifests is disabled, it answers 400 or 405, and the manifest stays"""
    repository = repository_without_deletion
    image = repository.push_image()
    assert repository.delete(repository.manifest(image.digest)).status in (400, 405)
    assert repository.get(repository.manifest(image.digest), ACCEPT).status == 200


@pytest.mark.expected
def test_deleting_manifests__expected_manifest_unknown(repository: Repository) -> None:
    """DELETE of a missing manifest answers 404 MANIFEST_UNKNOWN, also the second time"""
    image = repository.push_image("latest")
    assert repository.delete(repository.manifest(image.digest)).status == 202
    for digest in (image.digest, random_digest()):
        response = repository.delete(repository.manifest(digest))
        assert (response.status, response.error_codes) == (404, ["MANIFEST_UNKNOWN"])


@pytest.mark.expected
def test_deleting_manifests__expected_no_tag_left_in_the_list(repository: Repository) -> None:
    """The tags of a deleted manifest are no longer listed, those of others are"""
    image = repository.push_image("gone")
    repository.push_image("stays")
    assert repository.delete(repository.manifest(image.digest)).status == 202
    assert repository.get(repository.path("tags/list")).json() == {"name": repository.name, "tags": ["stays"]}


@pytest.mark.expected
def test_deleting_manifests__expected_of_a_child(repository: Repository) -> None:
    """A manifest that an index lists can be deleted, and the index stays"""
    child = repository.push_image()
    parent = repository.push_manifest(index([child.as_descriptor()]), "multi")
    assert repository.delete(repository.manifest(child.digest)).status == 202
    assert repository.get(repository.manifest(parent.digest)).body == parent.body


@pytest.mark.expected
def test_deleting_manifests__expected_to_be_pushed_again(repository: Repository) -> None:
    """A deleted manifest can be pushed again"""
    image = repository.push_image("latest")
    assert repository.delete(repository.manifest(image.digest)).status == 202
    repository.push_manifest(image, "latest")
    assert repository.get(repository.manifest("latest"), ACCEPT).body == image.body


@pytest.mark.expected
def test_deleting_manifests__expected_in_this_repository_alone(repository: Repository) -> None:
    """The same manifest in another repository stays"""
    other = repository.sibling()
    image = repository.push_manifest(index([]), "latest")
    other.push_manifest(image, "latest")
    assert repository.delete(repository.manifest(image.digest)).status == 202
    assert other.get(other.manifest("latest")).body == image.body
