"""Several processes on one index: what one has answered with a 201 or 202, the next request to another sees.

Each registry has its own caches, as the processes of one server and the replicas of several machines do.
"""

import pytest

from tests.http.client import Client
from tests.http.content import (
    EMPTY_CONFIG,
    REPOSITORY,
    digest_of,
    image,
    push_blob,
    push_image,
    push_manifest,
    start_upload,
)
from tests.http.serving import Registries

MANIFESTS = f"/v2/{REPOSITORY}/manifests"


@pytest.fixture
async def both(registries: Registries) -> tuple[Client, Client]:
    return await registries.start(), await registries.start()


async def test_a_push_is_seen_at_once(both: tuple[Client, Client]) -> None:
    """Also where the other has been asked, in vain, before."""
    for number, (writer, reader) in enumerate([both, both[::-1]] * 5):
        tag, annotations = f"v{number}", {"n": str(number)}
        digest = digest_of(image(annotations=annotations))
        for path in (f"{MANIFESTS}/{tag}", f"{MANIFESTS}/{digest}"):
            assert (await reader.get(path)).status == 404
        body = await push_image(writer, tag, annotations=annotations)

        for path in (f"{MANIFESTS}/{tag}", f"{MANIFESTS}/{digest}"):
            assert (await reader.get(path)).body == body
        assert tag in (await reader.get(f"/v2/{REPOSITORY}/tags/list")).json["tags"]


async def test_a_tag_that_moves_is_seen_at_once(both: tuple[Client, Client]) -> None:
    await push_blob(both[0], EMPTY_CONFIG)
    for number in range(20):
        writer, reader = both if number % 3 else both[::-1]
        body = image(annotations={"n": str(number)})
        assert (await push_manifest(writer, "moving", body)).status == 201

        for client in (reader, writer):
            answer = await client.head(f"{MANIFESTS}/moving")
            assert answer.headers["Docker-Content-Digest"] == digest_of(body), number
            assert (await client.get(f"{MANIFESTS}/moving")).body == body


async def test_a_deletion_is_seen_at_once(both: tuple[Client, Client]) -> None:
    writer, reader = both
    body = await push_image(writer, "latest", layers=[])
    blob = await push_blob(writer, b"a blob")
    paths = [f"{MANIFESTS}/latest", f"{MANIFESTS}/{digest_of(body)}", f"/v2/{REPOSITORY}/blobs/{blob}"]
    for client in both:
        for path in paths:
            assert (await client.get(path)).status == 200

    for path in paths:
        assert (await writer.delete(path)).status == 202
        for client in (reader, writer):
            assert (await client.get(path)).status == 404
            assert (await client.head(path)).status == 404
            assert (await client.get(path, {"Range": "bytes=0-1"})).status == 404
            assert (await client.get(path, {"If-None-Match": "*"})).status == 404


async def test_a_blob_that_comes_back_is_seen_at_once(both: tuple[Client, Client]) -> None:
    for content in (b"small", 100_000 * b"large"):
        for number in range(6):
            writer, reader = both if number % 2 else both[::-1]
            digest = await push_blob(writer, content)
            for client in (reader, writer):
                assert (await client.get(f"/v2/{REPOSITORY}/blobs/{digest}")).body == content
            assert (await reader.delete(f"/v2/{REPOSITORY}/blobs/{digest}")).status == 202
            assert (await writer.head(f"/v2/{REPOSITORY}/blobs/{digest}")).status == 404


async def test_a_mount_is_seen_at_once(both: tuple[Client, Client]) -> None:
    writer, reader = both
    digest = await push_blob(writer, b"a layer", "source")
    assert (await reader.head(f"/v2/target/blobs/{digest}")).status == 404

    assert (await writer.post(f"/v2/target/blobs/uploads/?mount={digest}&from=source")).status == 201

    assert (await reader.get(f"/v2/target/blobs/{digest}")).body == b"a layer"


async def test_a_media_type_that_changes_is_seen_at_once(both: tuple[Client, Client]) -> None:
    """The same bytes may be pushed again as another type, where they don't name one themselves."""
    await push_blob(both[0], EMPTY_CONFIG)
    body = image(mediaType=None)
    types = [
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    ]
    for number in range(4):
        media_type = types[number % 2]
        assert (await push_manifest(both[number % 2], "typed", body, media_type=media_type)).status == 201

        for client in both:
            assert (await client.head(f"{MANIFESTS}/typed")).headers["Content-Type"] == media_type


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_an_upload_goes_on_at_another_process(both: tuple[Client, Client], algorithm: str) -> None:
    """And back at the first, which must not go on with the hash of what it knew itself."""
    pieces = [bytes([65 + number]) * 70_000 for number in range(5)]
    content = b"".join(pieces)
    location = await start_upload(both[0])
    for number, piece in enumerate(pieces):
        answer = await both[number % 2].patch(location, piece)
        assert answer.status == 202
        location = answer.headers["Location"]
        assert (await both[(number + 1) % 2].get(location)).headers["Range"] == answer.headers["Range"]

    digest = digest_of(content, algorithm)
    assert (await both[1].put(f"{location}?digest={digest}")).status == 201
    for client in both:
        assert (await client.get(f"/v2/{REPOSITORY}/blobs/{digest}")).body == content


async def test_a_wrong_digest_is_found_wherever_the_upload_ends(both: tuple[Client, Client]) -> None:
    for ending in both:
        location = await start_upload(both[0])
        location = (await both[1].patch(location, b"some")).headers["Location"]
        location = (await both[0].patch(location, b"thing")).headers["Location"]

        answer = await ending.put(f"{location}?digest={digest_of(b'something else')}")

        assert answer.refusal == (400, "DIGEST_INVALID")
        assert (await both[0].head(f"/v2/{REPOSITORY}/blobs/{digest_of(b'something else')}")).status == 404


async def test_an_upload_that_was_cancelled_elsewhere_is_gone(both: tuple[Client, Client]) -> None:
    location = await start_upload(both[0])
    location = (await both[0].patch(location, b"x")).headers["Location"]
    assert (await both[1].delete(location)).status == 204

    assert (await both[0].patch(location, b"y")).refusal == (404, "BLOB_UPLOAD_UNKNOWN")


async def test_a_put_that_is_repeated_elsewhere_gets_the_same_answer(both: tuple[Client, Client]) -> None:
    location = await start_upload(both[0])
    closing = f"{location}?digest={digest_of(b'x')}"

    assert [(await client.put(closing, b"x")).status for client in both] == [201, 201]
