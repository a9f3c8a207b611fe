"""Error Codes: the shape of every refusal."""

import re
from collections.abc import Callable

import pytest

from conformance.client import Response
from conformance.content import EMPTY, OCI_IMAGE, descriptor, image, random_digest
from conformance.repository import OCTETS, Repository

pytestmark = pytest.mark.section("Error Codes")

LEGACY = {"TAG_INVALID", "MANIFEST_UNVERIFIED"}
"""Allowed by "Legacy Docker support error codes"."""
TABLE = {
    *("BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN", "DIGEST_INVALID"),
    *("MANIFEST_BLOB_UNKNOWN", "MANIFEST_INVALID", "MANIFEST_UNKNOWN", "NAME_INVALID", "NAME_UNKNOWN"),
    *("SIZE_INVALID", "UNAUTHORIZED", "DENIED", "UNSUPPORTED", "TOOMANYREQUESTS"),
}


def _late_chunk(repository: Repository) -> Response:
    return repository.patch(repository.start_upload().location, b"x" * 1024, 5000)


def _wrong_content(repository: Repository) -> Response:
    return repository.close_upload(repository.start_upload().location, random_digest(), b"x")


def _no_manifest(repository: Repository) -> Response:
    headers = {"Content-Type": OCI_IMAGE}
    return repository.client.request("PUT", repository.manifest("latest"), b"{}", headers)


def _unknown_upload(repository: Repository) -> Response:
    target = repository.path("blobs/uploads/00000000-0000-4000-8000-000000000000")
    return repository.client.request("PATCH", target, b"x" * 1024, OCTETS)


def _unknown_manifest(repository: Repository) -> Response:
    repository.push_image("latest")
    return repository.get(repository.manifest("missing"))


def _range_past_the_end(repository: Repository) -> Response:
    _, digest = repository.push_blob(b"short")
    return repository.get(repository.blob(digest), {"Range": "bytes=100-"})


def _strange_content_range(repository: Repository) -> Response:
    headers = {**OCTETS, "Content-Range": "abc"}
    location = repository.start_upload().location
    return repository.client.request("PATCH", location, b"x" * 1024, headers)


def _strange_page(repository: Repository) -> Response:
    repository.push_image("latest")
    return repository.get(repository.path("tags/list", n="abc"))


REFUSALS: dict[str, tuple[Callable[[Repository], Response], str]] = {
    "a missing blob": (lambda r: r.push_blob() and r.get(r.blob(random_digest())), "BLOB_UNKNOWN"),
    "a missing manifest": (_unknown_manifest, "MANIFEST_UNKNOWN"),
    "an unknown repository": (lambda r: r.get(r.path("tags/list")), "NAME_UNKNOWN"),
    "a bad name": (lambda r: r.get(f"/v2/{r.name}/UPPER/tags/list"), "NAME_INVALID"),
    "a bad digest": (lambda r: r.get(r.blob("sha256:short")), "DIGEST_INVALID"),
    "other content": (_wrong_content, "DIGEST_INVALID"),
    "an unknown upload": (_unknown_upload, "BLOB_UPLOAD_UNKNOWN"),
    "a late chunk": (_late_chunk, "BLOB_UPLOAD_INVALID"),
    "no manifest": (_no_manifest, "MANIFEST_INVALID"),
}
OTHERS: dict[str, Callable[[Repository], Response]] = {
    "a range past the end": _range_past_the_end,
    "a strange page": _strange_page,
    "a strange Content-Range": _strange_content_range,
    "a bad tag": lambda r: r.put_manifest(r.new_image(), ".hidden"),
    "a huge manifest": lambda r: r.put_manifest(r.new_image(annotations={"x": "x" * 5_000_000})),
    "missing blobs": lambda r: r.put_manifest(image(descriptor(EMPTY, b"{}"), []), "latest"),
    "an unknown path": lambda r: r.get(r.path("nothing")),
    "a wrong method": lambda r: r.client.request("POST", r.path("tags/list")),
}
EVERY = {**{name: provoke for name, (provoke, _) in REFUSALS.items()}, **OTHERS}
every_refusal = pytest.mark.parametrize("provoke", EVERY.values(), ids=EVERY.keys())


def errors_of(repository: Repository, response: Response) -> list[dict[str, object]]:
    """The errors in a JSON body; ends the test when the body is not JSON, which is allowed."""
    if response.status < 400:
        repository.optional("a refusal of this")
    assert response.status < 500
    if "json" not in (response.header("Content-Type") or ""):
        repository.optional("a JSON body in this refusal")
    document = response.json()
    assert isinstance(document, dict)
    errors = document.get("errors")
    assert isinstance(errors, list), f"no list of errors in {response.body[:200]!r}"
    assert errors, "an empty list of errors, which docker can't parse"
    return errors


@pytest.mark.must
@every_refusal
def test_error_codes__must_have_the_format(
    repository: Repository, provoke: Callable[[Repository], Response]
) -> None:
    """A JSON body is {"errors": [{"code", "message", "detail"}]} with a code in capitals"""
    for error in errors_of(repository, provoke(repository)):
        assert set(error) <= {"code", "message", "detail"}
        assert re.fullmatch(r"[A-Z_]+", str(error.get("code")))


@pytest.mark.must
@every_refusal
def test_error_codes__must_stand_in_the_table(
    repository: Repository, provoke: Callable[[Repository], Response]
) -> None:
    """Every code is one of the table"""
    assert {error.get("code") for error in errors_of(repository, provoke(repository))} <= TABLE | LEGACY


@pytest.mark.should
@every_refusal
def test_error_codes__should_be_readable(
    repository: Repository, provoke: Callable[[Repository], Response]
) -> None:
    """The message is a string"""
    for error in errors_of(repository, provoke(repository)):
        assert isinstance(error.get("message", ""), str)


@pytest.mark.expected
@pytest.mark.parametrize(("provoke", "code"), REFUSALS.values(), ids=REFUSALS.keys())
def test_error_codes__expected_code(
    repository: Repository, provoke: Callable[[Repository], Response], code: str
) -> None:
    """Each refusal has its code, and a message"""
    response = provoke(repository)
    assert response.error_codes == [code]
    assert all(error.get("message") for error in errors_of(repository, response))


@pytest.mark.expected
@pytest.mark.parametrize("path", ["/v2/nothing", "/v2/a/b/nothing/here", "/v3/", "/v2/a/blobs"])
def test_error_codes__expected_json_for_unknown_paths(repository: Repository, path: str) -> None:
    """A path that is no endpoint answers 404 with an error body"""
    response = repository.get(path)
    assert response.status == 404
    assert response.error_codes


@pytest.mark.expected
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "tags/list"),
        ("PATCH", "manifests/latest"),
        ("PUT", "blobs/uploads/"),
        ("DELETE", "tags/list"),
    ],
)
def test_error_codes__expected_unsupported(repository: Repository, method: str, path: str) -> None:
    """A wrong method answers 405 UNSUPPORTED with Allow"""
    response = repository.client.request(method, repository.path(path))
    assert (response.status, response.error_codes) == (405, ["UNSUPPORTED"])
    assert "GET" in (response.header("Allow") or "") or "POST" in (response.header("Allow") or "")
