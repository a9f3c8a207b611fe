"""Endpoints: the statuses of failure in the table of the specification."""

from collections.abc import Callable

import pytest

from conformance.client import Response
from conformance.content import digest_of, random_bytes, random_digest
from conformance.repository import OCTETS, Repository

pytestmark = pytest.mark.section("Endpoints")

UNKNOWN = "blobs/uploads/00000000-0000-4000-8000-000000000000"
ELSEWHERE = f"blobs/{random_digest()}"


def _put_out_of_order(repository: Repository) -> Response:
    content = random_bytes(100)
    return repository.close_upload(repository.start_upload().location, digest_of(content), content, 50)


def _put_unknown(repository: Repository) -> Response:
    target = repository.path(UNKNOWN, digest=random_digest())
    return repository.client.request("PUT", target, b"x", OCTETS)


def _patch_unknown(repository: Repository) -> Response:
    return repository.client.request("PATCH", repository.path(UNKNOWN), b"x" * 1024, OCTETS)


def _post_wrong_digest(repository: Repository) -> Response:
    target = repository.path("blobs/uploads/", digest=random_digest())
    response = repository.client.request("POST", target, b"x", OCTETS)
    if response.status == 202:
        repository.optional("pushing a blob with a single POST")
    return response


FAILURES: dict[str, tuple[Callable[[Repository], Response], tuple[int, ...]]] = {
    "end-2 GET": (lambda r: r.get(r.path(ELSEWHERE)), (404,)),
    "end-2 HEAD": (lambda r: r.head(r.path(ELSEWHERE)), (404,)),
    "end-3 GET": (lambda r: r.get(r.manifest("missing")), (404,)),
    "end-3 HEAD": (lambda r: r.head(r.manifest("missing")), (404,)),
    "end-4b": (_post_wrong_digest, (400, 404)),
    "end-5": (_patch_unknown, (404, 416)),
    "end-6 unknown": (_put_unknown, (400, 404, 416)),
    "end-6 out of order": (_put_out_of_order, (416,)),
    "end-8a": (lambda r: r.get(r.path("tags/list")), (404,)),
    "end-8b": (lambda r: r.get(r.path("tags/list", n="2", last="a")), (404,)),
    "end-9 tag": (lambda r: r.delete(r.manifest("missing")), (404, 400, 405)),
    "end-9 digest": (lambda r: r.delete(r.manifest(random_digest())), (404, 400, 405)),
    "end-10": (lambda r: r.delete(r.path(ELSEWHERE)), (404, 400, 405)),
    "end-12a": (lambda r: r.get(r.path("referrers/sha256:short")), (404, 400)),
    "end-13": (lambda r: r.get(r.path(UNKNOWN)), (404,)),
    "end-14": (lambda r: r.delete(r.path(UNKNOWN)), (404, 400)),
}


@pytest.mark.must
@pytest.mark.parametrize(("provoke", "statuses"), FAILURES.values(), ids=FAILURES.keys())
def test_endpoints__must_fail_as_the_table_says(
    repository: Repository, provoke: Callable[[Repository], Response], statuses: tuple[int, ...]
) -> None:
    """A request that can't be fulfilled answers one of the endpoint's statuses of failure"""
    assert provoke(repository).status in statuses
