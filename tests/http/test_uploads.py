"""Uploads: whole in one POST, as POST and PUT, as one stream; their addresses, ends and refusals
(distribution-spec, end-4 to end-6, end-13, end-14)."""

import asyncio
from pathlib import Path

import pytest

from tests.http.client import Client
from tests.http.content import (
    MISSING,
    REPOSITORY,
    chunks,
    digest_of,
    push_blob,
    start_upload,
)
from tests.http.serving import Registries

CONTENT = b"some bytes of a layer" * 100
UPLOADS = f"/v2/{REPOSITORY}/blobs/uploads/"
UNKNOWN = f"{UPLOADS}01234567-89ab-cdef-0123-456789abcdef"


async def pulls(client: Client, digest: str, content: bytes, repository: str = REPOSITORY) -> bool:
    answer = await client.get(f"/v2/{repository}/blobs/{digest}")
    return (answer.status, answer.body) == (200, content)


async def test_a_session_begins_empty(client: Client) -> None:
    for path in (UPLOADS, UPLOADS.rstrip("/")):
        answer = await client.post(path, headers={"Content-Type": "application/json"})

        assert answer.status == 202
        location = answer.headers["Location"]
        assert location.startswith(UPLOADS)
        assert "?" not in location, "simple clients replace the query by ?digest="
        assert answer.headers["Docker-Upload-UUID"] in location
        assert answer.headers["Range"] == "0-0", "the only form of an empty session that docker reads"
        assert answer.headers["Content-Length"] == "0"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_session_tells_where_it_stands(client: Client, method: str) -> None:
    location = await start_upload(client)
    at_first = await client.request(method, location)
    appended = await client.patch(location, CONTENT)
    later = await client.request(method, location)

    assert (at_first.status, at_first.headers["Range"]) == (204, "0-0")
    assert (later.status, later.headers["Range"]) == (204, f"0-{len(CONTENT) - 1}")
    assert later.headers["Location"] == appended.headers["Location"]
    assert later.headers["Docker-Upload-UUID"] == appended.headers["Docker-Upload-UUID"]


@pytest.mark.parametrize(
    "content", [CONTENT, b"", b"{}", CONTENT * 600], ids=["some", "empty", "{}", "large"]
)
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_each_way_to_push_a_blob(client: Client, content: bytes, algorithm: str) -> None:
    """As containerd, docker, podman and crane do, with and without Content-Length."""
    digest = digest_of(content, algorithm)
    closing = f"?digest={digest}"
    answers = {}
    answers["one"] = await client.post(f"/v2/one/blobs/uploads/{closing}", content)
    answers["put"] = await client.put(await start_upload(client, "put") + closing, content)
    answers["chunked"] = await client.put(await start_upload(client, "chunked") + closing, chunks(content))
    for repository, body in (("streamed", chunks(content, content[:0])), ("patched", content)):
        patched = await client.patch(await start_upload(client, repository), body)
        assert patched.status == 202
        assert patched.headers["Range"] == f"0-{max(len(content) - 1, 0)}"
        answers[repository] = await client.put(patched.headers["Location"] + closing)
    told = await start_upload(client, "told", f"?digest-algorithm={algorithm}")
    answers["told"] = await client.put(told + closing, content)

    for repository, answer in answers.items():
        assert answer.status == 201, repository
        assert answer.headers["Location"] == f"/v2/{repository}/blobs/{digest}"
        assert answer.headers["Docker-Content-Digest"] == digest
        assert await pulls(client, digest, content, repository)


async def test_the_algorithm_of_the_closing_digest_counts(client: Client) -> None:
    """The conformance suite opens sessions for sha512 without telling."""
    for told, claimed in (("sha256", "sha512"), ("sha512", "sha256")):
        location = await start_upload(client, query=f"?digest-algorithm={told}")
        patched = await client.patch(location, CONTENT)
        digest = digest_of(CONTENT, claimed)

        answer = await client.put(f"{patched.headers['Location']}?digest={digest}")

        assert (answer.status, answer.headers["Docker-Content-Digest"]) == (201, digest)
        assert await pulls(client, digest, CONTENT)


async def test_an_algorithm_that_is_not_supported(client: Client) -> None:
    for algorithm in ("blake3", "md5", "SHA256", "sha256%00", "x%20y"):
        answer = await client.post(f"{UPLOADS}?digest-algorithm={algorithm}")
        assert answer.refusal == (400, "DIGEST_INVALID"), algorithm


BAD_DIGESTS = [
    "sha256:baddigeststring",
    "sha256:",
    "sha256",
    "",
    f"sha256:{64 * 'A'}",
    f"md5:{32 * '0'}",
    f"{MISSING}0",
]


async def test_a_bad_digest_keeps_the_session(client: Client) -> None:
    location = await start_upload(client)

    for digest in BAD_DIGESTS:
        assert (await client.put(f"{location}?digest={digest}", CONTENT)).refusal == (
            400,
            "DIGEST_INVALID",
        ), digest
        whole = await client.post(f"{UPLOADS}?digest={digest}", CONTENT)
        assert whole.refusal == (400, "DIGEST_INVALID"), digest
    assert (await client.put(location, CONTENT)).refusal == (400, "DIGEST_INVALID"), "none at all"
    assert (await client.get(location)).headers["Range"] == "0-0"
    assert (await client.put(f"{location}?digest={digest_of(CONTENT)}", CONTENT)).status == 201


async def test_a_digest_given_twice_is_ambiguous(client: Client) -> None:
    location = await start_upload(client)

    answer = await client.put(f"{location}?digest={digest_of(CONTENT)}&digest={MISSING}", CONTENT)

    assert answer.status == 400


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_wrong_bytes_are_refused_and_forgotten(client: Client, tmp_path: Path, algorithm: str) -> None:
    digest = digest_of(b"other bytes", algorithm)
    location = await start_upload(client)

    whole = await client.post(f"{UPLOADS}?digest={digest}", CONTENT)
    closed = await client.put(f"{location}?digest={digest}", CONTENT)
    patched = await client.patch(await start_upload(client), CONTENT)
    closed_later = await client.put(f"{patched.headers['Location']}?digest={digest}")

    for answer in (whole, closed, closed_later):
        assert answer.refusal == (400, "DIGEST_INVALID")
    assert (await client.get(location)).refusal == (404, "BLOB_UPLOAD_UNKNOWN")
    assert (await client.head(f"/v2/{REPOSITORY}/blobs/{digest}")).status == 404
    assert [path for path in (tmp_path / "storage").rglob("*") if path.is_file()] == [], "no bytes stay"


async def test_a_cancelled_session_is_gone(client: Client, tmp_path: Path) -> None:
    location = await start_upload(client)
    await client.patch(location, CONTENT)

    assert (await client.delete(location)).status == 204
    for method in ("GET", "PATCH", "DELETE"):
        assert (await client.request(method, location)).refusal == (404, "BLOB_UPLOAD_UNKNOWN"), method
    closed = await client.put(f"{location}?digest={digest_of(CONTENT)}")
    assert closed.refusal == (404, "BLOB_UPLOAD_UNKNOWN")
    assert [path for path in (tmp_path / "storage").rglob("*") if path.is_file()] == []


async def test_a_finished_session_is_gone_but_for_its_repeated_put(client: Client) -> None:
    digest = digest_of(CONTENT)
    location = await start_upload(client)
    closing = f"{location}?digest={digest}"
    first = await client.put(closing, CONTENT)

    again = await client.put(closing, CONTENT)
    empty_again = await client.put(closing)
    other = await client.put(f"{location}?digest={MISSING}")

    for answer in (first, again, empty_again):
        assert answer.status == 201
        assert answer.headers["Location"] == first.headers["Location"]
    assert other.refusal == (404, "BLOB_UPLOAD_UNKNOWN")
    for method in ("GET", "PATCH", "DELETE"):
        assert (await client.request(method, location)).refusal == (404, "BLOB_UPLOAD_UNKNOWN"), method


async def test_a_repeated_put_of_a_blob_that_was_deleted_meanwhile(client: Client) -> None:
    digest = digest_of(CONTENT)
    closing = f"{await start_upload(client)}?digest={digest}"
    await client.put(closing, CONTENT)
    await client.delete(f"/v2/{REPOSITORY}/blobs/{digest}")

    assert (await client.put(closing)).refusal == (404, "BLOB_UPLOAD_UNKNOWN"), "so its client begins anew"


async def test_a_session_belongs_to_its_repository(client: Client) -> None:
    location = await start_upload(client, "theirs")
    foreign = location.replace("theirs", "ours")

    for method in ("GET", "HEAD", "PATCH", "DELETE"):
        assert (
            await client.request(method, foreign, CONTENT if method == "PATCH" else None)
        ).status == 404, method
    closed = await client.put(f"{foreign}?digest={digest_of(CONTENT)}", CONTENT)
    assert closed.refusal == (404, "BLOB_UPLOAD_UNKNOWN")
    assert (await client.get(location)).headers["Range"] == "0-0", "it is as it was"


async def test_sessions_that_never_were(client: Client) -> None:
    addresses = (
        "x",
        "0",
        "..",
        "%2e%2e",
        "%00",
        "%ff",
        36 * "z",
        f"{UNKNOWN[-36:]}.x",
        f"{UNKNOWN[-36:]}.-1",
    )

    for address in (
        *addresses,
        UNKNOWN[-36:],
        f"{UNKNOWN[-36:]}.0",
        f"{UNKNOWN[-36:]}.{10**18}",
        UNKNOWN[-36:].upper(),
    ):
        path = f"{UPLOADS}{address}"
        for method in ("GET", "PATCH", "DELETE"):
            answer = await client.request(method, path)
            assert answer.refusal == (404, "BLOB_UPLOAD_UNKNOWN"), (method, address)
        closed = await client.put(f"{path}?digest={MISSING}")
        assert closed.refusal == (404, "BLOB_UPLOAD_UNKNOWN"), address


async def test_content_type_and_encoding_of_a_blob_do_not_matter(client: Client) -> None:
    """The digest is of the bytes that came, whatever a header says of them."""
    content = b"\x1f\x8b\x08 not really gzip"
    digest = digest_of(content)

    for number, encoding in enumerate(("gzip", "deflate", "br", "zstd", "x-anything")):
        headers = {"Content-Encoding": encoding, "Content-Type": "text/plain; charset=utf-16"}
        answer = await client.post(f"/v2/r{number}/blobs/uploads/?digest={digest}", content, headers)
        assert answer.status == 201, encoding
        assert await pulls(client, digest, content, f"r{number}")


async def test_a_known_blob_is_verified_all_the_same(client: Client) -> None:
    digest = await push_blob(client, CONTENT, "theirs")

    lie = await client.post(f"{UPLOADS}?digest={digest}", b"I do not have it")

    assert lie.refusal == (400, "DIGEST_INVALID")
    assert (await client.head(f"/v2/{REPOSITORY}/blobs/{digest}")).status == 404


async def test_the_same_blob_again(client: Client, tmp_path: Path) -> None:
    for repository in (REPOSITORY, REPOSITORY, "other"):
        await push_blob(client, CONTENT, repository)
        closing = f"{await start_upload(client, repository)}?digest={digest_of(CONTENT)}"
        assert (await client.put(closing, CONTENT)).status == 201

    assert len([path for path in (tmp_path / "storage").rglob("*") if path.is_file()]) == 1


async def test_a_session_that_nobody_goes_on_with_expires(registries: Registries, tmp_path: Path) -> None:
    """Registries look for expired sessions when they start, and then every few minutes."""
    client = await registries.start(uploads={"expire_seconds": 2, "lease_seconds": 0.5})
    abandoned, alive = await start_upload(client), await start_upload(client)
    for location in (abandoned, alive):
        assert (await client.patch(location, CONTENT)).status == 202
    await asyncio.sleep(2.1)
    assert (await client.patch(f"{alive.removesuffix('.0')}.{len(CONTENT)}", b"more")).status == 202

    other = await registries.start()
    async with asyncio.timeout(10):
        while (await other.get(abandoned)).status == 204:
            await asyncio.sleep(0.02)

    assert (await client.patch(abandoned, b"x")).refusal == (404, "BLOB_UPLOAD_UNKNOWN")
    assert (await other.get(alive)).headers["Range"] == f"0-{len(CONTENT) + 3}"
    async with asyncio.timeout(10):
        while len([path for path in (tmp_path / "storage").rglob("*") if path.is_file()]) > 1:
            await asyncio.sleep(0.02)
