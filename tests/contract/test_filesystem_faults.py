"""The filesystem driver on a disk that is full, fails, or is slow, and among others who do the same."""

import asyncio
import errno
import fcntl
import os
import resource
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from storage_drivers import (
    Interrupted,
    NoSpace,
    NotFound,
    Unavailable,
    durable_files,
    file_listing,
    filesystem,
)
from storage_drivers.durable_files import DurableDirectories
from storage_drivers.filesystem import FilesystemDriver
from tests.contract.sources import DIGEST, MEBIBYTE, content_of, get, locations, put, runs_of
from tests.support.tools import tool


@pytest.fixture
async def driver(tmp_path: Path) -> AsyncIterator[FilesystemDriver]:
    driver = FilesystemDriver.from_settings({"root": str(tmp_path / "store")})
    yield driver
    await driver.aclose()


async def fill_and_recover(root: str) -> None:
    """The disk takes less than 4 MiB more, in one file or in all: pushes fail clearly, and reads go on."""
    driver = FilesystemDriver.from_settings({"root": root})
    small, large = content_of(300_000), content_of(4 * MEBIBYTE)
    location = await put(driver, small)
    started = await driver.append(await driver.begin(), runs_of(small))
    for upload in (await driver.begin(), started):
        with pytest.raises(NoSpace):
            await driver.append(upload, runs_of(large))
    assert await get(driver, location) == small
    again = await driver.commit(await driver.append(started, runs_of(small)), DIGEST)
    assert await get(driver, again) == small + small
    await driver.delete(location)
    assert await locations(driver) == {again}
    await driver.aclose()


def test_a_file_size_limit(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys; from tests.contract.test_filesystem_faults import fill_and_recover;"
        "asyncio.run(fill_and_recover(sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=Path(__file__).parents[2],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (MEBIBYTE, MEBIBYTE)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs takes root")
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = [tool("mount"), "-t", "tmpfs", "-o", "size=3m", "entrepot-test", str(folder)]
    if (done := subprocess.run(mount, capture_output=True, text=True, check=False)).returncode != 0:
        pytest.skip(f"mounting a small tmpfs is not allowed here: {done.stderr.strip()}")
    yield folder
    subprocess.run([tool("umount"), str(folder)], check=True)


async def test_a_full_disk(small_disk: Path) -> None:
    await fill_and_recover(str(small_disk / "store"))


class Disk:
    """Stands for `os` in the driver's modules, with some of its functions replaced."""

    def __init__(self, **replaced: Callable[..., Any]) -> None:
        self.__dict__.update(replaced)

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def put_in(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(durable_files, "os", self)
        monkeypatch.setattr(filesystem, "os", self)
        monkeypatch.setattr(file_listing, "os", self)


async def test_the_event_loop_never_touches_the_disk(
    driver: FilesystemDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    callers: dict[str, set[str]] = {}

    def watched(name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            callers.setdefault(name, set()).add(threading.current_thread().name.rstrip("_0123456789"))
            return getattr(os, name)(*arguments, **options)

        return call

    names = ["open", "close", "pwritev", "pread", "fsync", "ftruncate", "fstat", "stat"]
    names += ["rename", "unlink", "mkdir", "scandir"]
    Disk(**{name: watched(name) for name in names}).put_in(monkeypatch)
    upload = await driver.append(await driver.begin(), runs_of(content_of(2 * MEBIBYTE)))
    await driver.append(upload, runs_of(b"void"))
    location = await driver.commit(upload, DIGEST)
    await driver.stat(location)
    await get(driver, location)
    reader = driver.read(location)
    await anext(reader)
    await reader.aclose()  # type: ignore[attr-defined]
    await driver.locate(location)
    await locations(driver)
    await driver.delete(location)
    await driver.abort(await driver.append(await driver.begin(), runs_of(b"never mind")))
    await driver.aclose()
    assert callers == {name: {"filesystem"} for name in names}


async def test_small_blobs_take_two_hops(driver: FilesystemDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    await put(driver, b"makes the folders")
    hops, start = 0, FilesystemDriver._start

    def counted(self: FilesystemDriver, step: Callable[..., Any], *arguments: object) -> asyncio.Future[Any]:
        nonlocal hops
        hops += 1
        return start(self, step, *arguments)

    monkeypatch.setattr(FilesystemDriver, "_start", counted)
    await put(driver, content_of(4096))
    assert hops == 2


async def test_memory_is_bounded(driver: FilesystemDriver) -> None:
    async def large() -> AsyncIterator[Sequence[bytes]]:
        for _ in range(256):
            yield [bytes(65_536) for _ in range(4)]

    await put(driver, b"warms up")
    tracemalloc.start()
    location = await driver.commit(await driver.append(await driver.begin(), large()), DIGEST)
    size = 0
    async for piece in driver.read(location):
        size += len(piece)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size == 64 * MEBIBYTE
    assert peak < 3 * MEBIBYTE


async def test_writes_that_are_cut_short_go_on(
    driver: FilesystemDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(descriptor: int, buffers: Sequence[bytes], offset: int) -> int:
        return os.pwrite(descriptor, b"".join(buffers)[:70_001], offset)

    Disk(pwritev=short).put_in(monkeypatch)
    content = content_of(MEBIBYTE)
    assert await get(driver, await put(driver, content)) == content


@pytest.mark.parametrize("name", ["pwritev", "fsync", "open"])
@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.EIO, Unavailable),
        (errno.EACCES, Unavailable),
        (errno.ENOSPC, NoSpace),
        (errno.EDQUOT, NoSpace),
        (errno.EFBIG, NoSpace),
    ],
)
@pytest.mark.parametrize("size", [10, 2 * MEBIBYTE])
async def test_an_error_of_the_disk_leaves_the_upload_as_it_was(
    driver: FilesystemDriver, name: str, number: int, expected: type[Exception], size: int
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise OSError(number, os.strerror(number))

    upload = await driver.append(await driver.begin(), runs_of(b"before"))
    content = content_of(size)
    with pytest.MonkeyPatch.context() as broken:
        Disk(**{name: fail}).put_in(broken)
        with pytest.raises(expected):
            await driver.append(upload, runs_of(content))
        with pytest.raises(expected):
            await driver.append(await driver.begin(), runs_of(content))
    upload = await driver.append(upload, runs_of(content))
    assert await get(driver, await driver.commit(upload, DIGEST)) == b"before" + content


async def test_of_many_one_can_not_be_deleted(driver: FilesystemDriver, tmp_path: Path) -> None:
    """The others are, and their folders synced."""
    stored = [await put(driver, b"content", f"sha256:{number:02d}{'0' * 62}") for number in range(5)]
    stays = stored[1]
    synced: list[str] = []

    def unlink(path: str) -> None:
        if path.endswith(stays):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        os.unlink(path)

    with pytest.MonkeyPatch.context() as broken:
        Disk(unlink=unlink).put_in(broken)
        broken.setattr(durable_files, "sync_directory", synced.append)
        with pytest.raises(Unavailable):
            await driver.delete_many(stored)
    assert await locations(driver) == {stays}
    assert synced == [os.path.dirname(tmp_path / "store" / location) for location in stored]


async def test_staged_bytes_that_were_lost_are_noticed(driver: FilesystemDriver, tmp_path: Path) -> None:
    upload = await driver.append(await driver.begin(), runs_of(b"ten bytes."))
    (staged,) = (tmp_path / "store" / "staging").iterdir()
    os.truncate(staged, 9)
    with pytest.raises(NotFound):
        await driver.append(upload, runs_of(b"more"))
    with pytest.raises(NotFound):
        await driver.commit(upload, DIGEST)


async def test_one_writer_at_a_time(driver: FilesystemDriver, tmp_path: Path) -> None:
    """A process that is paused in an append must not write on into what others commit meanwhile."""
    other = FilesystemDriver.from_settings({"root": str(tmp_path / "store")})
    upload = await driver.append(await driver.begin(), runs_of(b"start, "))
    written, resume = asyncio.Event(), asyncio.Event()

    async def pausing() -> AsyncIterator[Sequence[bytes]]:
        for _ in range(2):  # when the third run is asked for, the first is written
            yield [bytes(MEBIBYTE)]
        written.set()
        await resume.wait()

    paused = asyncio.create_task(driver.append(upload, pausing()))
    await written.wait()
    with pytest.raises(Unavailable, match="another request"):
        await other.append(upload, runs_of(b"end"))
    with pytest.raises(Unavailable, match="another request"):
        await other.commit(upload, DIGEST)
    resume.set()
    assert (await paused).offset == 2 * MEBIBYTE + len(b"start, ")
    upload = await other.append(upload, runs_of(b"end"))
    assert await get(driver, await other.commit(upload, DIGEST)) == b"start, end"
    await other.aclose()


async def test_an_object_that_is_committed_while_it_is_opened(
    driver: FilesystemDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = await driver.append(await driver.begin(), runs_of(b"done"))
    (staged,) = (tmp_path / "store" / "staging").iterdir()
    final = tmp_path / "final"

    class CommittedMeanwhile:
        LOCK_EX, LOCK_NB = fcntl.LOCK_EX, fcntl.LOCK_NB

        def flock(self, descriptor: int, operation: int) -> None:
            staged.rename(final)
            fcntl.flock(descriptor, operation)

    monkeypatch.setattr(durable_files, "fcntl", CommittedMeanwhile())
    with pytest.raises(NotFound):
        await driver.append(upload, runs_of(b", and then some"))
    assert final.read_bytes() == b"done"


def test_each_process_syncs_the_names_of_folders_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may have made them, and died before it came to that."""
    synced: list[str] = []
    monkeypatch.setattr(durable_files, "sync_directory", synced.append)
    root, folder = str(tmp_path), str(tmp_path / "a" / "b")
    for directories in (DurableDirectories(root), DurableDirectories(root)):
        synced.clear()
        directories.ensure(folder)
        directories.ensure(folder)
        assert synced == [root, str(tmp_path / "a")]


async def test_a_cancelled_commit_is_done_or_can_be_repeated(driver: FilesystemDriver) -> None:
    upload = await driver.append(await driver.begin(), runs_of(b"content"))
    task = asyncio.create_task(driver.commit(upload, DIGEST))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    location = await driver.commit(upload, DIGEST)
    assert await locations(driver) == {location}


@pytest.mark.parametrize("step", ["pwritev", "fsync"])
async def test_being_cancelled_waits_for_a_slow_disk(
    driver: FilesystemDriver, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    reached, go_on = threading.Event(), threading.Event()

    def slow(*arguments: Any) -> Any:
        reached.set()
        assert go_on.wait(10)
        return getattr(os, step)(*arguments)

    content = content_of(MEBIBYTE)
    upload = await driver.append(await driver.begin(), runs_of(b"start, "))
    Disk(**{step: slow}).put_in(monkeypatch)
    task = asyncio.create_task(driver.append(upload, runs_of(content, len(content))))
    await asyncio.to_thread(reached.wait, 10)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0.01)
    assert not task.done()
    go_on.set()
    with pytest.raises(Interrupted) as caught:
        await task
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)
    location = await driver.commit(caught.value.upload, DIGEST)
    assert await get(driver, location) == b"start, " + content


async def test_a_staged_object_has_no_location(driver: FilesystemDriver, tmp_path: Path) -> None:
    await driver.append(await driver.begin(), runs_of(b"not yet"))
    (staged,) = (tmp_path / "store" / "staging").iterdir()
    for location in (f"staging/{staged.name}", f"blobs/../staging/{staged.name}"):
        with pytest.raises(NotFound):
            await driver.stat(location)
        await driver.delete(location)
    assert staged.read_bytes() == b"not yet"


async def test_scan_passes_by_what_is_not_the_drivers(driver: FilesystemDriver, tmp_path: Path) -> None:
    location = await put(driver, b"ours")
    blobs = tmp_path / "store" / "blobs"
    (blobs / "README").write_text("a note of the operator")
    (blobs / "sha256" / "5e" / ".nfs0001").write_text("a file that a network file system keeps")
    assert await locations(driver) == {location}
    with pytest.raises(NotFound):
        await driver.stat("blobs/sha256")


@pytest.mark.parametrize(
    "digest", ["sha256", "sha256:", "sha256:a", "../x:abcd", "sha256:../../x", "a:" + "b" * 201]
)
async def test_a_digest_never_leads_out_of_the_store(driver: FilesystemDriver, digest: str) -> None:
    upload = await driver.append(await driver.begin(), runs_of(b"content"))
    with pytest.raises(ValueError, match="is no digest"):
        await driver.commit(upload, digest)


async def test_folders_are_not_for_everyone(driver: FilesystemDriver, tmp_path: Path) -> None:
    location = await put(driver, b"private")
    store = tmp_path / "store"
    assert (store / location).stat().st_mode & 0o007 == 0
    assert store.stat().st_mode & 0o007 == 0
