"""Checking if content exists in the registry (end-2, end-3, with HEAD)."""

from urllib.parse import urlsplit

import pytest

from conformance.content import OCI_IMAGE, random_digest
from conformance.repository import Repository

pytestmark = pytest.mark.section("Checking if content exists in the registry")

KINDS = ["blob", "manifest by tag", "manifest by digest"]
ACCEPT = {"Accept": OCI_IMAGE}


def pushed(repository: Repository, kind: str) -> tuple[str, str, int]:
    """Path, digest and size of something that was pushed."""
    if kind == "blob":
        content, digest = repository.push_blob()
        return repository.blob(digest), digest, len(content)
    manifest = repository.push_image("latest")
    reference = "latest" if kind == "manifest by tag" else manifest.digest
    return repository.manifest(reference), manifest.digest, len(manifest.body)


@pytest.mark.must
@pytest.mark.parametrize("kind", KINDS)
def test_checking_if_content_exists_in_the_registry__must_answer_200(
    repository: Repository, kind: str
) -> None:
    """HEAD of what exists answers 200"""
    target, _, _ = pushed(repository, kind)
    assert repository.head(target, ACCEPT).status == 200


@pytest.mark.must
@pytest.mark.parametrize("kind", KINDS)
def test_checking_if_content_exists_in_the_registry__must_name_the_digest(
    repository: Repository, kind: str
) -> None:
    """HEAD carries Docker-Content-Digest"""
    target, digest, _ = pushed(repository, kind)
    assert repository.head(target, ACCEPT).header("Docker-Content-Digest") == digest


@pytest.mark.must
@pytest.mark.parametrize("kind", KINDS)
def test_checking_if_content_exists_in_the_registry__must_tell_the_size(
    repository: Repository, kind: str
) -> None:
    """HEAD carries the size in Content-Length"""
    target, _, size = pushed(repository, kind)
    assert repository.head(target, ACCEPT).header("Content-Length") == str(size)


@pytest.mark.must
@pytest.mark.parametrize("kind", KINDS)
def test_checking_if_content_exists_in_the_registry__must_answer_404(
    repository: Repository, kind: str
) -> None:
    """HEAD of what is not in the repository answers 404"""
    pushed(repository, kind)
    missing = {
        "blob": repository.blob(random_digest()),
        "manifest by tag": repository.manifest("missing"),
        "manifest by digest": repository.manifest(random_digest()),
    }
    assert repository.head(missing[kind], ACCEPT).status == 404


@pytest.mark.should
@pytest.mark.parametrize("kind", KINDS)
def test_checking_if_content_exists_in_the_registry__should_answer_like_get(
    repository: Repository, kind: str
) -> None:
    """HEAD answers with the headers of GET"""
    target, _, _ = pushed(repository, kind)
    got, head = repository.get(target, ACCEPT), repository.head(target, ACCEPT)
    for name in ("Content-Type", "Content-Length", "Docker-Content-Digest", "ETag"):
        assert head.header(name) == got.header(name), name


@pytest.mark.should
@pytest.mark.parametrize("kind", [*KINDS, "missing"])
def test_checking_if_content_exists_in_the_registry__should_have_no_body(
    repository: Repository, kind: str
) -> None:
    """HEAD sends no body, for errors either"""
    target = repository.blob(random_digest()) if kind == "missing" else pushed(repository, kind)[0]
    client = repository.client
    if urlsplit(client.url).scheme != "http" or client.request("HEAD", target, headers=ACCEPT).status == 401:
        pytest.skip("needs a registry without TLS, and to be signed in")
    fields = {"Host": urlsplit(client.url).netloc, "Accept": OCI_IMAGE, "Connection": "close"}
    lines = [f"{name}: {value}\r\n" for name, value in {**fields, **client.credentials}.items()]
    answer = client.raw(f"HEAD {target} HTTP/1.1\r\n{''.join(lines)}\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 404" if kind == "missing" else b"HTTP/1.1 200")
    _, separator, body = answer.partition(b"\r\n\r\n")
    assert (separator, body) == (b"\r\n\r\n", b"")


@pytest.mark.must
def test_checking_if_content_exists_in_the_registry__must_not_find_foreign_blobs(
    repository: Repository,
) -> None:
    """HEAD of a blob that only another repository has answers 404"""
    _, digest = repository.sibling().push_blob()
    repository.push_blob()
    assert repository.head(repository.blob(digest)).status == 404
