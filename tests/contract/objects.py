"""The contract of stat, read, locate, delete and scan."""

import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from storage_drivers import LocalFile, NotFound, SignedUrl, StorageDriver, Unavailable
from tests.contract.sources import MEBIBYTE, content_of, get, locations, put, runs_of

NOWHERE = [
    "blobs/sha256/5e/nothing",
    "",
    ".",
    "..",
    "../outside",
    "blobs/../../outside",
    "/etc/passwd",
    "a\0b",
    "a\nb",
    "\ud800",
    "x" * 5000,
]


class ObjectContract:
    async def test_stat_tells_size_and_time(self, driver: StorageDriver) -> None:
        found = await driver.stat(await put(driver, content_of(70_001)))
        assert found.size == 70_001
        assert abs(found.modified - time.time()) < 600

    @pytest.mark.parametrize("location", NOWHERE)
    async def test_nothing_is_found_elsewhere(self, driver: StorageDriver, location: str) -> None:
        kept = await put(driver, b"kept")
        with pytest.raises(NotFound):
            await driver.stat(location)
        with pytest.raises(NotFound):
            await anext(driver.read(location))
        with pytest.raises(NotFound):
            await anext(driver.read(location, 2, 2))
        await driver.delete(location)
        assert await locations(driver) == {kept}

    async def test_ranges(self, driver: StorageDriver) -> None:
        content = content_of(3 * MEBIBYTE + 5)
        location = await put(driver, content)
        edges = [0, 1, 65_536, MEBIBYTE - 1, MEBIBYTE, MEBIBYTE + 1, len(content) - 1, len(content)]
        for start in edges:
            assert await get(driver, location, start) == content[start:]
            for stop in (edge for edge in edges if edge >= start):
                assert await get(driver, location, start, stop) == content[start:stop]

    async def test_a_big_object_comes_in_pieces(self, driver: StorageDriver) -> None:
        location = await put(driver, content_of(9 * MEBIBYTE))
        sizes = [len(piece) async for piece in driver.read(location)]
        assert sum(sizes) == 9 * MEBIBYTE
        assert 0 < min(sizes) <= max(sizes) <= 4 * MEBIBYTE

    @pytest.mark.parametrize(("start", "stop"), [(0, 11), (9, 12), (10, 11), (500, 501)])
    async def test_a_short_read_is_no_whole_one(self, driver: StorageDriver, start: int, stop: int) -> None:
        location = await put(driver, b"ten bytes.")
        with pytest.raises(Unavailable):
            await get(driver, location, start, stop)

    async def test_a_reader_may_leave_early(self, driver: StorageDriver) -> None:
        content = content_of(5 * MEBIBYTE)
        location = await put(driver, content)
        reader = driver.read(location)
        assert content.startswith(await anext(reader))
        await reader.aclose()  # type: ignore[attr-defined]
        assert await get(driver, location) == content

    async def test_the_fast_way_out_leads_to_the_object(self, driver: StorageDriver) -> None:
        content = content_of(1234)
        found = await driver.locate(await put(driver, content))
        match found:
            case LocalFile(path):
                assert Path(path).read_bytes() == content
            case SignedUrl(url):
                assert url.startswith(("https://", "http://"))
            case _:
                assert found is None

    async def test_delete_is_for_good_and_idempotent(self, driver: StorageDriver) -> None:
        location, other = await put(driver, b"gone"), await put(driver, b"stays")
        await driver.delete(location)
        await driver.delete(location)
        with pytest.raises(NotFound):
            await driver.stat(location)
        with pytest.raises(NotFound):
            await get(driver, location)
        assert await locations(driver) == {other}
        assert await get(driver, other) == b"stays"

    async def test_many_are_deleted_at_once(self, driver: StorageDriver) -> None:
        """However many of them are gone already, or never were."""
        digests = [f"sha256:{number:064x}" for number in range(12)]
        stored = [await put(driver, b"gone", digest) for digest in digests]
        other = await put(driver, b"stays", digests[0])
        await driver.delete(stored[3])
        await driver.delete_many([*stored[:10], *NOWHERE])
        assert await locations(driver) == {*stored[10:], other}
        await driver.delete_many(set(stored))
        await driver.delete_many([])
        assert await locations(driver) == {other}
        assert await get(driver, other) == b"stays"

    async def test_a_reader_outlives_a_delete(self, driver: StorageDriver) -> None:
        content = content_of(6 * MEBIBYTE)
        location = await put(driver, content)
        reader = driver.read(location)
        read = await anext(reader)
        await driver.delete(location)
        async for piece in reader:
            read += piece
        assert read == content

    async def test_scan_finds_what_is_committed(self, driver: StorageDriver) -> None:
        assert [found async for found in driver.scan()] == []
        digests = [f"sha256:{number:064x}" for number in range(20)]
        sizes = {await put(driver, bytes(number), digest): number for number, digest in enumerate(digests)}
        await driver.append(await driver.begin(), runs_of(b"staged"))
        found = [entry async for entry in driver.scan()]
        assert {entry.location: entry.size for entry in found} == sizes
        assert all(abs(entry.modified - time.time()) < 600 for entry in found)

    async def test_an_unknown_setting_is_refused(
        self, driver: StorageDriver, settings: Mapping[str, object]
    ) -> None:
        with pytest.raises(ValueError, match="no_such_setting"):
            type(driver).from_settings({**settings, "no_such_setting": 1})
