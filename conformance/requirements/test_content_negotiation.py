"""Content Negotiation: what Accept may change, and what it may not."""

import json

import pytest

from conformance.content import DOCKER_IMAGE, DOCKER_LIST, OCI_IMAGE, OCI_INDEX, Manifest, index
from conformance.repository import Repository

pytestmark = pytest.mark.section("Content negotiation")

ACCEPTS = {
    "no Accept": None,
    "any": "*/*",
    "image or any": f"{OCI_IMAGE}, */*",
    "any application": "application/*",
    "another": "text/html",
}


def tagged_index(
    repository: Repository, architectures: tuple[str, ...], media_type: str = OCI_INDEX
) -> tuple[Manifest, list[Manifest]]:
    """An index tagged `multi` with an image for each architecture of linux, and those images."""
    image_type = OCI_IMAGE if media_type == OCI_INDEX else DOCKER_IMAGE
    images = [repository.push_image(media_type=image_type) for _ in architectures]
    children = [
        image.as_descriptor(platform={"os": "linux", "architecture": architecture})
        for image, architecture in zip(images, architectures, strict=True)
    ]
    return repository.push_manifest(index(children, media_type), "multi"), images


@pytest.mark.should
def test_content_negotiation__should_read_every_accept_line(repository: Repository) -> None:
    """Several Accept lines count as one list"""
    pushed, _ = tagged_index(repository, ("amd64",))
    lines = [("Accept", OCI_IMAGE), ("Accept", OCI_INDEX)]
    assert repository.get(repository.manifest("multi"), lines).body == pushed.body


@pytest.mark.expected
def test_content_negotiation__expected_bytes_by_digest(repository: Repository) -> None:
    """By digest, the manifest of that digest is served whatever Accept says"""
    pushed, _ = tagged_index(repository, ("amd64",))
    response = repository.get(repository.manifest(pushed.digest), {"Accept": DOCKER_IMAGE})
    assert (response.status, response.body) == (200, pushed.body)


@pytest.mark.expected
@pytest.mark.parametrize("accept", ACCEPTS.values(), ids=ACCEPTS.keys())
def test_content_negotiation__expected_the_index_by_tag(repository: Repository, accept: str | None) -> None:
    """By tag, an index is served without Accept, with a wildcard, and never with 406"""
    pushed, _ = tagged_index(repository, ("arm64", "amd64"))
    headers = {"Accept": accept} if accept else {}
    response = repository.get(repository.manifest("multi"), headers)
    assert (response.status, response.body) == (200, pushed.body)


@pytest.mark.expected
@pytest.mark.parametrize(
    ("media_type", "accept"), [(DOCKER_LIST, DOCKER_IMAGE), (OCI_INDEX, OCI_IMAGE)], ids=["Docker", "OCI"]
)
def test_content_negotiation__expected_an_image_for_old_clients(
    repository: Repository, media_type: str, accept: str
) -> None:
    """By tag, a client that lists image types alone gets the linux/amd64 image and its digest"""
    _, images = tagged_index(repository, ("arm64", "amd64"), media_type)
    response = repository.get(repository.manifest("multi"), {"Accept": accept})
    assert (response.status, response.body) == (200, images[1].body)
    assert response.header("Docker-Content-Digest") == images[1].digest
    assert response.header("Content-Type") == accept


@pytest.mark.expected
def test_content_negotiation__expected_the_index_without_amd64(repository: Repository) -> None:
    """By tag, an index without linux/amd64 is served as it is"""
    pushed, _ = tagged_index(repository, ("arm64",))
    response = repository.get(repository.manifest("multi"), {"Accept": OCI_IMAGE})
    assert (response.status, json.loads(response.body)) == (200, json.loads(pushed.body))


@pytest.mark.expected
def test_content_negotiation__expected_vary(repository: Repository) -> None:
    """By tag, the answer says Vary: Accept"""
    tagged_index(repository, ("amd64",))
    response = repository.get(repository.manifest("multi"), {"Accept": OCI_INDEX})
    assert "accept" in (response.header("Vary") or "").lower()
