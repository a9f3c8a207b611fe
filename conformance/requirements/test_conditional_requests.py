"""Conditional requests and caching (RFC 9110, section 13; RFC 9111)."""

import pytest

from conformance.content import OCI_IMAGE, random_bytes, random_digest
from conformance.repository import Repository

pytestmark = pytest.mark.section("Conditional requests")

MATCHING = {
    "quoted": '"{digest}"',
    "unquoted": "{digest}",
    "weak": 'W/"{digest}"',
    "any": "*",
    "in a list": '"other", "{digest}"',
}
every_match = pytest.mark.parametrize("condition", MATCHING.values(), ids=MATCHING.keys())


@pytest.mark.expected
def test_conditional_requests__expected_etag(repository: Repository) -> None:
    """The ETag of manifests and blobs is the quoted digest"""
    _, blob = repository.push_blob()
    manifest = repository.push_image("latest")
    assert repository.get(repository.blob(blob)).header("ETag") == f'"{blob}"'
    found = repository.get(repository.manifest("latest"), {"Accept": OCI_IMAGE})
    assert found.header("ETag") == f'"{manifest.digest}"'


@pytest.mark.expected
@every_match
def test_conditional_requests__expected_304_for_blobs(repository: Repository, condition: str) -> None:
    """If-None-Match with the digest of a blob answers 304"""
    _, digest = repository.push_blob()
    response = repository.get(repository.blob(digest), {"If-None-Match": condition.format(digest=digest)})
    assert (response.status, response.body) == (304, b"")


@pytest.mark.expected
@every_match
def test_conditional_requests__expected_304_for_manifests(repository: Repository, condition: str) -> None:
    """If-None-Match with the digest that a tag points to answers 304"""
    digest = repository.push_image("latest").digest
    headers = {"Accept": OCI_IMAGE, "If-None-Match": condition.format(digest=digest)}
    response = repository.get(repository.manifest("latest"), headers)
    assert (response.status, response.body) == (304, b"")


@pytest.mark.should
def test_conditional_requests__should_answer_200_when_it_changed(repository: Repository) -> None:
    """If-None-Match with another digest answers 200"""
    repository.push_image("latest")
    headers = {"Accept": OCI_IMAGE, "If-None-Match": f'"{random_digest()}"'}
    assert repository.get(repository.manifest("latest"), headers).status == 200


@pytest.mark.should
def test_conditional_requests__should_honour_if_range(repository: Repository) -> None:
    """A Range counts only if If-Range has the ETag of the blob"""
    content, digest = repository.push_blob(random_bytes(100))
    tag = repository.get(repository.blob(digest)).header("ETag") or f'"{digest}"'
    same = repository.get(repository.blob(digest), {"Range": "bytes=10-19", "If-Range": tag})
    other = repository.get(repository.blob(digest), {"Range": "bytes=10-19", "If-Range": '"another"'})
    assert (same.status, same.body) == (206, content[10:20])
    assert (other.status, other.body) == (200, content)


@pytest.mark.expected
def test_conditional_requests__expected_conditional_push(repository: Repository) -> None:
    """If-Match on a push to a tag: 412 when it points to something else, and 201 when it does not"""
    old, new = repository.push_image("latest"), repository.new_image()
    target = repository.manifest("latest")
    headers = {"Content-Type": OCI_IMAGE, "If-Match": f'"{random_digest()}"'}
    assert repository.client.request("PUT", target, new.body, headers).status == 412
    assert repository.get(target, {"Accept": OCI_IMAGE}).body == old.body
    headers["If-Match"] = f'"{old.digest}"'
    assert repository.client.request("PUT", target, new.body, headers).status == 201
    assert repository.get(target, {"Accept": OCI_IMAGE}).body == new.body


@pytest.mark.expected
def test_conditional_requests__expected_caching_of_what_never_changes(repository: Repository) -> None:
    """Blobs and manifests by digest may be cached for a year, tags may not"""
    _, blob = repository.push_blob()
    manifest = repository.push_image("latest")
    accept = {"Accept": OCI_IMAGE}
    for target in (repository.blob(blob), repository.manifest(manifest.digest)):
        assert "max-age=31536000" in (repository.get(target, accept).header("Cache-Control") or "")
    by_tag = repository.get(repository.manifest("latest"), accept)
    assert "no-cache" in (by_tag.header("Cache-Control") or "")
