"""The registry on a real S3 server: what a client sees is what it sees with any other storage."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable, Mapping
from pathlib import Path
from unittest.mock import patch

import aiohttp
import pytest
from yarl import URL

from registry.composition import Composition
from registry.config import Settings
from registry.oci.digest import Digest
from registry.oci.name import RepositoryName
from registry.services.upload_sessions import Body
from storage_drivers.s3 import S3Driver
from tests.contract.sources import content_of, runs_of
from tests.http.blocking import blocking_calls_pass
from tests.http.client import Client
from tests.http.content import (
    EMPTY_CONFIG,
    REPOSITORY,
    digest_of,
    push_blob,
    push_image,
    push_manifest,
    start_upload,
)
from tests.http.serving import Registries
from tests.http.test_uploads_chunked import (  # noqa: F401 - they run here once more
    test_a_chunk_at_the_wrong_place_takes_nothing,
    test_a_replayed_chunk_is_told_apart,
    test_a_whole_upload_that_breaks_off_leaves_nothing,
    test_an_empty_chunk_changes_nothing,
    test_chunks_in_order,
    test_chunks_without_content_range_are_appended,
)
from tests.support.forwarding import in_a_thread
from tests.support.s3_faults import Fault, FaultyProxy
from tests.support.s3_server import S3Server

pytestmark = pytest.mark.parametrize("index_url", ["sqlite"], indirect=True)

MEBIBYTE = 1 << 20
PART = 5 * MEBIBYTE
CONTENT = content_of(2 * PART + 777_777)
DIGEST = digest_of(CONTENT)


def stored_in(settings: Mapping[str, object], **changes: object) -> dict[str, object]:
    return {"driver": "s3", "s3": {**settings, "part_bytes": PART, **changes}}


@pytest.fixture
async def client(registries: Registries, s3_settings: Mapping[str, object]) -> Client:
    """Instead of the usual one: the imported tests use it."""
    return await registries.start(storage=stored_in(s3_settings))


async def push(clients: Iterable[Client], content: bytes, chunk: int) -> None:
    """Each request to the next of the registries."""
    turns = iter(clients)
    location = await start_upload(next(turns))
    for start in range(0, len(content), chunk):
        piece = content[start : start + chunk]
        headers = {"Content-Range": f"{start}-{start + len(piece) - 1}"}
        answer = await next(turns).patch(location, piece, headers)
        assert answer.status == 202, answer
        location = answer.headers["Location"]
    answer = await next(turns).put(f"{location}?digest={digest_of(content)}")
    assert answer.status == 201, answer


@pytest.mark.parametrize("chunk", [len(CONTENT), 6 * MEBIBYTE, 900_000])
async def test_any_replica_carries_on(
    registries: Registries, s3_settings: Mapping[str, object], s3_server: S3Server, chunk: int
) -> None:
    first, second = [await registries.start(storage=stored_in(s3_settings)) for _ in range(2)]

    await push([first, second] * 10, CONTENT, chunk)

    path = f"/v2/{REPOSITORY}/blobs/{DIGEST}"
    assert (await first.get(path)).body == (await second.get(path)).body == CONTENT
    ranged = await second.get(path, {"Range": f"bytes={PART - 5}-{PART + 4}"})
    assert (ranged.status, ranged.body) == (206, CONTENT[PART - 5 : PART + 5])
    assert s3_server.multipart_uploads(str(s3_settings["bucket"])) == set()


@pytest.mark.parametrize("size", [0, 1, 70_000, PART, PART + 1], ids=str)
async def test_a_blob_in_one_request(client: Client, size: int) -> None:
    content = content_of(size)
    digest = digest_of(content)
    answer = await client.post(f"/v2/{REPOSITORY}/blobs/uploads/?digest={digest}", content)
    assert answer.status == 201
    assert (await client.get(f"/v2/{REPOSITORY}/blobs/{digest}")).body == content


async def test_a_wrong_digest_leaves_nothing(
    client: Client, s3_settings: Mapping[str, object], s3_server: S3Server
) -> None:
    for content in (CONTENT, b"small" * 20_000):
        wrong = f"/v2/{REPOSITORY}/blobs/uploads/?digest={digest_of(b'other')}"
        assert (await client.post(wrong, content)).refusal == (400, "DIGEST_INVALID")
        location = await start_upload(client)
        answer = await client.put(f"{location}?digest={digest_of(b'other')}", content)
        assert answer.refusal == (400, "DIGEST_INVALID")

    bucket = str(s3_settings["bucket"])
    assert s3_server.keys(bucket) == set()
    assert s3_server.multipart_uploads(bucket) == set()


async def test_a_pull_is_sent_to_the_storage(
    registries: Registries, s3_settings: Mapping[str, object]
) -> None:
    """By 307 and a signed URL, a range too; small blobs come from memory, HEAD says itself what it knows."""
    client = await registries.start(storage=stored_in(s3_settings, redirect="on"))
    await push_blob(client, CONTENT)
    path = f"/v2/{REPOSITORY}/blobs/{DIGEST}"

    answer = await client.get(path)
    assert answer.status == 307
    assert answer.headers["Docker-Content-Digest"] == DIGEST
    url = URL(answer.headers["Location"], encoded=True)
    async with aiohttp.ClientSession() as session:
        async with session.get(url) as response:
            assert (response.status, await response.read()) == (200, CONTENT)
        async with session.get(url, headers={"Range": "bytes=5-9"}) as response:
            assert (response.status, await response.read()) == (206, CONTENT[5:10])
        forged = url.update_query({"X-Amz-Expires": "9999"})
        async with session.get(forged) as response:
            assert response.status == 403

    assert (await client.get(path, {"Range": "bytes=5-9"})).status == 307
    assert (await client.head(path)).status == 200
    small = await push_blob(client, b"a config")
    assert (await client.get(f"/v2/{REPOSITORY}/blobs/{small}")).body == b"a config"


async def test_only_some_networks_are_sent_to_the_storage(
    registries: Registries, s3_settings: Mapping[str, object]
) -> None:
    client = await registries.start(
        storage=stored_in(s3_settings, redirect=["192.0.2.0/24"]),
        server={"trusted_proxies": ["127.0.0.1"]},
    )
    await push_blob(client, CONTENT)
    path = f"/v2/{REPOSITORY}/blobs/{DIGEST}"
    assert (await client.get(path, {"X-Forwarded-For": "192.0.2.7"})).status == 307
    assert (await client.get(path, {"X-Forwarded-For": "198.51.100.1"})).body == CONTENT


@pytest.mark.usefixtures("failures_are_logged")
async def test_a_storage_that_stays_busy(
    registries: Registries, s3_settings: Mapping[str, object], s3_server: S3Server
) -> None:
    """503 with Retry-After; the session goes on from where it was when the storage can."""
    with in_a_thread(FaultyProxy(s3_server.address)) as proxy:
        client = await registries.start(storage=stored_in(s3_settings, endpoint=proxy.url, attempts=2))
        location = (await client.patch(await start_upload(client), CONTENT[:1000])).headers["Location"]
        busy = Fault("PUT", "", "slow_down", times=999)
        proxy.faults = [busy]

        answer = await client.patch(location, CONTENT[1000:])
        assert answer.refusal == (503, "UNAVAILABLE")
        assert int(answer.headers["Retry-After"]) > 0
        assert b"SlowDown" not in answer.body
        busy.times = 0

        told = await client.get(location)
        assert told.headers["Range"] == "0-999"
        answer = await client.put(f"{told.headers['Location']}?digest={DIGEST}", CONTENT[1000:])
        assert answer.status == 201
        assert (await client.get(f"/v2/{REPOSITORY}/blobs/{DIGEST}")).body == CONTENT


@pytest.mark.usefixtures("failures_are_logged")
@pytest.mark.parametrize(("asked", "told"), [({}, "5"), ({"Retry-After": "120"}, "120")])
async def test_a_burst_that_outlasts_our_own_tries(
    registries: Registries,
    s3_settings: Mapping[str, object],
    s3_server: S3Server,
    asked: Mapping[str, str],
    told: str,
) -> None:
    """Pushes and pulls are answered 503 and when to come again: as S3 says, if it wants more time than we
    ask for ourselves. Manifests need no storage. Afterwards all goes on."""
    with in_a_thread(FaultyProxy(s3_server.address)) as proxy:
        client = await registries.start(storage=stored_in(s3_settings, endpoint=proxy.url, attempts=2))
        await push_blob(client, CONTENT)
        manifest = await push_image(client, "latest", layers=[CONTENT])
        blobs = f"/v2/{REPOSITORY}/blobs"
        new = content_of(PART + 5, seed=1)
        whole, session = f"{blobs}/uploads/?digest={digest_of(new)}", await start_upload(client)
        busy = [Fault(method, "", "slow_down", 999, asked) for method in ("GET", "PUT", "POST")]
        proxy.faults = busy

        refused = [
            await client.post(whole, new),
            await client.patch(session, new),
            await client.put(f"{session}?digest={digest_of(b'small')}", b"small"),
            await client.get(f"{blobs}/{DIGEST}"),
            await client.get(f"{blobs}/{DIGEST}", {"Range": "bytes=5-"}),
            await client.get(f"{blobs}/{DIGEST}", {"Range": "bytes=5-9,70-79"}),
            await client.get(f"{blobs}/{digest_of(EMPTY_CONFIG)}"),
        ]
        answers = {(answer.refusal, answer.headers["Retry-After"]) for answer in refused}
        assert answers == {((503, "UNAVAILABLE"), told)}
        if asked:
            assert sum(999 - fault.times for fault in busy) <= len(refused) + 1, "S3 is left alone"
        assert (await push_manifest(client, "again", manifest)).status == 201
        assert (await client.get(f"/v2/{REPOSITORY}/manifests/again")).body == manifest

        proxy.faults = []
        assert (await client.post(whole, new)).status == 201
        assert (await client.get(f"{blobs}/{DIGEST}")).body == CONTENT


async def test_housekeeping_sweeps_what_no_session_knows(
    index_url: str, tmp_path: Path, s3_settings: Mapping[str, object], s3_server: S3Server
) -> None:
    settings = Settings(
        data=tmp_path,
        index={"url": index_url},
        storage=stored_in(s3_settings),
        auth={"mode": "open"},
    )
    with blocking_calls_pass():
        services = Composition(settings)
    name = RepositoryName.parse(REPOSITORY)
    session = await services.uploads.start(name, "sha256", "nobody")
    await services.uploads.append(name, session.id, Body(bodies(CONTENT), start=0))
    lost = S3Driver.from_settings({**s3_settings, "part_bytes": PART})
    await lost.append(await lost.begin(), runs_of(CONTENT))
    bucket = str(s3_settings["bucket"])

    assert await services.uploads.sweep() == 0, "what is young may belong to somebody"
    later = time.time() + 8 * 86400
    with patch("registry.services.uploads.time.time", lambda: later):
        assert await services.uploads.sweep() == 2

    assert len(s3_server.multipart_uploads(bucket)) == 1
    await services.uploads.finish(name, session.id, Digest(DIGEST), None)
    assert s3_server.multipart_uploads(bucket) == set()
    await lost.aclose()
    await services.close()
    assert len(s3_server.keys(bucket)) == 1


async def bodies(content: bytes) -> AsyncGenerator[list[bytes]]:
    yield [content]
    await asyncio.sleep(0)
