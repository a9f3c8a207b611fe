"""POST then PUT: pushing a blob monolithically (end-4a, end-6)."""

import re
from urllib.parse import urlsplit

import pytest

from conformance.client import with_query
from conformance.content import digest_of, random_bytes
from conformance.repository import OCTETS, Repository

pytestmark = pytest.mark.section("POST then PUT")


@pytest.mark.must
def test_post_then_put__must_answer_202(repository: Repository) -> None:
    """POST answers 202"""
    assert repository.client.request("POST", repository.path("blobs/uploads/")).status == 202


@pytest.mark.must
def test_post_then_put__must_give_a_location(repository: Repository) -> None:
    """POST carries the Location of the session"""
    assert repository.start_upload().location


@pytest.mark.must
def test_post_then_put__must_give_each_session_its_own(repository: Repository) -> None:
    """The Location has a unique id of the session"""
    locations = {repository.start_upload().location for _ in range(5)}
    assert len(locations) == 5


@pytest.mark.must
def test_post_then_put__must_answer_201(repository: Repository) -> None:
    """PUT with digest and blob answers 201"""
    content = random_bytes(5000)
    upload = repository.start_upload()
    assert repository.close_upload(upload.location, digest_of(content), content).status == 201


@pytest.mark.must
def test_post_then_put__must_give_a_pullable_location(repository: Repository) -> None:
    """PUT carries the Location of the blob, which can be pulled from there"""
    content = random_bytes(5000)
    upload = repository.start_upload()
    location = repository.close_upload(upload.location, digest_of(content), content).header("Location")
    assert location
    assert repository.get(location).body == content


@pytest.mark.expected
def test_post_then_put__expected_location_that_clients_take(repository: Repository) -> None:
    """Each Location is an absolute URL or an absolute path: containerd takes nothing else"""
    content = random_bytes(50)
    upload = repository.start_upload()
    closed = repository.close_upload(upload.location, digest_of(content), content)
    for location in (upload.location, closed.header("Location") or ""):
        assert re.match(r"https?://|/[^/]", location), location


@pytest.mark.expected
def test_post_then_put__expected_location_without_a_query(repository: Repository) -> None:
    """The Location of a session has no query: simple clients replace it with ?digest="""
    upload = repository.start_upload()
    assert urlsplit(upload.location).query == ""


@pytest.mark.expected
def test_post_then_put__expected_headers_of_the_session(repository: Repository) -> None:
    """POST carries Docker-Upload-UUID and Range: 0-0, which docker parses"""
    response = repository.client.request("POST", repository.path("blobs/uploads/"))
    assert response.header("Docker-Upload-UUID")
    assert response.header("Range") == "0-0"


@pytest.mark.expected
def test_post_then_put__expected_digest_header(repository: Repository) -> None:
    """201 carries Docker-Content-Digest"""
    content = random_bytes(50)
    closed = repository.close_upload(repository.start_upload().location, digest_of(content), content)
    assert closed.header("Docker-Content-Digest") == digest_of(content)


@pytest.mark.expected
def test_post_then_put__expected_without_the_last_slash(repository: Repository) -> None:
    """POST to blobs/uploads is taken directly: after a redirect it would become a GET"""
    assert repository.client.request("POST", repository.path("blobs/uploads")).status == 202


@pytest.mark.expected
def test_post_then_put__expected_any_content_type(repository: Repository) -> None:
    """POST with a Content-Type and no body, as crane sends it, is taken"""
    headers = {"Content-Type": "application/json"}
    assert repository.client.request("POST", repository.path("blobs/uploads/"), None, headers).status == 202


@pytest.mark.expected
def test_post_then_put__expected_chunked_body(repository: Repository) -> None:
    """PUT takes a body of unknown length (chunked transfer-encoding)"""
    pieces = [random_bytes(700), random_bytes(1), random_bytes(9000)]
    content = b"".join(pieces)
    upload = repository.start_upload()
    target = with_query(upload.location, digest=digest_of(content))
    assert repository.client.request("PUT", target, pieces, OCTETS).status == 201
    assert repository.get(repository.blob(digest_of(content))).body == content


@pytest.mark.expected
def test_post_then_put__expected_400_without_a_digest(repository: Repository) -> None:
    """PUT without digest answers 400, and the session is still there"""
    upload = repository.start_upload()
    response = repository.client.request("PUT", upload.location)
    assert response.status == 400
    content = random_bytes(10)
    assert repository.close_upload(upload.location, digest_of(content), content).status == 201


@pytest.mark.expected
def test_post_then_put__expected_raw_bytes(repository: Repository) -> None:
    """A body labelled Content-Encoding: gzip is refused with 415 or stored as it came"""
    content = random_bytes(300)
    upload = repository.start_upload()
    target = with_query(upload.location, digest=digest_of(content))
    headers = {**OCTETS, "Content-Encoding": "gzip"}
    response = repository.client.request("PUT", target, content, headers)
    assert response.status in (201, 415)
    if response.status == 201:
        assert repository.get(repository.blob(digest_of(content))).body == content
