"""Pulling blobs (end-2)."""

import pytest

from conformance.content import digest_of, random_bytes, random_digest
from conformance.repository import Repository

pytestmark = pytest.mark.section("Pulling blobs")

SIZE = 2048


@pytest.mark.must
@pytest.mark.parametrize("size", [0, 1, SIZE, 3_000_000])
def test_pulling_blobs__must_answer_200_with_the_bytes(repository: Repository, size: int) -> None:
    """GET answers 200 with the blob, byte for byte"""
    content, digest = repository.push_blob(random_bytes(size))
    response = repository.get(repository.blob(digest))
    assert response.status == 200
    assert response.body == content


@pytest.mark.must
def test_pulling_blobs__must_name_the_digest(repository: Repository) -> None:
    """GET carries Docker-Content-Digest"""
    _, digest = repository.push_blob()
    assert repository.get(repository.blob(digest)).header("Docker-Content-Digest")


@pytest.mark.must
def test_pulling_blobs__must_name_a_digest_that_matches(repository: Repository) -> None:
    """Docker-Content-Digest is a digest of the body"""
    _, digest = repository.push_blob()
    response = repository.get(repository.blob(digest))
    named = response.header("Docker-Content-Digest") or ""
    assert named == digest_of(response.body, named.partition(":")[0] or "sha256")


@pytest.mark.must
def test_pulling_blobs__must_answer_404_for_a_missing_one(repository: Repository) -> None:
    """GET of a blob that nobody has answers 404"""
    repository.push_blob()
    assert repository.get(repository.blob(random_digest())).status == 404


@pytest.mark.must
def test_pulling_blobs__must_answer_404_for_that_of_another_repository(repository: Repository) -> None:
    """GET of a blob that only another repository has answers 404"""
    _, digest = repository.sibling().push_blob()
    repository.push_blob()
    assert repository.get(repository.blob(digest)).status == 404


@pytest.mark.should
@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("500-1499", 500, 1499),
        ("0-0", 0, 0),
        ("500-", 500, 2047),
        ("-500", 1548, 2047),
        ("2000-5000", 2000, 2047),
        ("-5000", 0, 2047),
    ],
)
def test_pulling_blobs__should_serve_a_range(
    repository: Repository, asked: str, first: int, last: int
) -> None:
    """Range answers 206 with Content-Range and exactly the bytes asked for"""
    content, digest = repository.push_blob(random_bytes(SIZE))
    response = repository.get(repository.blob(digest), {"Range": f"bytes={asked}"})
    assert response.status == 206
    assert response.header("Content-Range") == f"bytes {first}-{last}/{SIZE}"
    assert response.body == content[first : last + 1]
    assert response.header("Content-Length") == str(last + 1 - first)


@pytest.mark.should
@pytest.mark.parametrize("asked", ["2048-", "5000-10000", "-0"])
def test_pulling_blobs__should_answer_416_past_the_end(repository: Repository, asked: str) -> None:
    """A range without any byte of the blob answers 416"""
    _, digest = repository.push_blob(random_bytes(SIZE))
    response = repository.get(repository.blob(digest), {"Range": f"bytes={asked}"})
    assert response.status == 416


@pytest.mark.should
def test_pulling_blobs__should_tell_the_size_with_416(repository: Repository) -> None:
    """416 carries Content-Range: bytes */size"""
    _, digest = repository.push_blob(random_bytes(SIZE))
    response = repository.get(repository.blob(digest), {"Range": "bytes=5000-10000"})
    assert (response.status, response.header("Content-Range")) == (416, f"bytes */{SIZE}")


@pytest.mark.should
def test_pulling_blobs__should_ignore_unknown_range_units(repository: Repository) -> None:
    """A range in an unknown unit is ignored: 200 with the whole blob"""
    content, digest = repository.push_blob(random_bytes(SIZE))
    response = repository.get(repository.blob(digest), {"Range": "lines=1-2"})
    assert (response.status, response.body) == (200, content)


@pytest.mark.expected
def test_pulling_blobs__expected_416_for_a_backward_range(repository: Repository) -> None:
    """A range whose last byte is before its first answers 416"""
    _, digest = repository.push_blob(random_bytes(SIZE))
    assert repository.get(repository.blob(digest), {"Range": "bytes=500-0"}).status == 416


@pytest.mark.expected
def test_pulling_blobs__expected_416_for_a_range_of_nothing(repository: Repository) -> None:
    """A range of the empty blob answers 416"""
    _, digest = repository.push_blob(b"")
    assert repository.get(repository.blob(digest), {"Range": "bytes=0-0"}).status == 416


@pytest.mark.expected
def test_pulling_blobs__expected_accept_ranges(repository: Repository) -> None:
    """GET and HEAD announce Accept-Ranges: bytes"""
    _, digest = repository.push_blob()
    assert repository.get(repository.blob(digest)).header("Accept-Ranges") == "bytes"
    assert repository.head(repository.blob(digest)).header("Accept-Ranges") == "bytes"


@pytest.mark.expected
def test_pulling_blobs__expected_type(repository: Repository) -> None:
    """Content-Type is that of plain bytes, so that no browser shows what was pushed"""
    _, digest = repository.push_blob(b"<script>alert(1)</script>")
    response = repository.get(repository.blob(digest))
    assert response.lines("Content-Type") == ["application/octet-stream"]


@pytest.mark.expected
def test_pulling_blobs__expected_blob_unknown(repository: Repository) -> None:
    """A missing blob is BLOB_UNKNOWN"""
    repository.push_blob()
    assert repository.get(repository.blob(random_digest())).error_codes == ["BLOB_UNKNOWN"]


@pytest.mark.expected
@pytest.mark.parametrize(
    "digest",
    ["sha256:sixty", "sha256:" + "A" * 64, "sha256:" + "a" * 63, "md5:" + "a" * 32, "a" * 64],
    ids=["not hexadecimal", "upper case", "short", "md5", "no algorithm"],
)
def test_pulling_blobs__expected_digest_invalid(repository: Repository, digest: str) -> None:
    """A malformed digest or an unknown algorithm answers 400 DIGEST_INVALID"""
    response = repository.get(repository.blob(digest))
    assert (response.status, response.error_codes) == (400, ["DIGEST_INVALID"])


@pytest.mark.expected
def test_pulling_blobs__expected_no_content_encoding(repository: Repository) -> None:
    """A blob is never compressed, whatever Accept-Encoding says"""
    content, digest = repository.push_blob(b"compressible " * 1000)
    response = repository.get(repository.blob(digest), {"Accept-Encoding": "zstd, gzip, deflate"})
    assert (response.header("Content-Encoding"), response.body) == (None, content)
