"""The contract of begin, append, commit and abort."""

import asyncio
import time
from asyncio import CancelledError
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress

import pytest

from storage_drivers import Interrupted, NotFound, StorageDriver, Unavailable, Upload
from tests.contract.sources import (
    DIGEST,
    MEBIBYTE,
    SourceError,
    breaking_after,
    content_of,
    get,
    locations,
    put,
    runs_of,
    through_json,
)


class UploadContract:
    look_ahead = 8 * MEBIBYTE
    """How many bytes a driver may hold that it has not stored yet, per upload."""

    async def test_begin_opens_an_object_of_no_bytes(self, driver: StorageDriver) -> None:
        first, second = await driver.begin(), await driver.begin()
        assert first.offset == second.offset == 0
        assert first.state != second.state

    @pytest.mark.parametrize("size", [1, 4096, MEBIBYTE - 1, 3 * MEBIBYTE + 7])
    async def test_what_was_appended_is_read(self, driver: StorageDriver, size: int) -> None:
        content = content_of(size)
        upload = await driver.append(await driver.begin(), runs_of(content))
        assert upload.offset == size
        assert await get(driver, await driver.commit(upload, DIGEST)) == content

    async def test_appends_follow_one_another(self, driver: StorageDriver) -> None:
        upload = await driver.begin()
        parts = [content_of(size, size) for size in (10, 700_000, 1, 65_536)]
        for part in parts:
            upload = through_json(await driver.append(upload, runs_of(part)))
        assert upload.offset == sum(map(len, parts))
        assert await get(driver, await driver.commit(upload, DIGEST)) == b"".join(parts)

    async def test_an_object_without_bytes(self, driver: StorageDriver) -> None:
        for upload in (await driver.begin(), await driver.append(await driver.begin(), runs_of(b""))):
            location = await driver.commit(upload, DIGEST)
            assert await get(driver, location) == b""
            assert (await driver.stat(location)).size == 0
            assert await driver.commit(upload, DIGEST) == location

    async def test_runs_of_any_shape(self, driver: StorageDriver) -> None:
        content = content_of(9_000)
        shapes = [[b""], [], [content[:1], b"", content[1:3]], [bytes([byte]) for byte in content[3:]]]

        async def runs() -> AsyncIterator[Sequence[bytes]]:
            for shape in shapes:
                yield shape

        location = await driver.commit(await driver.append(await driver.begin(), runs()), DIGEST)
        assert await get(driver, location) == content

    async def test_the_observer_sees_every_byte_in_order(self, driver: StorageDriver) -> None:
        content = content_of(2 * MEBIBYTE)
        seen = bytearray()

        def observe(run: Sequence[bytes]) -> None:
            for buffer in run:
                seen.extend(buffer)

        half = await driver.append(await driver.begin(), runs_of(content[:MEBIBYTE]), observe)
        assert bytes(seen) == content[:MEBIBYTE]
        await driver.append(half, runs_of(content[MEBIBYTE:]), observe)
        assert bytes(seen) == content

    async def test_bytes_past_the_offset_are_void_for_an_append(self, driver: StorageDriver) -> None:
        kept, void, added = content_of(1000, 1), content_of(50_000, 2), content_of(20_000, 3)
        upload = await driver.append(await driver.begin(), runs_of(kept))
        await driver.append(upload, runs_of(void))  # as if the answer got lost
        upload = await driver.append(upload, runs_of(added))
        assert upload.offset == len(kept + added)
        assert await get(driver, await driver.commit(upload, DIGEST)) == kept + added

    async def test_bytes_past_the_offset_are_void_for_a_commit(self, driver: StorageDriver) -> None:
        upload = await driver.append(await driver.begin(), runs_of(b"kept"))
        await driver.append(upload, runs_of(b" and void"))
        assert await get(driver, await driver.commit(upload, DIGEST)) == b"kept"

    async def test_a_first_append_may_be_repeated(self, driver: StorageDriver) -> None:
        upload = await driver.begin()
        await driver.append(upload, runs_of(b"a first try, long and lost"))
        upload = await driver.append(upload, runs_of(b"a second"))
        assert await get(driver, await driver.commit(upload, DIGEST)) == b"a second"

    @pytest.mark.parametrize("size", [0, 10, 2 * MEBIBYTE + 1])
    @pytest.mark.parametrize("error", [SourceError, ConnectionResetError, Unavailable])
    async def test_a_broken_source_leaves_what_came(
        self, driver: StorageDriver, size: int, error: type[Exception]
    ) -> None:
        """Whatever it raises: an error of the operating system, or of a driver that is copied from."""
        content, broke = content_of(size + 100_000), error("the client is gone")
        seen: list[bytes] = []
        with pytest.raises(Interrupted) as caught:
            await driver.append(await driver.begin(), breaking_after(content[:size], broke), seen.extend)
        assert caught.value.__cause__ is broke
        upload = through_json(caught.value.upload)
        assert upload.offset == size
        assert b"".join(seen) == content[:size]
        upload = await driver.append(upload, runs_of(content[size:]))
        assert await get(driver, await driver.commit(upload, DIGEST)) == content

    @pytest.mark.parametrize("size", [10, 2 * MEBIBYTE + 1])
    async def test_a_cancelled_append_leaves_what_came(self, driver: StorageDriver, size: int) -> None:
        content, stalled = content_of(size + 10), asyncio.Event()

        async def stalling() -> AsyncIterator[Sequence[bytes]]:
            async for run in runs_of(content[:size]):
                yield run
            stalled.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(driver.append(await driver.begin(), stalling()))
        await stalled.wait()
        task.cancel()
        with pytest.raises(Interrupted) as caught:
            await task
        assert isinstance(caught.value.__cause__, CancelledError)
        assert caught.value.upload.offset == size
        upload = await driver.append(caught.value.upload, runs_of(content[size:]))
        assert await get(driver, await driver.commit(upload, DIGEST)) == content

    async def test_commit_is_idempotent(self, driver: StorageDriver) -> None:
        upload = await driver.append(await driver.begin(), runs_of(b"once"))
        location = await driver.commit(upload, DIGEST)
        assert await driver.commit(through_json(upload), DIGEST) == location
        assert await locations(driver) == {location}
        assert await get(driver, location) == b"once"

    async def test_a_committed_object_never_changes(self, driver: StorageDriver) -> None:
        start = await driver.begin()
        location = await driver.commit(await driver.append(start, runs_of(b"for ever")), DIGEST)
        with suppress(NotFound):  # as good an answer
            late = await driver.append(start, runs_of(b"a replay"))
            assert await driver.commit(late, DIGEST) == location
        assert await get(driver, location) == b"for ever"
        await driver.abort(start)
        assert await get(driver, location) == b"for ever"

    async def test_every_upload_gets_a_location_of_its_own(self, driver: StorageDriver) -> None:
        first, second = await put(driver, b"the same"), await put(driver, b"the same")
        assert first != second
        await driver.delete(first)
        third = await put(driver, b"the same")
        assert third not in (first, second)
        assert await locations(driver) == {second, third}

    @pytest.mark.parametrize("digest", [DIGEST, "sha512:" + "0f" * 64])
    async def test_a_location_is_a_short_line_of_text(self, driver: StorageDriver, digest: str) -> None:
        location = await put(driver, b"somewhere", digest)
        assert location.isprintable()
        assert 0 < len(location) <= 255

    async def test_abort_is_idempotent(self, driver: StorageDriver) -> None:
        upload = await driver.append(await driver.begin(), runs_of(b"never mind"))
        await driver.abort(upload)
        await driver.abort(upload)
        with pytest.raises(NotFound):
            await driver.commit(upload, DIGEST)
        with pytest.raises(NotFound):
            await driver.append(upload, runs_of(b"more"))
        await driver.abort(await driver.begin())
        assert await locations(driver) == set()

    async def test_what_a_process_that_died_left_is_swept(
        self, driver: StorageDriver, settings: Mapping[str, object]
    ) -> None:
        """By another one: old bytes that are staged and belong to no session. All else stays."""
        content = content_of(300_000)
        known = await driver.append(await driver.begin(), runs_of(content))
        lost = await driver.append(await driver.begin(), runs_of(content))
        kept = await put(driver, b"kept")
        sessions = [await driver.begin(), through_json(known)]
        other = type(driver).from_settings(settings) if driver.shared else driver

        assert await other.sweep(time.time() - 3600, sessions) == 0, "it is young"
        assert await other.sweep(time.time() + 60, sessions) == 1
        assert await other.sweep(time.time() + 60, sessions) == 0

        with pytest.raises(NotFound):
            await driver.commit(lost, DIGEST)
        with pytest.raises(NotFound):
            await driver.append(lost, runs_of(b"more"))
        assert await locations(driver) == {kept}
        known = await other.append(known, runs_of(content))
        assert await get(driver, await other.commit(known, DIGEST)) == content + content
        if other is not driver:
            await other.aclose()

    @pytest.mark.parametrize("state", [{}, {"token": "../../etc"}, {"token": None}, {"token": 7}])
    async def test_an_upload_of_another_driver_is_unknown(
        self, driver: StorageDriver, state: dict[str, str | int | None]
    ) -> None:
        upload = Upload(4, state)
        with pytest.raises(NotFound):
            await driver.append(upload, runs_of(b"more"))
        with pytest.raises(NotFound):
            await driver.commit(upload, DIGEST)
        await driver.abort(upload)

    async def test_fifty_uploads_at_once(self, driver: StorageDriver) -> None:
        contents = [content_of(40_000 + 17 * number, number) for number in range(50)]

        async def push(content: bytes) -> str:
            upload = await driver.append(await driver.begin(), runs_of(content[:9999], 1024, 2))
            upload = await driver.append(upload, runs_of(content[9999:]))
            return await driver.commit(upload, DIGEST)

        stored = await asyncio.gather(*map(push, contents))
        assert await locations(driver) == set(stored)
        assert await asyncio.gather(*(get(driver, location) for location in stored)) == contents

    async def test_a_fast_source_is_held_back(self, driver: StorageDriver) -> None:
        buffer, given, stored, furthest = bytes(65_536), 0, 0, 0

        async def eager() -> AsyncIterator[Sequence[bytes]]:
            nonlocal given, furthest
            while given < 3 * self.look_ahead:
                given += 4 * len(buffer)
                furthest = max(furthest, given - stored)
                yield [buffer] * 4

        def observe(run: Sequence[bytes]) -> None:
            nonlocal stored
            stored += sum(map(len, run))

        upload = await driver.append(await driver.begin(), eager(), observe)
        assert upload.offset == given == stored
        assert furthest <= self.look_ahead
