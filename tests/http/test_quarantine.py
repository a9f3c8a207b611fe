"""What a client meets when stored bytes are wrong or gone: no such blob, so that the next push heals it."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from registry.composition import Composition
from registry.config import Settings
from registry.gc.jobs import Jobs
from registry.gc.scrub import JOB
from registry.index import Connection, open_index
from registry.index.tables import manifests
from storage_drivers.s3 import S3Driver
from tests.http.blocking import blocking_calls_pass
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

SMALL = b"a config"
LARGE = bytes(range(251)) * 1200

Damage = Callable[[Path], object]


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def lengthen(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"more")


def stored_file(data: Path, digest: str) -> Path:
    encoded = digest.partition(":")[2]
    (found,) = (data / "storage" / "blobs").rglob(f"{encoded}.*")
    return found


@pytest.mark.usefixtures("failures_are_logged")
@pytest.mark.parametrize(
    ("content", "damage"),
    [
        (SMALL, flip), (SMALL, cut), (SMALL, lengthen), (SMALL, Path.unlink),
        (LARGE, cut), (LARGE, lengthen), (LARGE, Path.unlink),
    ],
)  # fmt: skip
async def test_a_pull_that_meets_wrong_bytes(
    registries: Registries, tmp_path: Path, content: bytes, damage: Damage
) -> None:
    """The blob is gone for every process and repository, what needs it stays, and a push brings it back."""
    first, second = await registries.start(), await registries.start()
    await push_blob(first, b"another one")
    await push_blob(first, EMPTY_CONFIG)
    digest = await push_blob(first, content)
    path = f"/v2/{REPOSITORY}/blobs/{digest}"
    body = image(layers=[content])
    assert (await push_manifest(first, "latest", body)).status == 201
    assert (await second.head(path)).status == 200
    wrong = stored_file(tmp_path, digest)
    damage(wrong)

    assert (await first.get(path)).refusal == (404, "BLOB_UNKNOWN")

    for client in (first, second):
        assert (await client.head(path)).status == 404
        for headers in ({}, {"Range": "bytes=0-1"}, {"Range": "bytes=0-1,3-4"}, {"If-None-Match": "*"}):
            assert (await client.get(path, headers)).refusal == (404, "BLOB_UNKNOWN")
        assert (await client.get(f"/v2/{REPOSITORY}/manifests/latest")).body == body
        mount = f"/v2/other/app/blobs/uploads/?mount={digest}&from={REPOSITORY}"
        assert (await client.post(mount)).status == 202
        assert (
            await push_manifest(client, "new", image(layers=[content], annotations={"n": "1"}))
        ).refusal == (
            400,
            "MANIFEST_BLOB_UNKNOWN",
        )

    assert await push_blob(second, content, "other/app") == digest
    for client in (first, second):
        assert (await client.head(path)).status == 200
        assert (await client.get(path)).body == content
        assert (await client.get(path, {"Range": "bytes=0-1,3-4"})).status == 206


@pytest.mark.usefixtures("failures_are_logged")
async def test_what_no_pull_notices_is_found_by_the_scrub(
    registries: Registries, index_url: str, tmp_path: Path
) -> None:
    """A large file with other bytes of the same number: a pusher that asks is told that it is not there."""
    client = await registries.start(scrub={"every_seconds": 0})
    digest = await push_blob(client, LARGE)
    path = f"/v2/{REPOSITORY}/blobs/{digest}"
    flip(stored_file(tmp_path, digest))
    assert (await client.head(path)).status == 200

    report = await scrubbed(tmp_path, index_url)

    assert report["quarantined"] == 1
    assert (await client.head(path)).status == 404
    location = await start_upload(client)
    assert (await client.patch(location, LARGE)).status == 202
    location = (await client.get(location)).headers["Location"]
    assert (await client.put(f"{location}?digest={digest}")).status == 201
    assert (await client.get(path)).body == LARGE
    assert (await scrubbed(tmp_path, index_url))["wrong"] == 0


async def scrubbed(data: Path, index_url: str) -> dict[str, Any]:
    """The report of a scrub by another process, as it were."""
    settings = Settings(data=data, index={"url": index_url}, auth={"mode": "open"})  # type: ignore[arg-type]
    with blocking_calls_pass():
        services = Composition(settings)
    async with Jobs(services.index).hold(JOB) as job:
        report = await services.scrub.run(job)
        await job.finish(report)
    await services.close()
    return report


@pytest.mark.usefixtures("failures_are_logged")
async def test_a_missing_object_that_is_streamed(registries: Registries, tmp_path: Path) -> None:
    client = await registries.start()
    await push_blob(client, b"another one")
    digest = await push_blob(client, LARGE)
    stored_file(tmp_path, digest).unlink()

    answer = await client.get(f"/v2/{REPOSITORY}/blobs/{digest}", {"Range": "bytes=0-1,3-4"})

    assert answer.refusal == (404, "BLOB_UNKNOWN")


@pytest.mark.usefixtures("failures_are_logged")
async def test_many_pulls_of_a_wrong_blob_at_once(registries: Registries, tmp_path: Path) -> None:
    client = await registries.start()
    digest = await push_blob(client, SMALL)
    flip(stored_file(tmp_path, digest))

    answers = await asyncio.gather(*(client.get(f"/v2/{REPOSITORY}/blobs/{digest}") for _ in range(20)))

    assert {answer.refusal for answer in answers} == {(404, "BLOB_UNKNOWN")}


@pytest.mark.usefixtures("failures_are_logged")
async def test_a_manifest_whose_bytes_are_wrong_in_the_index(
    registries: Registries, index_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is not served, by GET nor HEAD, and a push of the same bytes heals it."""
    client = await registries.start()
    body = await push_image(client, "latest")
    await in_index(index_url, lambda c: c.execute(update(manifests).values(body=body[:-1] + b" ")))
    fresh = await registries.start()

    for reference in ("latest", digest_of(body)):
        path = f"/v2/{REPOSITORY}/manifests/{reference}"
        assert (await fresh.get(path)).refusal == (404, "MANIFEST_UNKNOWN")
        assert (await fresh.head(path)).status == 404

    assert f"{REPOSITORY}@{digest_of(body)} is not served" in caplog.text
    assert (await push_manifest(client, "latest", body)).status == 201
    assert (await fresh.get(f"/v2/{REPOSITORY}/manifests/latest")).body == body


async def in_index(url: str, change: Callable[[Connection], object]) -> None:
    with blocking_calls_pass():
        index = open_index(url.replace("postgresql://", "postgresql+psycopg://"), pool_size=1)
    await index.write(change)
    await asyncio.to_thread(index.close)


@pytest.mark.usefixtures("failures_are_logged")
@pytest.mark.parametrize("index_url", ["sqlite"], indirect=True)
async def test_on_s3(
    registries: Registries, s3_settings: Mapping[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    """A small blob that is wrong, and a large one that is missing."""
    storage = {"driver": "s3", "s3": dict(s3_settings)}
    client = await registries.start(storage=storage)
    small, large = await push_blob(client, SMALL), await push_blob(client, LARGE)
    with blocking_calls_pass():
        driver = S3Driver.from_settings(s3_settings)
    objects = {found.size: found.location async for found in driver.scan()}
    await driver._bucket.put(objects[len(SMALL)], b"A config", lasting=True)
    await driver.delete(objects[len(LARGE)])
    await driver.aclose()

    for digest, content in ((large, LARGE), (small, SMALL)):
        path = f"/v2/{REPOSITORY}/blobs/{digest}"
        assert (await client.get(path)).refusal == (404, "BLOB_UNKNOWN")
        assert (await client.head(path)).status == 404
        await push_blob(client, content)
        assert (await client.get(path)).body == content
    assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == 2
