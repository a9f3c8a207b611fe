"""Warnings, Too Many Requests and Location: what holds for the headers of every answer."""

import re

import pytest

from conformance.client import Response
from conformance.content import OCI_IMAGE, digest_of, random_bytes, random_digest
from conformance.repository import Repository

pytestmark = pytest.mark.section("Headers of every answer")

WARNING = re.compile(r'299 - "(?:[^"\\]|\\.)*"')


def judge_warnings(response: Response) -> None:
    """RFC 7234, section 5.5, as the specification narrows it: `299 - "text"`, 4096 bytes in all."""
    lines = response.lines("Warning")
    for line in lines:
        assert WARNING.fullmatch(line), f"not a warning that the specification allows: {line}"
    assert sum(len(line.encode()) for line in lines) <= 4096, "more than 4096 bytes of warnings"


def judge_too_many_requests(response: Response) -> None:
    """429 says when to come back, in seconds or as a date (RFC 9110, section 10.2.3)."""
    if response.status == 429:
        assert response.header("Retry-After"), "429 without Retry-After"


def tour(repository: Repository) -> list[Response]:
    """An answer of nearly every kind: pushes, pulls, lists, deletions and refusals."""
    content = random_bytes(500)
    answers = [repository.client.request("POST", repository.path("blobs/uploads/"))]
    answers.append(repository.close_upload(answers[0].header("Location") or "", digest_of(content), content))
    image = repository.new_image()
    answers.append(repository.put_manifest(image, "latest"))
    for target in (repository.manifest("latest"), repository.blob(digest_of(content))):
        answers.append(repository.get(target, {"Accept": OCI_IMAGE}))
        answers.append(repository.head(target, {"Accept": OCI_IMAGE}))
    answers.append(repository.get(repository.path("tags/list")))
    answers.append(repository.get(repository.path(f"referrers/{image.digest}")))
    answers.append(repository.get(repository.blob(random_digest())))
    answers.append(repository.get(repository.manifest("missing")))
    answers.append(repository.delete(repository.manifest(image.digest)))
    return answers


@pytest.mark.must
def test_headers_of_every_answer__must_warn_in_the_format(repository: Repository) -> None:
    """A Warning has code 299, agent `-` and no date, and all together at most 4096 bytes"""
    for response in tour(repository):
        judge_warnings(response)


@pytest.mark.should
def test_headers_of_every_answer__should_say_when_to_come_back(repository: Repository) -> None:
    """429 carries Retry-After"""
    for response in tour(repository):
        judge_too_many_requests(response)


@pytest.mark.expected
def test_headers_of_every_answer__expected_no_5xx(repository: Repository) -> None:
    """No answer of an ordinary push and pull is a 5xx"""
    for response in tour(repository):
        assert response.status < 500


@pytest.mark.expected
def test_headers_of_every_answer__expected_no_signature_extension(repository: Repository) -> None:
    """X-Registry-Supports-Signatures is never 1: clients would ask for an API that is not there"""
    for response in tour(repository):
        assert response.header("X-Registry-Supports-Signatures") != "1"
