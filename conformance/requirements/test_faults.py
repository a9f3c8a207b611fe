"""Faults that really happen: lost replies, cut connections, pushers that meet."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from conformance.client import with_query
from conformance.content import OCI_IMAGE, digest_of, random_bytes, random_digest
from conformance.repository import OCTETS, Repository

pytestmark = pytest.mark.section("Faults")


def together(times: int, work: Callable[[int], int]) -> list[int]:
    """Run `work` in this many threads at once."""
    with ThreadPoolExecutor(times) as threads:
        return list(threads.map(work, range(times)))


def range_within(repository: Repository, location: str, wanted: str, seconds: float = 5) -> str | None:
    """The Range of a session once it is `wanted`, or as it is when time is up."""
    deadline = time.monotonic() + seconds
    while True:
        told = repository.get(location).header("Range")
        if told == wanted or time.monotonic() > deadline:
            return told
        time.sleep(0.05)


@pytest.mark.expected
@pytest.mark.parametrize("where", ["one repository", "two repositories"])
def test_faults__expected_pushers_of_one_blob(repository: Repository, where: str) -> None:
    """The same blob pushed by eight at once: 201 for all, and it is whole"""
    content = random_bytes(300_000)
    digest = digest_of(content)
    targets = [repository, repository.sibling()] if where == "two repositories" else [repository]

    def push(number: int) -> int:
        target = targets[number % len(targets)]
        return target.close_upload(target.start_upload().location, digest, content).status

    assert together(8, push) == [201] * 8
    assert all(target.get(target.blob(digest)).body == content for target in targets)


@pytest.mark.expected
def test_faults__expected_pushers_of_one_tag(repository: Repository) -> None:
    """One tag pushed by eight at once: 201 for all, and it is one of theirs"""
    images = [repository.new_image() for _ in range(8)]
    assert together(8, lambda number: repository.put_manifest(images[number], "latest").status) == [201] * 8
    body = repository.get(repository.manifest("latest"), {"Accept": OCI_IMAGE}).body
    assert body in [image.body for image in images]


@pytest.mark.expected
def test_faults__expected_put_again(repository: Repository) -> None:
    """The closing PUT sent again after its reply was lost answers 201 again"""
    content = random_bytes(500)
    upload = repository.start_upload()
    assert repository.close_upload(upload.location, digest_of(content), content).status == 201
    again = repository.close_upload(upload.location, digest_of(content), content)
    assert again.status == 201
    assert repository.get(again.header("Location") or "").body == content


@pytest.mark.expected
def test_faults__expected_cut_stream(repository: Repository) -> None:
    """A PATCH cut in the middle keeps its bytes, says how many, and the upload goes on from there"""
    content = random_bytes(200_000)
    upload = repository.start_upload()
    repository.client.cut_off("PATCH", upload.location, len(content), content[:80_000], OCTETS)
    assert range_within(repository, upload.location, "0-79999") == "0-79999"
    location = repository.get(upload.location).header("Location") or ""
    sent = repository.patch(location, content[80_000:], 80_000)
    assert (sent.status, sent.header("Range")) == (202, "0-199999")
    closed = repository.close_upload(sent.header("Location") or "", digest_of(content))
    assert closed.status == 201
    assert repository.get(repository.blob(digest_of(content))).body == content


@pytest.mark.expected
def test_faults__expected_cut_put(repository: Repository) -> None:
    """A PUT cut in the middle makes no blob, though what came has the digest that was claimed"""
    content = random_bytes(50_000)
    digest = digest_of(content)
    upload = repository.start_upload()
    target = with_query(upload.location, digest=digest)
    repository.client.cut_off("PUT", target, len(content) + 1, content, OCTETS)
    time.sleep(0.3)
    assert repository.head(repository.blob(digest)).status == 404


@pytest.mark.expected
def test_faults__expected_two_chunks_at_once(repository: Repository) -> None:
    """The same chunk from two at once: one 202, one 416, and it counts once"""
    upload = repository.start_upload()
    chunk = random_bytes(2_000_000)
    statuses = together(2, lambda _: repository.patch(upload.location, chunk, 0).status)
    assert sorted(statuses) == [202, 416]
    assert range_within(repository, upload.location, "0-1999999") == "0-1999999"


@pytest.mark.expected
def test_faults__expected_no_blob_without_its_bytes(repository: Repository) -> None:
    """After a mismatch the right content can be pushed in a new session"""
    content = random_bytes(500)
    repository.close_upload(repository.start_upload().location, random_digest(), content)
    assert repository.push_blob(content) == (content, digest_of(content))


@pytest.mark.expected
def test_faults__expected_tag_moved_during_a_pull(repository: Repository) -> None:
    """A client that resolved a tag can still pull that digest and its blobs after the tag moved"""
    first = repository.push_image("latest")
    resolved = repository.head(repository.manifest("latest"), {"Accept": OCI_IMAGE})
    repository.push_image("latest")
    digest = resolved.header("Docker-Content-Digest") or ""
    assert repository.get(repository.manifest(digest), {"Accept": OCI_IMAGE}).body == first.body
