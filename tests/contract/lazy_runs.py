"""The contract of runs that are received while they are iterated (storage_drivers.Run)."""

import threading
from collections.abc import AsyncIterator, Iterator, Sequence

import pytest

from storage_drivers import Interrupted, Run, StorageDriver
from tests.contract.sources import DIGEST, MEBIBYTE, SourceError, content_of, get, through_json


class LazyRun:
    """An iterable that is no sequence, and notes who iterates it."""

    def __init__(self, content: bytes, buffer: int = 50_000, error: Exception | None = None) -> None:
        self._content = content
        self._buffer = buffer
        self._error = error
        self.iterations = 0
        self.ended = False
        self.thread: int | None = None

    def __iter__(self) -> Iterator[bytes]:
        self.iterations += 1
        self.thread = threading.get_ident()
        for start in range(0, len(self._content), self._buffer):
            yield self._content[start : start + self._buffer]
        if self._error is not None:
            raise self._error
        self.ended = True


async def one_by_one(*runs: Run) -> AsyncIterator[Run]:
    """The runs. Fails if the next is asked for before a lazy one was iterated to its end."""
    for run in runs:
        yield run
        assert not isinstance(run, LazyRun) or run.ended, "the next run was asked for too early"


class LazyRunContract:
    @pytest.mark.parametrize("durable", [True, False])
    async def test_a_lazy_run_is_iterated_once_in_a_thread(
        self, driver: StorageDriver, durable: bool
    ) -> None:
        content = content_of(3 * MEBIBYTE + 7)
        runs = [LazyRun(content[start : start + MEBIBYTE]) for start in range(0, len(content), MEBIBYTE)]
        seen = bytearray()

        def observe(buffers: Sequence[bytes]) -> None:
            seen.extend(b"".join(buffers))

        upload = await driver.append(await driver.begin(), one_by_one(*runs), observe, durable=durable)

        assert upload.offset == len(content)
        assert bytes(seen) == content
        for run in runs:
            assert run.iterations == 1
            assert run.thread != threading.get_ident(), "it blocks the event loop"
        assert await get(driver, await driver.commit(upload, DIGEST)) == content

    @pytest.mark.parametrize("size", [1, 40_000, 600_000])
    @pytest.mark.parametrize("durable", [True, False])
    async def test_lazy_runs_mix_with_others(self, driver: StorageDriver, size: int, durable: bool) -> None:
        """In the order they came, whatever a driver gathers."""
        content = content_of(7 * size)
        parts = [content[start : start + size] for start in range(0, len(content), size)]
        runs: list[Run] = [LazyRun(part) if number % 3 else (part,) for number, part in enumerate(parts)]
        runs[2:2] = [LazyRun(b""), (), (b"",)]

        upload = await driver.append(await driver.begin(), one_by_one(*runs), durable=durable)

        assert upload.offset == len(content)
        assert await get(driver, await driver.commit(upload, DIGEST)) == content

    async def test_lazy_runs_of_no_bytes(self, driver: StorageDriver) -> None:
        upload = await driver.append(await driver.begin(), one_by_one(LazyRun(b""), LazyRun(b"")))

        assert upload.offset == 0
        assert await get(driver, await driver.commit(upload, DIGEST)) == b""

    @pytest.mark.parametrize("first", [b"", b"x" * 1000, b"x" * MEBIBYTE], ids=len)
    async def test_a_source_that_breaks_after_lazy_runs_leaves_what_came(
        self, driver: StorageDriver, first: bytes
    ) -> None:
        """As when the client leaves: the run ends, and asking for the next one raises."""
        broke, content = SourceError("the client is gone"), content_of(MEBIBYTE + 5)

        async def breaking() -> AsyncIterator[Run]:
            async for run in one_by_one((first,), LazyRun(content)):
                yield run
            raise broke

        with pytest.raises(Interrupted) as caught:
            await driver.append(await driver.begin(), breaking())
        assert caught.value.__cause__ is broke
        upload = through_json(caught.value.upload)
        assert upload.offset == len(first + content)
        upload = await driver.append(upload, one_by_one(LazyRun(b"rest")))
        assert await get(driver, await driver.commit(upload, DIGEST)) == first + content + b"rest"

    async def test_a_lazy_run_that_raises_leaves_a_usable_upload(self, driver: StorageDriver) -> None:
        """It is not to raise, and if it does, what was acknowledged before is there."""
        kept = await driver.append(await driver.begin(), one_by_one((b"kept, ",)))
        with pytest.raises(Exception, match=r".") as caught:
            await driver.append(kept, one_by_one(LazyRun(b"x" * 300_000, error=SourceError("broken"))))
        causes = {type(caught.value), type(caught.value.__cause__)}
        assert SourceError in causes, "whoever asks is told"

        upload = await driver.append(kept, one_by_one(LazyRun(b"and more")))
        assert await get(driver, await driver.commit(upload, DIGEST)) == b"kept, and more"
