"""Pushing a blob in chunks (end-4, end-5, end-6, end-13)."""

import re
import uuid

import pytest

from conformance.client import with_query
from conformance.content import digest_of, random_bytes, random_digest
from conformance.repository import OCTETS, Repository, Upload

pytestmark = pytest.mark.section("Pushing a blob in chunks")


def location_of(header: str | None) -> str:
    assert header, "no Location"
    return header


def first_chunk(repository: Repository) -> tuple[Upload, bytes, str]:
    """A session with one chunk in it, the chunk, and where to go on."""
    upload = repository.start_upload()
    chunk = random_bytes(upload.chunk)
    response = repository.patch(upload.location, chunk, 0)
    assert response.status == 202
    return upload, chunk, location_of(response.header("Location"))


@pytest.mark.must
def test_pushing_a_blob_in_chunks__must_answer_202(repository: Repository) -> None:
    """PATCH of the first chunk answers 202"""
    upload = repository.start_upload()
    assert repository.patch(upload.location, random_bytes(upload.chunk), 0).status == 202


@pytest.mark.must
def test_pushing_a_blob_in_chunks__must_give_the_next_location(repository: Repository) -> None:
    """PATCH carries the Location for the next chunk"""
    upload = repository.start_upload()
    assert repository.patch(upload.location, random_bytes(upload.chunk), 0).header("Location")


@pytest.mark.must
def test_pushing_a_blob_in_chunks__must_tell_the_last_byte_of_the_blob(repository: Repository) -> None:
    """PATCH carries Range: 0-<last byte of the blob so far>, not of the chunk alone"""
    upload = repository.start_upload()
    location, size = upload.location, 0
    for _ in range(3):
        response = repository.patch(location, random_bytes(upload.chunk), size)
        size += upload.chunk
        assert (response.status, response.header("Range")) == (202, f"0-{size - 1}")
        location = location_of(response.header("Location"))


@pytest.mark.must
@pytest.mark.parametrize("closing", ["an empty PUT", "the last chunk in PUT"])
def test_pushing_a_blob_in_chunks__must_answer_201(repository: Repository, closing: str) -> None:
    """The closing PUT answers 201 with the Location of the blob, which is whole"""
    _, chunk, location = first_chunk(repository)
    rest = random_bytes(100)
    content = chunk + rest
    if closing == "an empty PUT":
        response = repository.patch(location, rest, len(chunk))
        assert response.status == 202
        location = location_of(response.header("Location"))
        closed = repository.close_upload(location, digest_of(content))
    else:
        closed = repository.close_upload(location, digest_of(content), rest, len(chunk))
    assert closed.status == 201
    assert repository.get(location_of(closed.header("Location"))).body == content


@pytest.mark.must
def test_pushing_a_blob_in_chunks__must_answer_416_to_a_late_start(repository: Repository) -> None:
    """A first chunk that does not begin with 0 answers 416"""
    upload = repository.start_upload()
    assert repository.patch(upload.location, random_bytes(upload.chunk), upload.chunk).status == 416


@pytest.mark.must
def test_pushing_a_blob_in_chunks__must_answer_416_to_a_gap(repository: Repository) -> None:
    """A chunk that leaves a gap answers 416"""
    upload, chunk, location = first_chunk(repository)
    assert repository.patch(location, random_bytes(upload.chunk), 2 * len(chunk)).status == 416


@pytest.mark.must
def test_pushing_a_blob_in_chunks__must_answer_416_to_an_overlap(repository: Repository) -> None:
    """A chunk that begins before the end answers 416"""
    upload, chunk, location = first_chunk(repository)
    assert repository.patch(location, random_bytes(upload.chunk), len(chunk) - 1).status == 416


@pytest.mark.must
def test_pushing_a_blob_in_chunks__must_answer_416_to_a_repeated_chunk(repository: Repository) -> None:
    """The same chunk a second time answers 416 and adds nothing"""
    _, chunk, location = first_chunk(repository)
    assert repository.patch(location, chunk, 0).status == 416
    assert repository.get(location).header("Range") == f"0-{len(chunk) - 1}"


@pytest.mark.must
@pytest.mark.parametrize("start", ["gap", "overlap"])
def test_pushing_a_blob_in_chunks__must_answer_416_to_the_closing_put(
    repository: Repository, start: str
) -> None:
    """A last chunk out of order in the closing PUT answers 416"""
    _, chunk, location = first_chunk(repository)
    rest = random_bytes(100)
    begin = len(chunk) + 50 if start == "gap" else len(chunk) - 50
    assert repository.close_upload(location, digest_of(chunk + rest), rest, begin).status == 416


@pytest.mark.must
def test_pushing_a_blob_in_chunks__must_go_on_after_416(repository: Repository) -> None:
    """After 416 the upload goes on where GET says, and the blob is whole"""
    upload, chunk, location = first_chunk(repository)
    assert repository.patch(location, random_bytes(upload.chunk), 5 * len(chunk)).status == 416
    status = repository.get(location)
    assert (status.status, status.header("Range")) == (204, f"0-{len(chunk) - 1}")
    rest = random_bytes(100)
    location = location_of(status.header("Location"))
    assert repository.close_upload(location, digest_of(chunk + rest), rest, len(chunk)).status == 201
    assert repository.get(repository.blob(digest_of(chunk + rest))).body == chunk + rest


@pytest.mark.must
def test_pushing_a_blob_in_chunks__must_tell_the_status(repository: Repository) -> None:
    """GET of a session answers 204 with Location and Range: 0-<last byte of the blob>"""
    upload, chunk, location = first_chunk(repository)
    response = repository.patch(location, random_bytes(upload.chunk), len(chunk))
    status = repository.get(location_of(response.header("Location")))
    assert (status.status, status.header("Range")) == (204, f"0-{2 * upload.chunk - 1}")
    assert status.header("Location")


@pytest.mark.must
def test_pushing_a_blob_in_chunks__must_know_every_earlier_location(repository: Repository) -> None:
    """GET of the Location that POST gave answers 204 after a chunk as well"""
    upload, chunk, _ = first_chunk(repository)
    status = repository.get(upload.location)
    assert (status.status, status.header("Range")) == (204, f"0-{len(chunk) - 1}")


@pytest.mark.should
def test_pushing_a_blob_in_chunks__should_announce_a_number(repository: Repository) -> None:
    """OCI-Chunk-Min-Length, if there is one, is a number of bytes"""
    response = repository.client.request("POST", repository.path("blobs/uploads/"))
    for line in response.lines("OCI-Chunk-Min-Length"):
        assert re.fullmatch(r"[0-9]+", line)


@pytest.mark.should
def test_pushing_a_blob_in_chunks__should_take_the_digest_algorithm(repository: Repository) -> None:
    """POST with digest-algorithm=sha512 starts a session for a sha512 blob"""
    upload = repository.start_upload(**{"digest-algorithm": "sha512"})
    chunk, rest = random_bytes(upload.chunk), random_bytes(10)
    response = repository.patch(upload.location, chunk, 0)
    digest = digest_of(chunk + rest, "sha512")
    location = location_of(response.header("Location"))
    closed = repository.close_upload(location, digest, rest, len(chunk))
    assert closed.status == 201
    assert repository.get(location_of(closed.header("Location"))).body == chunk + rest


@pytest.mark.expected
def test_pushing_a_blob_in_chunks__expected_400_to_an_unknown_algorithm(repository: Repository) -> None:
    """POST with an unknown digest-algorithm answers 400"""
    target = repository.path("blobs/uploads/", **{"digest-algorithm": "nonesuch"})
    assert repository.client.request("POST", target).status == 400


@pytest.mark.expected
@pytest.mark.parametrize("encoding", ["chunked", "Content-Length"])
def test_pushing_a_blob_in_chunks__expected_streams(repository: Repository, encoding: str) -> None:
    """PATCH without Content-Range appends, as docker and podman push"""
    upload = repository.start_upload()
    pieces = [random_bytes(upload.chunk), random_bytes(777)]
    content = b"".join(pieces)
    body = pieces if encoding == "chunked" else content
    response = repository.client.request("PATCH", upload.location, body, OCTETS)
    assert (response.status, response.header("Range")) == (202, f"0-{len(content) - 1}")
    closed = repository.close_upload(location_of(response.header("Location")), digest_of(content))
    assert closed.status == 201
    assert repository.get(repository.blob(digest_of(content))).body == content


@pytest.mark.expected
def test_pushing_a_blob_in_chunks__expected_ranges_of_streams(repository: Repository) -> None:
    """A chunk with Content-Range may be of unknown length (chunked transfer-encoding)"""
    upload, chunk, location = first_chunk(repository)
    pieces = [random_bytes(700), random_bytes(upload.chunk)]
    content = b"".join(pieces)
    last = len(chunk) + len(content) - 1
    headers = {**OCTETS, "Content-Range": f"{len(chunk)}-{last}"}
    response = repository.client.request("PATCH", location, pieces, headers)
    assert (response.status, response.header("Range")) == (202, f"0-{last}")


@pytest.mark.expected
def test_pushing_a_blob_in_chunks__expected_a_second_stream(repository: Repository) -> None:
    """A second PATCH without Content-Range, sent to the Location of the first, appends"""
    upload = repository.start_upload()
    first = repository.patch(upload.location, b"a" * upload.chunk, None)
    second = repository.patch(location_of(first.header("Location")), b"b" * upload.chunk, None)
    assert (second.status, second.header("Range")) == (202, f"0-{2 * upload.chunk - 1}")


@pytest.mark.expected
def test_pushing_a_blob_in_chunks__expected_answer_to_a_repeated_stream(repository: Repository) -> None:
    """A streaming PATCH sent again to its old Location answers 416 and adds nothing"""
    upload = repository.start_upload()
    content = random_bytes(upload.chunk)
    first = repository.patch(upload.location, content, None)
    again = repository.patch(upload.location, content, None)
    assert again.status == 416
    status = repository.get(location_of(first.header("Location")))
    assert status.header("Range") == f"0-{len(content) - 1}"


@pytest.mark.expected
def test_pushing_a_blob_in_chunks__expected_session_headers(repository: Repository) -> None:
    """PATCH carries Docker-Upload-UUID, the same as POST, and has no body"""
    opened = repository.client.request("POST", repository.path("blobs/uploads/"))
    response = repository.patch(location_of(opened.header("Location")), random_bytes(1024), None)
    assert response.header("Docker-Upload-UUID")
    assert response.header("Docker-Upload-UUID") == opened.header("Docker-Upload-UUID")
    assert response.body == b""


@pytest.mark.expected
def test_pushing_a_blob_in_chunks__expected_range_of_an_empty_session(repository: Repository) -> None:
    """GET of a session without bytes says Range: 0-0, which docker can parse"""
    status = repository.get(repository.start_upload().location)
    assert (status.status, status.header("Range")) == (204, "0-0")


@pytest.mark.expected
def test_pushing_a_blob_in_chunks__expected_head(repository: Repository) -> None:
    """HEAD of a session answers like GET"""
    _, chunk, location = first_chunk(repository)
    status = repository.head(location)
    assert (status.status, status.header("Range")) == (204, f"0-{len(chunk) - 1}")


@pytest.mark.expected
def test_pushing_a_blob_in_chunks__expected_help_in_416(repository: Repository) -> None:
    """416 carries Location and Range, from which regctl goes on"""
    upload, chunk, location = first_chunk(repository)
    response = repository.patch(location, random_bytes(upload.chunk), 5 * len(chunk))
    assert (response.status, response.header("Range")) == (416, f"0-{len(chunk) - 1}")
    rest = random_bytes(upload.chunk)
    assert repository.patch(location_of(response.header("Location")), rest, len(chunk)).status == 202


@pytest.mark.expected
@pytest.mark.parametrize(
    "content_range", ["", "abc", "5-2", "0", "-5", "bytes 0-1023", "0-1023/*", f"{2**70}-{2**70 + 1023}"]
)
def test_pushing_a_blob_in_chunks__expected_refusal_of_bad_ranges(
    repository: Repository, content_range: str
) -> None:
    """A malformed Content-Range answers 400 or 416 and adds nothing"""
    upload = repository.start_upload()
    headers = {**OCTETS, "Content-Range": content_range}
    response = repository.client.request("PATCH", upload.location, random_bytes(1024), headers)
    assert response.status in (400, 416)
    assert repository.get(upload.location).header("Range") in ("0-0", "0--1")


@pytest.mark.expected
@pytest.mark.parametrize("length", [1000, 1048])
def test_pushing_a_blob_in_chunks__expected_size_invalid(repository: Repository, length: int) -> None:
    """A body that is not as long as its Content-Range says answers 400 SIZE_INVALID and adds nothing"""
    upload = repository.start_upload()
    headers = {**OCTETS, "Content-Range": "0-1023"}
    response = repository.client.request("PATCH", upload.location, random_bytes(length), headers)
    assert (response.status, response.error_codes) == (400, ["SIZE_INVALID"])
    assert repository.get(upload.location).header("Range") in ("0-0", "0--1")


@pytest.mark.expected
@pytest.mark.parametrize("method", ["GET", "PATCH", "PUT", "DELETE"])
@pytest.mark.parametrize("session", ["finished", "of another repository", "unknown"])
def test_pushing_a_blob_in_chunks__expected_unknown_sessions(
    repository: Repository, method: str, session: str
) -> None:
    """A session that ended, is another repository's or never was answers 404 BLOB_UPLOAD_UNKNOWN"""
    upload = repository.start_upload()
    location = upload.location
    if session == "finished":
        content = random_bytes(10)
        assert repository.close_upload(location, digest_of(content), content).status == 201
    elif session == "unknown":
        location = repository.path(f"blobs/uploads/{uuid.uuid4()}")
    else:
        other = repository.sibling()
        other.push_blob()
        location = location.replace(repository.name, other.name)
    target = with_query(location, digest=random_digest()) if method == "PUT" else location
    body = random_bytes(10) if method in ("PATCH", "PUT") else None
    response = repository.client.request(method, target, body, OCTETS if body else ())
    assert (response.status, response.error_codes) == (404, ["BLOB_UPLOAD_UNKNOWN"])
