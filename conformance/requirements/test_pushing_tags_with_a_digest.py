"""Several tags in the PUT of a manifest by digest (end-7b)."""

import secrets

import pytest

from conformance.client import Response
from conformance.content import OCI_IMAGE, Manifest, digest_of
from conformance.repository import Repository

pytestmark = pytest.mark.section("Pushing tags with a digest")


def put(repository: Repository, manifest: Manifest, reference: str, tags: list[str]) -> Response:
    target = repository.manifest(reference) + "?" + "&".join(f"tag={tag}" for tag in tags)
    return repository.client.request("PUT", target, manifest.body, {"Content-Type": manifest.media_type})


def told(response: Response) -> list[str]:
    """The tags in every OCI-Tag line."""
    return [tag.strip() for line in response.lines("OCI-Tag") for tag in line.split(",")]


@pytest.mark.must
def test_pushing_tags_with_a_digest__must_name_each_tag(repository: Repository) -> None:
    """Each accepted tag stands in OCI-Tag, and leads to the manifest"""
    manifest = repository.new_image()
    tags = ["1.2.3", "1.2", "1", "latest"]
    response = put(repository, manifest, manifest.digest, tags)
    if not response.lines("OCI-Tag"):
        repository.optional("tags in the PUT of a manifest by digest")
    assert response.status == 201
    assert sorted(told(response)) == sorted(tags)
    for tag in tags:
        assert repository.get(repository.manifest(tag), {"Accept": OCI_IMAGE}).body == manifest.body


@pytest.mark.should
def test_pushing_tags_with_a_digest__should_take_ten(repository: Repository) -> None:
    """Ten tags are taken in one request"""
    manifest = repository.new_image()
    tags = [f"v{number}" for number in range(10)]
    response = put(repository, manifest, manifest.digest, tags)
    if not response.lines("OCI-Tag"):
        repository.optional("tags in the PUT of a manifest by digest")
    assert (response.status, sorted(told(response))) == (201, tags)


@pytest.mark.expected
def test_pushing_tags_with_a_digest__expected_a_line_each(repository: Repository) -> None:
    """OCI-Tag has one line for each tag, and a repeated tag counts once"""
    manifest = repository.new_image()
    response = put(repository, manifest, manifest.digest, ["one", "two", "one"])
    assert sorted(response.lines("OCI-Tag")) == ["one", "two"]


@pytest.mark.expected
def test_pushing_tags_with_a_digest__expected_414_for_too_many(repository: Repository) -> None:
    """A thousand tags answer 414 (or 431), and none of them is made"""
    manifest = repository.new_image()
    response = put(repository, manifest, manifest.digest, [f"t{number}" for number in range(1000)])
    assert response.status in (414, 431)
    assert repository.head(repository.manifest("t0"), {"Accept": OCI_IMAGE}).status == 404


@pytest.mark.expected
def test_pushing_tags_with_a_digest__expected_400_for_one_bad_tag(repository: Repository) -> None:
    """One bad tag answers 400, and none of them is made"""
    manifest = repository.new_image()
    assert put(repository, manifest, manifest.digest, ["good", "-bad"]).status == 400
    assert repository.head(repository.manifest("good"), {"Accept": OCI_IMAGE}).status == 404


@pytest.mark.expected
def test_pushing_tags_with_a_digest__expected_400_with_a_tag(repository: Repository) -> None:
    """`tag=` in a PUT to a tag answers 400"""
    assert put(repository, repository.new_image(), "latest", ["other"]).status == 400


@pytest.mark.expected
def test_pushing_tags_with_a_digest__expected_sha512(repository: Repository) -> None:
    """A tag pushed with a sha512 digest reports that digest"""
    manifest = repository.new_image(annotations={"nonce": secrets.token_hex(8)})
    digest = digest_of(manifest.body, "sha512")
    assert told(put(repository, manifest, digest, ["latest"])) == ["latest"]
    found = repository.head(repository.manifest("latest"), {"Accept": OCI_IMAGE})
    assert found.header("Docker-Content-Digest") == digest
