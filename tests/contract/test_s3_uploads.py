"""Uploads to S3: parts, segments, memory, what is swept."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any

import pytest

from storage_drivers import Interrupted, NoSpace, NotFound, Run, Upload
from storage_drivers.s3 import S3Driver
from storage_drivers.s3_parts import MOST_PARTS, PartPlan, Staged
from storage_drivers.threads import settled
from tests.contract.sources import DIGEST, MEBIBYTE, content_of, get, locations, runs_of, through_json
from tests.support.s3_server import S3Server

PART = 5 * MEBIBYTE


@pytest.fixture
def settings(s3_settings: Mapping[str, object]) -> dict[str, object]:
    return {**s3_settings, "part_bytes": PART, "memory_bytes": 4 * PART}


@pytest.fixture
async def driver(settings: Mapping[str, object]) -> AsyncIterator[S3Driver]:
    driver = S3Driver.from_settings(settings)
    yield driver
    await driver.aclose()


def test_parts_grow() -> None:
    plan = PartPlan(8 * MEBIBYTE, 64 * MEBIBYTE)
    sizes = [plan.size(number) for number in (1, 1000, 1001, 2000, 2001, 3001, 4001, MOST_PARTS)]
    assert [size // MEBIBYTE for size in sizes] == [8, 8, 16, 16, 32, 64, 64, 64]
    assert sum(plan.size(number) for number in range(1, MOST_PARTS + 1)) == 504_000 * MEBIBYTE
    with pytest.raises(NoSpace):
        plan.size(MOST_PARTS + 1)


def test_parts_can_be_equal() -> None:
    plan = PartPlan(32 * MEBIBYTE, 64 * MEBIBYTE, equal=True)
    assert {plan.size(number) for number in range(1, MOST_PARTS + 1)} == {32 * MEBIBYTE}


@pytest.mark.parametrize(("equal", "parts"), [(False, [6, 6, 6]), (True, [8, 8, 2])])
async def test_the_end_of_a_request_may_be_a_part(
    settings: Mapping[str, object], equal: bool, parts: list[int]
) -> None:
    """Unless parts have to be equal. 18 MiB in three requests, with parts of 8 MiB."""
    driver = S3Driver.from_settings(
        {**settings, "part_bytes": 8 * MEBIBYTE, "memory_bytes": 32 * MEBIBYTE, "equal_parts": equal}
    )
    sent: list[int] = []
    client = driver._bucket.client.requests
    client.meta.events.register(
        "before-call.s3.UploadPart", lambda params, **_: sent.append(len(params["body"]) // MEBIBYTE)
    )
    upload = await driver.begin()
    for _ in range(3):
        upload = await driver.append(upload, runs_of(content_of(6 * MEBIBYTE)))
    location = await driver.commit(upload, DIGEST)

    assert await get(driver, location) == 3 * content_of(6 * MEBIBYTE)
    assert sent == parts
    await driver.aclose()


async def test_a_small_blob_is_one_request(driver: S3Driver, s3_server: S3Server) -> None:
    """With its bytes at hand at the end, as in a single POST, nothing else is stored."""
    calls: list[str] = []
    client = driver._bucket.client
    client.requests.meta.events.register("before-call.s3", lambda model, **_: calls.append(model.name))
    upload = await driver.append(await driver.begin(), runs_of(b"small"), durable=False)

    location = await driver.commit(upload, DIGEST)

    assert calls == ["PutObject"]
    assert await get(driver, location) == b"small"


async def test_chunks_of_any_size_become_parts(driver: S3Driver, settings: Mapping[str, object]) -> None:
    """Each chunk goes to another process. What is kept in between stays small, and so does the state."""
    content = content_of(2 * PART + 12_345)
    upload = await driver.begin()
    chunk = 300_000
    for start in range(0, len(content), chunk):
        other = S3Driver.from_settings(settings)
        upload = through_json(await other.append(upload, runs_of(content[start : start + chunk])))
        await other.aclose()
        staged = Staged.of(upload, upload.offset)
        assert len(staged.tail) <= 6, "segments grow like the digits of a binary number"
        assert sum(staged.tail) < PART
    assert Staged.of(upload, upload.offset).parts == 2

    location = await driver.commit(upload, DIGEST)

    assert await get(driver, location) == content


async def test_nothing_is_left_when_an_upload_ends(
    settings: Mapping[str, object], s3_server: S3Server
) -> None:
    driver = S3Driver.from_settings(settings)
    content = content_of(PART + 800_000)
    upload = await driver.begin()
    for start in range(0, len(content), 700_000):
        upload = await driver.append(upload, runs_of(content[start : start + 700_000]))
    location = await driver.commit(upload, DIGEST)
    aborted = await driver.append(await driver.begin(), runs_of(content))
    await driver.abort(aborted)
    await driver.aclose()

    bucket = str(settings["bucket"])
    assert s3_server.keys(bucket) == {location}
    assert s3_server.multipart_uploads(bucket) == set()


async def test_an_upload_that_is_committed_twice_with_other_bytes(driver: S3Driver) -> None:
    """The same session, of the same length: its first object must never pass for the second content."""
    for size in (1000, PART + 1000):
        start = await driver.append(await driver.begin(), runs_of(content_of(size)))
        first = await driver.append(start, runs_of(b"one"), durable=False)
        location = await driver.commit(first, DIGEST)
        with pytest.raises(NotFound):
            await driver.commit(await driver.append(start, runs_of(b"two"), durable=False), DIGEST)

        assert await driver.recover(start, DIGEST) == location
        assert await get(driver, location) == content_of(size) + b"one"


async def test_a_part_that_somebody_replaced_is_not_completed(
    driver: S3Driver, settings: Mapping[str, object], s3_server: S3Server
) -> None:
    """A process that was paused may wake up and write; its bytes are not what the index acknowledged."""
    upload = await driver.append(await driver.begin(), runs_of(content_of(PART + 10)))
    staged = Staged.of(upload, upload.offset)
    s3_server.client.upload_part(
        Bucket=settings["bucket"],
        Key=staged.key,
        UploadId=staged.multipart,
        PartNumber=1,
        Body=content_of(PART, 1),
    )

    with pytest.raises(NotFound):
        await driver.commit(upload, DIGEST)
    assert await locations(driver) == set()


@pytest.mark.timeout(90)
async def test_many_large_uploads_stay_within_the_budget(driver: S3Driver) -> None:
    """20 of 64 MiB at once, with memory for 4 parts: each waits its turn, and all come to an end."""
    block = content_of(MEBIBYTE)
    sizes = []

    async def runs() -> AsyncIterator[Sequence[bytes]]:
        for _ in range(64):
            yield [block]

    async def push(durable: bool) -> str:
        upload = await driver.append(await driver.begin(), runs(), durable=durable)
        return await driver.commit(upload, DIGEST)

    stored = await asyncio.gather(*(push(number % 2 == 0) for number in range(20)))
    for location in stored:
        sizes.append((await driver.stat(location)).size)

    assert sizes == 20 * [64 * MEBIBYTE]
    assert 2 * PART <= driver.budget.peak <= driver.budget.size == 4 * PART
    assert driver.budget.used == 0


async def test_who_stands_still_keeps_no_memory(driver: S3Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five clients stop in the middle of a part, with memory for four. A sixth comes through."""
    monkeypatch.setattr("storage_drivers.s3_appending.PATIENCE", 0.05)
    go_on = asyncio.Event()
    content = content_of(2 * MEBIBYTE)

    async def stalling() -> AsyncIterator[Sequence[bytes]]:
        async for run in runs_of(content):
            yield run
        await go_on.wait()
        async for run in runs_of(content):
            yield run

    stalled = [asyncio.create_task(driver.append(await driver.begin(), stalling())) for _ in range(5)]
    sixth = await driver.append(await driver.begin(), runs_of(content_of(PART + 7)))
    assert await get(driver, await driver.commit(sixth, DIGEST)) == content_of(PART + 7)
    go_on.set()
    for upload in await asyncio.gather(*stalled):
        assert await get(driver, await driver.commit(upload, DIGEST)) == 2 * content
    assert driver.budget.used == 0


async def test_who_is_cancelled_while_he_waits_for_memory(driver: S3Driver) -> None:
    taken = await driver.budget.reserve(driver.budget.size)
    content = content_of(MEBIBYTE)
    task = asyncio.create_task(driver.append(await driver.begin(), runs_of(content)))
    while not driver.budget.scarce:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(Interrupted) as caught:
        await task
    upload = through_json(caught.value.upload)
    taken.release()

    assert 0 < upload.offset < len(content)
    upload = await driver.append(upload, runs_of(content[upload.offset :]))
    assert await get(driver, await driver.commit(upload, DIGEST)) == content
    assert driver.budget.used == 0


async def test_who_is_cancelled_while_segments_are_dropped_hears_of_it(
    driver: S3Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = await driver.begin()
    for size in (100, 10, 200):
        upload = through_json(await driver.append(upload, runs_of(content_of(size))))
    assert Staged.of(upload, upload.offset).spent
    waiting, go_on = asyncio.Event(), asyncio.Event()
    delete = driver._bucket.delete

    async def slow(key: str) -> None:
        await go_on.wait()
        await delete(key)

    async def told(future: "asyncio.Future[Any]") -> asyncio.CancelledError | None:
        waiting.set()
        return await settled(future)

    monkeypatch.setattr(driver._bucket, "delete", slow)
    monkeypatch.setattr("storage_drivers.s3.settled", told)
    task = asyncio.create_task(driver.append(upload, runs_of(content_of(5))))
    await waiting.wait()
    task.cancel()
    await asyncio.sleep(0)
    go_on.set()
    with pytest.raises(Interrupted) as broken:
        await task
    assert isinstance(broken.value.__cause__, asyncio.CancelledError)
    assert broken.value.upload.offset == 315
    assert len(await get(driver, await driver.commit(broken.value.upload, DIGEST))) == 315


async def test_a_lazy_run_waits_for_memory_with_little(driver: S3Driver) -> None:
    """Its bytes stay with the client, however many clients wait."""
    taken = await driver.budget.reserve(driver.budget.size)
    content = content_of(PART + MEBIBYTE)
    given = 0

    class Counted:
        def __iter__(self) -> Iterator[bytes]:
            nonlocal given
            for start in range(0, len(content), 50_000):
                given += 1
                yield content[start : start + 50_000]

    async def runs() -> AsyncIterator[Run]:
        yield Counted()

    task = asyncio.create_task(driver.append(await driver.begin(), runs()))
    while not driver.budget.scarce:
        await asyncio.sleep(0)
    assert given == 1
    taken.release()
    assert await get(driver, await driver.commit(await task, DIGEST)) == content
    assert driver.budget.used == 0


async def test_memory_that_nobody_refers_to_comes_back(driver: S3Driver) -> None:
    """A caller that fails between append and commit."""
    upload = await driver.append(await driver.begin(), runs_of(content_of(MEBIBYTE)), durable=False)
    assert driver.budget.used >= MEBIBYTE
    del upload
    async with asyncio.timeout(10):  # the thread that filled it lets go of it a moment later
        while driver.budget.used:
            await asyncio.sleep(0)


async def test_leftovers_are_swept(
    driver: S3Driver, settings: Mapping[str, object], s3_server: S3Server
) -> None:
    """What is old and belongs to no session: its multipart upload and its segments."""
    known = await driver.append(await driver.begin(), runs_of(content_of(PART + 10)))
    lost = await driver.append(await driver.begin(), runs_of(content_of(PART + 10)))
    kept = await driver.commit(await driver.append(await driver.begin(), runs_of(b"kept")), DIGEST)
    bucket = str(settings["bucket"])
    s3_server.client.put_object(Bucket=bucket, Key="staging/a-note-of-the-operator", Body=b"")
    sessions = [Upload(known.offset, known.state)]

    assert await driver.sweep(time.time() - 3600, sessions) == 0
    assert await driver.sweep(time.time() + 60, sessions) == 2

    assert len(s3_server.multipart_uploads(bucket)) == 1
    with pytest.raises(NotFound):
        await driver.commit(lost, DIGEST)
    assert await locations(driver) == {kept}
    assert await get(driver, await driver.commit(known, DIGEST)) == content_of(PART + 10)
    assert "staging/a-note-of-the-operator" in s3_server.keys(bucket)


@pytest.mark.parametrize(
    "state",
    [
        {"token": "0" * 32, "parts": "1"},
        {"token": "0" * 32, "tail": "3 x"},
        {"token": "0" * 32, "tail": "3"},
        {"token": "0" * 32, "sent": 4, "multipart": "id", "key": "blobs/11/" + "1" * 32 + "." + "2" * 16},
        {"token": "0" * 32, "sent": 4, "multipart": "id", "key": "blobs/00/" + "0" * 32 + "./../x"},
        {"token": "0" * 32, "sent": 4, "key": "blobs/00/" + "0" * 32 + "." + "2" * 16},
    ],
)
async def test_a_state_that_was_tampered_with(driver: S3Driver, state: dict[str, Any]) -> None:
    with pytest.raises(NotFound):
        await driver.append(Upload(4, state), runs_of(b"more"))
    with pytest.raises(NotFound):
        await driver.commit(Upload(4, state), DIGEST)
    await driver.abort(Upload(4, state))
