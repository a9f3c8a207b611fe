"""The S3 driver behind a proxy that injects faults: afterwards everything is right, and nothing is left over
(HARDENING section 3)."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest

from storage_drivers import NoSpace, NotFound, Unavailable
from storage_drivers.s3 import S3Driver
from tests.contract.sources import DIGEST, MEBIBYTE, content_of, get, put, runs_of, through_json
from tests.support.forwarding import in_a_thread
from tests.support.s3_faults import Fault, FaultyProxy
from tests.support.s3_server import S3Server

PART = 5 * MEBIBYTE
LARGE = content_of(2 * PART + 300_000)
SMALL = content_of(200_000)

CREATE = ("POST", "uploads")
SEND = ("PUT", "partNumber=")
COMPLETE = ("POST", "uploadId=")
PUT = ("PUT", "/blobs/")
LIST_PARTS = ("GET", "uploadId=")
LIST = ("GET", "list-type=2")
DELETE_MANY = ("POST", "?delete")
SEGMENT = ("PUT", "/staging/")
READ_SEGMENT = ("GET", "/staging/")

WHERE = [CREATE, SEND, COMPLETE, LIST_PARTS, SEGMENT, READ_SEGMENT, LIST]


@dataclass
class Store:
    """A bucket, the proxy to it, and a driver that goes through the proxy."""

    server: S3Server
    bucket: str
    proxy: FaultyProxy
    driver: S3Driver

    def check_nothing_is_left(self, *expected: str) -> None:
        """Neither multipart uploads, nor segments, nor objects but these."""
        assert self.server.multipart_uploads(self.bucket) == set()
        assert self.server.keys(self.bucket) == set(expected)


@pytest.fixture(scope="module")
def proxy(s3_server: S3Server) -> Iterator[FaultyProxy]:
    with in_a_thread(FaultyProxy(s3_server.address)) as proxy:
        yield proxy


@pytest.fixture
async def store(s3_server: S3Server, proxy: FaultyProxy) -> AsyncIterator[Store]:
    bucket = s3_server.create_bucket()
    proxy.faults, proxy.seen = [], []
    settings = {**s3_server.settings(bucket, proxy.url), "part_bytes": PART, "memory_bytes": 4 * PART}
    driver = S3Driver.from_settings(settings)
    yield Store(s3_server, bucket, proxy, driver)
    await driver.aclose()


async def push(driver: S3Driver, content: bytes) -> str:
    """As docker does it: the bytes in one request, their digest in the next one."""
    upload = await driver.append(await driver.begin(), runs_of(content))
    return await driver.commit(through_json(upload), DIGEST)


@pytest.mark.parametrize("kind", ["slow_down", "reset", "lost_answer"])
@pytest.mark.parametrize("where", WHERE, ids=" ".join)
async def test_a_push_goes_on_after_a_fault(store: Store, where: tuple[str, str], kind: str) -> None:
    """Whether the request was carried out or not, once or twice in a row."""
    store.proxy.faults = [Fault(*where, kind, times=2)]

    location = await push(store.driver, LARGE)

    assert await get(store.driver, location) == LARGE
    assert store.proxy.unused == []
    await store.driver.aclose()
    store.check_nothing_is_left(location)


@pytest.mark.parametrize("kind", ["slow_down", "reset", "lost_answer", "no_folder"])
async def test_a_small_object_is_put_again(store: Store, kind: str) -> None:
    store.proxy.faults = [Fault(*PUT, kind, times=2)]
    upload = await store.driver.append(await store.driver.begin(), runs_of(SMALL), durable=False)

    location = await store.driver.commit(upload, DIGEST)

    assert await get(store.driver, location) == SMALL
    assert [method for method, _ in store.proxy.seen if method != "GET"] == 3 * ["PUT"]
    assert store.proxy.unused == []
    store.check_nothing_is_left(location)


@pytest.mark.parametrize("kind", ["error_in_200", "lost_answer"])
async def test_a_completion_that_says_200_or_nothing(store: Store, kind: str) -> None:
    store.proxy.faults = [Fault(*COMPLETE, kind)]

    location = await push(store.driver, LARGE)

    assert await get(store.driver, location) == LARGE
    await store.driver.aclose()
    store.check_nothing_is_left(location)


async def test_every_answer_of_a_completion_is_lost(store: Store) -> None:
    """The object is there; the driver looks before it says that it failed."""
    store.proxy.faults = [Fault(*COMPLETE, "lost_answer", times=99)]

    location = await push(store.driver, LARGE)

    assert await get(store.driver, location) == LARGE


@pytest.mark.parametrize("where", [SEND, COMPLETE, SEGMENT, CREATE], ids=" ".join)
async def test_a_server_that_stays_busy(store: Store, where: tuple[str, str]) -> None:
    """Unavailable, after a few tries; the upload is as it was, and goes on when the server can."""
    begun = await store.driver.begin()
    kept = await store.driver.append(begun, runs_of(SMALL))
    fault = Fault(*where, "slow_down", times=99)
    store.proxy.faults = [fault]
    upload = kept
    if where == COMPLETE:
        upload = await store.driver.append(kept, runs_of(LARGE))
        with pytest.raises(Unavailable, match="SlowDown"):
            await store.driver.commit(upload, DIGEST)
    else:
        with pytest.raises(Unavailable, match="SlowDown"):
            await store.driver.append(kept, runs_of(LARGE))
        assert store.server.multipart_uploads(store.bucket) == set(), "what nobody knows of was ended"
    assert 99 - fault.times == 5 or where == SEND  # several parts are sent at once
    fault.times = 0

    upload = through_json(upload)
    if upload.offset == len(SMALL):
        upload = await store.driver.append(upload, runs_of(LARGE))
    location = await store.driver.commit(upload, DIGEST)

    assert await get(store.driver, location) == SMALL + LARGE
    await store.driver.aclose()
    store.check_nothing_is_left(location)


async def test_what_will_not_work_is_tried_once(store: Store) -> None:
    fault = Fault(*PUT, "denied", times=99)
    store.proxy.faults = [fault]
    with pytest.raises(Unavailable, match="credentials"):
        await put(store.driver, SMALL)
    assert fault.times == 98

    store.proxy.faults = [Fault(*PUT, "full", times=99)]
    with pytest.raises(NoSpace):
        await put(store.driver, SMALL)


@pytest.mark.parametrize("kind", ["slow_down", "reset", "cut_answer"])
async def test_a_read_goes_on_where_it_broke(store: Store, kind: str) -> None:
    location = await push(store.driver, LARGE)
    store.proxy.faults = [Fault("GET", "/blobs/", kind, times=3)]

    assert await get(store.driver, location) == LARGE
    store.proxy.faults = [Fault("GET", "/blobs/", kind, times=3)]
    assert await get(store.driver, location, 77, len(LARGE) - 5) == LARGE[77:-5]
    assert store.proxy.unused == []


async def test_a_read_that_can_not_go_on_is_no_whole_one(store: Store) -> None:
    """The object is deleted between two connections."""
    location = await push(store.driver, LARGE)
    store.proxy.faults = [Fault("GET", "/blobs/", "cut_answer")]
    reader = store.driver.read(location)
    await anext(reader)
    await store.driver.delete(location)

    with pytest.raises(Unavailable, match="deleted"):
        b"".join([piece async for piece in reader])
    with pytest.raises(NotFound):
        await get(store.driver, location)


async def test_an_abort_leaves_nothing(store: Store) -> None:
    upload = await store.driver.append(await store.driver.begin(), runs_of(LARGE))
    store.proxy.faults = [Fault("DELETE", "", "lost_answer", times=2)]

    await store.driver.abort(through_json(upload))

    store.check_nothing_is_left()


@pytest.mark.parametrize("kind", ["slow_down", "reset", "lost_answer", "error_in_200", "key_busy"])
async def test_many_are_deleted_in_spite_of_a_fault(
    store: Store, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the second of three requests, twice. Of one key that failed nothing but that is asked again."""
    monkeypatch.setattr("storage_drivers.s3_bucket.KEYS_AT_ONCE", 3)
    keys = [f"blobs/{number}" for number in range(8)]
    for key in keys:
        store.server.client.put_object(Bucket=store.bucket, Key=key, Body=b"")
    store.proxy.faults = [Fault(*DELETE_MANY, "", times=1), Fault(*DELETE_MANY, kind, times=2)]

    await store.driver.delete_many(keys)

    assert store.proxy.unused == []
    assert len(store.proxy.seen) == 5
    store.check_nothing_is_left()


async def test_of_many_one_can_not_be_deleted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told, though the answer's status is 200, and the others are deleted all the same."""
    monkeypatch.setattr("storage_drivers.s3_bucket.KEYS_AT_ONCE", 3)
    keys = [f"blobs/{number}" for number in range(8)]
    for key in keys:
        store.server.client.put_object(Bucket=store.bucket, Key=key, Body=b"")
    store.proxy.faults = [Fault(*DELETE_MANY, "key_denied")]

    with pytest.raises(Unavailable, match="credentials"):
        await store.driver.delete_many(keys)

    assert len(store.proxy.seen) == 3
    store.check_nothing_is_left()


@pytest.mark.parametrize("kind", ["slow_down", "reset", "lost_answer"])
async def test_what_was_sent_again_is_not_kept(store: Store, kind: str) -> None:
    """An error must not hold the bytes until Python's collector finds it, which looks rarely."""

    class Body(bytearray):
        """One that can be watched."""

    body = Body(SMALL)
    there = weakref.ref(body)
    store.proxy.faults = [Fault(*PUT, kind, times=2)]
    gc.disable()
    try:
        await store.driver._bucket.put("blobs/0", body, lasting=True)
        del body
        async with asyncio.timeout(10):
            while there() is not None:  # the thread that sent it lets go of it a moment later
                await asyncio.sleep(0)
    finally:
        gc.enable()
    assert store.proxy.unused == []
