"""Deleting tags (end-9)."""

import pytest

from conformance.content import OCI_IMAGE
from conformance.repository import Repository

pytestmark = pytest.mark.section("Deleting tags")

ACCEPT = {"Accept": OCI_IMAGE}


@pytest.mark.must
def test_deleting_tags__must_answer_202(repository: Repository) -> None:
    """DELETE of a tag answers 202, or 400 or 405 where it is disabled"""
    repository.push_image("latest")
    assert repository.delete(repository.manifest("latest")).status in (202, 400, 405)


@pytest.mark.must
def test_deleting_tags__must_answer_404_afterwards(repository: Repository) -> None:
    """After 202, GET of the tag answers 404"""
    repository.push_image("latest")
    if repository.delete(repository.manifest("latest")).status != 202:
        repository.optional("deletion of tags")
    assert repository.get(repository.manifest("latest"), ACCEPT).status == 404


@pytest.mark.must
def test_deleting_tags__must_refuse_where_disabled(repository_without_deletion: Repository) -> None:
    """Where deletion of tags is disabled, it answers 400 or 405, and the tag stays"""
    repository = repository_without_deletion
    repository.push_image("latest")
    response = repository.delete(repository.manifest("latest"))
    assert response.status in (400, 405)
    assert repository.get(repository.manifest("latest"), ACCEPT).status == 200


@pytest.mark.expected
def test_deleting_tags__expected_the_manifest_to_stay(repository: Repository) -> None:
    """Deleting a tag leaves the manifest and its other tags"""
    image = repository.push_image("latest")
    repository.push_manifest(image, "stable")
    assert repository.delete(repository.manifest("latest")).status == 202
    for reference in ("stable", image.digest):
        assert repository.get(repository.manifest(reference), ACCEPT).body == image.body


@pytest.mark.expected
def test_deleting_tags__expected_404(repository: Repository) -> None:
    """DELETE of a missing tag answers 404 MANIFEST_UNKNOWN, also the second time"""
    repository.push_image("latest")
    assert repository.delete(repository.manifest("latest")).status == 202
    for tag in ("latest", "never"):
        response = repository.delete(repository.manifest(tag))
        assert (response.status, response.error_codes) == (404, ["MANIFEST_UNKNOWN"])


@pytest.mark.expected
def test_deleting_tags__expected_to_be_pushed_again(repository: Repository) -> None:
    """A deleted tag can be pushed again"""
    image = repository.push_image("latest")
    assert repository.delete(repository.manifest("latest")).status == 202
    repository.push_manifest(image, "latest")
    assert repository.get(repository.manifest("latest"), ACCEPT).body == image.body
