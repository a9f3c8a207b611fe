"""Deleting Blobs (end-10)."""

import pytest

from conformance.content import OCI_IMAGE, descriptor, image, random_digest
from conformance.repository import Repository

pytestmark = pytest.mark.section("Deleting Blobs")


@pytest.mark.must
def test_deleting_blobs__must_answer_202(repository: Repository) -> None:
    """DELETE of a blob answers 202, or 400 or 405 where it is disabled"""
    _, digest = repository.push_blob()
    assert repository.delete(repository.blob(digest)).status in (202, 400, 405)


@pytest.mark.must
def test_deleting_blobs__must_answer_404_for_a_missing_one(repository: Repository) -> None:
    """DELETE of a blob that is not there answers 404"""
    _, digest = repository.push_blob()
    if repository.delete(repository.blob(digest)).status != 202:
        repository.optional("deletion of blobs")
    assert repository.delete(repository.blob(random_digest())).status == 404


@pytest.mark.must
def test_deleting_blobs__must_refuse_where_disabled(repository_without_deletion: Repository) -> None:
    """Where deletion of blobs is disabled, it answers 400 or 405, and the blob stays"""
    repository = repository_without_deletion
    _, digest = repository.push_blob()
    assert repository.delete(repository.blob(digest)).status in (400, 405)
    assert repository.get(repository.blob(digest)).status == 200


@pytest.mark.expected
def test_deleting_blobs__expected_404_afterwards(repository: Repository) -> None:
    """After 202, GET, HEAD and DELETE of the blob answer 404"""
    _, digest = repository.push_blob()
    assert repository.delete(repository.blob(digest)).status == 202
    for method in ("GET", "HEAD", "DELETE"):
        assert repository.client.request(method, repository.blob(digest)).status == 404


@pytest.mark.expected
def test_deleting_blobs__expected_to_be_pushed_again(repository: Repository) -> None:
    """A deleted blob can be pushed again and is whole"""
    content, digest = repository.push_blob()
    assert repository.delete(repository.blob(digest)).status == 202
    assert repository.push_blob(content) == (content, digest)
    assert repository.get(repository.blob(digest)).body == content


@pytest.mark.expected
def test_deleting_blobs__expected_in_this_repository_alone(repository: Repository) -> None:
    """The same blob in another repository stays"""
    content, digest = repository.push_blob()
    other = repository.sibling()
    other.push_blob(content)
    assert repository.delete(repository.blob(digest)).status == 202
    assert other.get(other.blob(digest)).body == content


@pytest.mark.expected
def test_deleting_blobs__expected_refusal_while_in_use(repository: Repository) -> None:
    """A blob that a manifest cites is not deleted: 405, and the image stays whole"""
    config, config_digest = repository.push_blob(b'{"in":"use"}')
    manifest = image(descriptor("application/vnd.oci.image.config.v1+json", config), [])
    repository.push_manifest(manifest, "latest")
    assert repository.delete(repository.blob(config_digest)).status == 405
    assert repository.get(repository.blob(config_digest)).body == config
    assert repository.get(repository.manifest("latest"), {"Accept": OCI_IMAGE}).status == 200
