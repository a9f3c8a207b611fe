"""The request was carried out, its answer was lost, and the client sends it again."""

from collections.abc import Iterator

import pytest

from conformance.client import with_query
from conformance.content import digest_of, random_bytes
from tests.faults.conftest import serving
from tests.faults.lossy_proxy import LossyProxy
from tests.faults.pusher import Pusher, image_of
from tests.support.forwarding import in_a_thread

pytestmark = pytest.mark.xdist_group("lost_answers")  # one process, and so one registry, for all of them

CONTENT = random_bytes(500_000)
DIGEST = digest_of(CONTENT)
HALF = 300_000
UPLOADS = "/v2/some/image/blobs/uploads/"


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LossyProxy]:
    data = tmp_path_factory.mktemp("lossy") / "data"
    with serving(data, workers=2) as running, in_a_thread(LossyProxy(running.address)) as proxy:
        yield proxy


def begin(proxy: LossyProxy) -> str:
    """The address of a new upload."""
    answer = proxy.request("POST", UPLOADS)
    assert answer.status == 202
    return answer.header("Location") or ""


@pytest.mark.parametrize("headers", [{}, {"Content_Range": f"0-{HALF - 1}"}], ids=["stream", "chunk"])
def test_patch(proxy: LossyProxy, headers: dict[str, str]) -> None:
    location = begin(proxy)
    proxy.lose("PATCH", location, CONTENT[:HALF], **headers)
    for _ in range(2):
        again = proxy.request("PATCH", location, CONTENT[:HALF], **headers)
        assert (again.status, again.error_codes) == (416, ["BLOB_UPLOAD_INVALID"])
        assert again.header("Range") == f"0-{HALF - 1}"
    told = again.header("Location") or ""
    assert proxy.request("GET", location).header("Range") == f"0-{HALF - 1}"
    rest = proxy.request("PATCH", told, CONTENT[HALF:], Content_Range=f"{HALF}-{len(CONTENT) - 1}")
    assert rest.status == 202
    closed = proxy.request("PUT", with_query(rest.header("Location") or "", digest=DIGEST))
    assert closed.status == 201
    assert proxy.request("GET", f"/v2/some/image/blobs/{DIGEST}").body == CONTENT


@pytest.mark.parametrize("before", [0, HALF, len(CONTENT)], ids=["all", "rest", "nothing"])
def test_put(proxy: LossyProxy, before: int) -> None:
    """With the bytes that a PATCH has not brought: all, some or none."""
    location = begin(proxy)
    if before:
        location = proxy.request("PATCH", location, CONTENT[:before]).header("Location") or ""
    target = with_query(location, digest=DIGEST)
    proxy.lose("PUT", target, CONTENT[before:])
    for _ in range(2):
        again = proxy.request("PUT", target, CONTENT[before:])
        assert again.status == 201
        assert again.header("Docker-Content-Digest") == DIGEST
        assert proxy.request("GET", again.header("Location") or "").body == CONTENT
    assert proxy.request("PUT", with_query(location, digest=digest_of(b""))).status == 404
    assert proxy.request("PATCH", location, b"more").status == 404


def test_post_of_a_whole_blob(proxy: LossyProxy) -> None:
    target = f"{UPLOADS}?digest={DIGEST}"
    proxy.lose("POST", target, CONTENT)
    assert proxy.request("POST", target, CONTENT).status == 201
    assert proxy.request("GET", f"/v2/some/image/blobs/{DIGEST}").body == CONTENT


def test_what_is_not_an_upload(proxy: LossyProxy) -> None:
    """A mount, a manifest, and deletions: these are gone already."""
    pusher = Pusher(proxy.client, "some/image")
    pusher.push_whole(CONTENT)
    mount = f"/v2/other/image/blobs/uploads/?mount={DIGEST}&from=some/image"
    proxy.lose("POST", mount)
    assert proxy.request("POST", mount).status == 201
    manifest = image_of(CONTENT)
    target = "/v2/some/image/manifests/tag"
    proxy.lose("PUT", target, manifest.body, Content_Type=manifest.media_type)
    assert proxy.request("PUT", target, manifest.body, Content_Type=manifest.media_type).status == 201
    assert proxy.request("GET", target).body == manifest.body
    for gone in ("manifests/tag", f"manifests/{manifest.digest}", f"blobs/{DIGEST}"):
        proxy.lose("DELETE", f"/v2/some/image/{gone}")
        assert proxy.request("DELETE", f"/v2/some/image/{gone}").status == 404


def test_cancel(proxy: LossyProxy) -> None:
    location = begin(proxy)
    proxy.lose("DELETE", location)
    again = proxy.request("DELETE", location)
    assert (again.status, again.error_codes) == (404, ["BLOB_UPLOAD_UNKNOWN"])
