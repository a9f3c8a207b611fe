"""Files whose bytes and names survive a power cut: the blocking half of the filesystem driver.

Everything here blocks and belongs in a worker thread. Errors are OSErrors but where another one is named.
"""

import ctypes
import errno
import fcntl
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from storage_drivers.base import Observer, Unavailable
from storage_drivers.failpoints import declare, failpoint

CREATED = declare("filesystem.append.created")
TRUNCATED = declare("filesystem.append.truncated")
WRITTEN = declare("filesystem.append.written")
SYNCED = declare("filesystem.append.synced")
ENTERED = declare("filesystem.append.entered")
UNLINKED = declare("filesystem.delete.unlinked")

FILE_MODE = 0o640
DIRECTORY_MODE = 0o750

GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG})
"""What the system says of a file that is not there."""

_BUFFERS_PER_CALL = min(os.sysconf("SC_IOV_MAX"), 1024)
_WRITE_BACK_EVERY = 8 << 20


def sync_directory(path: str) -> None:
    """Make the names in a directory durable, and the absence of those that were removed."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class DurableDirectories:
    """Makes directories below `root`, and `root` itself, so that they are there after a power cut too.

    Who finds a directory can't know whether the one who made it came to sync its name before it died. So
    each process syncs each name once, at first use.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._durable: set[str] = set()

    def ensure(self, directory: str) -> None:
        if directory in self._durable:
            return
        above_the_store = len(directory) <= len(self._root)
        if not (above_the_store and os.path.isdir(directory)):
            parent = os.path.dirname(directory)
            self.ensure(parent)
            with suppress(FileExistsError):  # whoever made it may not have synced it yet
                os.mkdir(directory, DIRECTORY_MODE)
            sync_directory(parent)
        self._durable.add(directory)

    def forget(self, directory: str) -> None:
        """A directory was taken away, perhaps with those above it: look again at the next use."""
        self._durable = {known for known in self._durable if not directory.startswith(known)}


def file_size(path: str) -> int | None:
    """In bytes; None if there is no such file."""
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return None


def remove_files(paths: Sequence[str]) -> None:
    """Remove files for good, also those that are gone already: perhaps that was never synced.

    Each folder is synced once. All are tried; then the first error is raised.
    """
    failures = _failures_of(os.unlink, paths)
    failpoint(UNLINKED)
    failures += _failures_of(sync_directory, dict.fromkeys(map(os.path.dirname, paths)))
    if failures:
        raise failures[0]


def _failures_of(step: Callable[[str], None], paths: Iterable[str]) -> list[OSError]:
    """Do it with each path; what went wrong, but that one was not there."""
    failures = []
    for path in paths:
        try:
            step(path)
        except OSError as error:
            if error.errno not in GONE:
                failures.append(error)
    return failures


def open_alone(path: str, *, create: bool) -> int:
    """Open a staged file for writing, and lock out every other writer until it is closed.

    A process that was paused in the middle of a write would otherwise, when it wakes up, write into an
    object that others have finished and committed meanwhile. Raises Unavailable if somebody has it.
    """
    descriptor = os.open(path, os.O_WRONLY | (os.O_CREAT if create else 0), FILE_MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        still_there = os.path.samestat(os.fstat(descriptor), os.stat(path))
    except OSError as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            raise Unavailable("another request is writing to the staged object") from error
        raise
    if not still_there:
        os.close(descriptor)
        raise Unavailable("another request replaced the staged object")
    return descriptor


def cut_back(descriptor: int, size: int) -> bool:
    """Drop what lies past `size`, and say whether there was any.

    Raises FileNotFoundError if the file is shorter: what was recorded is no more.
    """
    present = os.fstat(descriptor).st_size
    if present < size:
        raise FileNotFoundError(errno.ENOENT, f"the staged object has {present} of its {size} bytes")
    if present > size:
        os.ftruncate(descriptor, size)
    return present > size


def write_at(descriptor: int, buffers: Sequence[bytes], offset: int) -> int:
    """Write all buffers at `offset` without joining them, and return where they end."""
    left: list[bytes | memoryview] = [buffer for buffer in buffers if buffer]
    first = 0
    while first < len(left):
        written = os.pwritev(descriptor, left[first : first + _BUFFERS_PER_CALL], offset)
        if written == 0:
            raise OSError(errno.EIO, "the file system takes no bytes and gives no reason")
        offset += written
        while first < len(left) and written >= len(left[first]):
            written -= len(left[first])
            first += 1
        if written:
            left[first] = memoryview(left[first])[written:]
    return offset


_libc = ctypes.CDLL(None)
_sync_file_range = getattr(_libc, "sync_file_range", None)  # Linux only
_START_WRITE_BACK = 2  # SYNC_FILE_RANGE_WRITE
if _sync_file_range is not None:
    _sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)


def start_write_back(descriptor: int, start: int, stop: int) -> None:
    """Have the kernel begin to write these bytes out, so that the fsync at the end finds little to do.

    A hint: nothing depends on it, and an error of the medium is reported by that fsync.
    """
    if _sync_file_range is not None:
        _sync_file_range(descriptor, start, stop - start, _START_WRITE_BACK)


class StagedFile:
    """One append: opened by the first write, closed by `finish` or by an error.

    The methods are called one at a time, each in whichever thread is free. When one raises, the bytes of
    this append are dropped (which frees their room on a full disk) and the object is of no more use.
    """

    def __init__(
        self, path: str, offset: int, directories: DurableDirectories, observe: Observer | None
    ) -> None:
        self._path = path
        self._directories = directories
        self._observe = observe
        self._start = self._end = self._written_back = offset
        self._descriptor = -1

    def write(self, buffers: Sequence[bytes], lazy: Iterable[bytes] = ()) -> None:
        """Write buffers, then those that come while we wait for them. Nothing is durable yet.

        Each one is observed and dropped before the next comes: it is still in the processor's cache.
        """
        if self._descriptor < 0:
            self._open()
        try:
            self._write(buffers)
            for buffer in lazy:
                self._write((buffer,))
        except BaseException:
            self._drop()
            raise

    def _write(self, buffers: Sequence[bytes]) -> None:
        self._end = write_at(self._descriptor, buffers, self._end)
        if self._end - self._written_back >= _WRITE_BACK_EVERY:
            start_write_back(self._descriptor, self._written_back, self._end)
            self._written_back = self._end
        if self._observe is not None:
            self._observe(buffers)

    def finish(self, buffers: Sequence[bytes], durable: bool) -> int:
        """Write the last run (it may be empty), make everything durable, and return the new offset."""
        self.write(buffers)
        if not durable:
            self._close()
            return self._end
        try:
            failpoint(WRITTEN)
            os.fsync(self._descriptor)
            failpoint(SYNCED)
            if self._start == 0:  # the name is new, or as good as new: who made it may have died at once
                sync_directory(os.path.dirname(self._path))
                failpoint(ENTERED)
        except BaseException:
            self._drop()
            raise
        self._close()
        return self._end

    def _open(self) -> None:
        new = self._start == 0
        if new:
            self._directories.ensure(os.path.dirname(self._path))
        try:
            self._descriptor = open_alone(self._path, create=new)
        except FileNotFoundError as error:
            if new:  # not the upload is missing but the folder
                raise Unavailable("the staging folder was taken away") from error
            raise
        try:
            failpoint(CREATED)
            if cut_back(self._descriptor, self._start):
                failpoint(TRUNCATED)
        except BaseException:
            self._close()
            raise

    def _drop(self) -> None:
        try:
            os.ftruncate(self._descriptor, self._start)
        finally:
            self._close()

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        os.close(descriptor)
