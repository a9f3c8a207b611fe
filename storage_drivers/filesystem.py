"""Objects as files below one folder, which any number of processes may share.

    <root>/staging/<token>                                     being uploaded
    <root>/blobs/<algorithm>/<two digits>/<encoded>.<token>    committed; below root: its location

The token, 128 random bits that `begin` draws, makes every location a new one: when the same content is
pushed again after it was deleted, it can't collide with that deletion.

What is durable when: `append` syncs the bytes and, for a new file, its name, unless a commit follows at
once; `commit` syncs what is not synced yet, renames, and syncs the names.
Disks block, so every step runs in a thread of the driver's own (`_hop`), and the steps are cut so that a
small blob that comes whole takes one of them.
"""

import asyncio
import errno
import os
import re
import secrets
import stat
from asyncio import CancelledError
from collections.abc import AsyncIterable, AsyncIterator, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from typing import ClassVar, TypeVar

from storage_drivers.base import (
    Defective,
    Interrupted,
    LocalFile,
    NoSpace,
    NotFound,
    Object,
    Observer,
    Run,
    Stat,
    StorageDriver,
    StorageError,
    Unavailable,
    Upload,
)
from storage_drivers.durable_files import (
    GONE,
    DurableDirectories,
    StagedFile,
    cut_back,
    file_size,
    open_alone,
    remove_files,
    sync_directory,
    write_at,
)
from storage_drivers.failpoints import declare, failpoint
from storage_drivers.file_listing import files_below, object_folders, objects_in
from storage_drivers.threads import settled

T = TypeVar("T")

READY = declare("filesystem.commit.ready")
RENAMED = declare("filesystem.commit.renamed")
COMMITTED = declare("filesystem.commit.entered")

UNSYNCED = "unsynced"
"""In an upload's state: its bytes, and perhaps its name, are not on the disk before the commit."""

_THREADS = 16  # most of them wait for an fsync, which the file system does for several at once
_RUN = 512 * 1024  # what is worth a hop; two of them are all that an append holds
_READ = 512 * 1024
_SMALL = 64 * 1024  # what may wait for the commit, which then is the only hop
_FILES = 1000  # of a listing, in one hop

_TOKEN = re.compile(r"[0-9a-f]{32}")
_DIGEST = re.compile(r"([a-z0-9]+(?:[+._-][a-z0-9]+)*):([a-zA-Z0-9=_-]{2,200})")

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class FilesystemDriver(StorageDriver):
    """One setting: `root`, the folder. It is made when the first object comes."""

    name: ClassVar[str] = "filesystem"

    def __init__(self, root: str) -> None:
        self._root = os.path.abspath(root)
        self._staging = os.path.join(self._root, "staging")
        self._directories = DurableDirectories(self._root)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="filesystem")

    @classmethod
    def from_settings(cls, settings: Mapping[str, object]) -> "FilesystemDriver":
        for key in settings:
            if key != "root":
                raise ValueError(f"the filesystem driver has no setting {key!r}; it takes `root`")
        root = settings.get("root")
        if not isinstance(root, str | os.PathLike) or not os.fspath(root):
            raise ValueError("the filesystem driver needs `root`, the folder where objects are kept")
        return cls(os.fsdecode(root))

    async def begin(self) -> Upload:
        return Upload(0, {"token": secrets.token_hex(16)})

    async def append(
        self,
        upload: Upload,
        runs: AsyncIterable[Run],
        observe: Observer | None = None,
        *,
        durable: bool = True,
    ) -> Upload:
        """While a run is written and observed in a thread, the next one is received; a lazy one is received
        by that thread itself.

        Runs that are too small to be worth a thread are gathered; the last one is written in the same
        hop as it is synced.
        """
        staged = StagedFile(self._staged_path(upload), upload.offset, self._directories, observe)
        broken: BaseException | None = None
        flight: asyncio.Future[None] | None = None
        held: list[bytes] = []
        size = 0
        try:
            async for run in runs:
                lazy: Run = ()
                if isinstance(run, Sequence):
                    held += run
                    size += sum(map(len, run))
                    if size < _RUN:
                        continue
                else:
                    lazy = run
                if flight is not None:
                    await asyncio.wait((flight,))
                    if flight.exception() is not None:
                        break
                flight, held, size = self._start(staged.write, held, lazy), [], 0
                if lazy:
                    await asyncio.wait((flight,))
        except (Exception, CancelledError) as error:  # noqa: BLE001 - it goes on as the cause of Interrupted
            broken = error
        if flight is not None:
            broken = await settled(flight) or broken
        if flight is None and not size:  # nothing came
            end = upload.offset
        elif flight is None and size <= _SMALL and not durable and broken is None:
            if observe is not None:
                observe(held)
            return Upload(upload.offset + size, {**upload.state, UNSYNCED: 1}, held)
        else:
            try:
                if flight is not None:
                    flight.result()
                # What breaks off will be resumed, so it has to be durable now.
                finish = self._start(staged.finish, held, durable or broken is not None)
                broken = await settled(finish) or broken
                end = finish.result()
            except (OSError, StorageError) as error:
                failure = _translated(error, "the staged object")
                if isinstance(broken, CancelledError):
                    raise broken from failure
                raise failure from error
        if broken is not None:
            raise Interrupted(Upload(end, upload.state)) from broken
        return Upload(end, upload.state if durable else {**upload.state, UNSYNCED: 1})

    async def commit(self, upload: Upload, digest: str) -> str:
        staged = self._staged_path(upload)
        location = self._location(upload, digest)
        await self._hop("the staged object", self._commit, staged, self._path(location), upload)
        return location

    async def recover(self, upload: Upload, digest: str) -> str:
        staged = self._staged_path(upload)
        location = self._location(upload, digest)
        await self._hop(location, self._recover, staged, self._path(location))
        return location

    def _recover(self, staged: str, final: str) -> None:
        os.stat(final)
        self._sync_names(staged, final, unsynced=False)

    @staticmethod
    def _location(upload: Upload, digest: str) -> str:
        if (parts := _DIGEST.fullmatch(digest)) is None:
            raise ValueError(f"{digest!r} is no digest")
        algorithm, encoded = parts.groups()
        return f"blobs/{algorithm}/{encoded[:2]}/{encoded}.{upload.state['token']}"

    def _commit(self, staged: str, final: str, upload: Upload) -> None:
        unsynced = UNSYNCED in upload.state
        offset = upload.offset - sum(map(len, upload.unwritten))
        try:
            if upload.unwritten and not offset:
                self._directories.ensure(self._staging)
            descriptor = open_alone(staged, create=bool(upload.unwritten) and not offset)
        except FileNotFoundError:
            if not upload.unwritten and file_size(final) == offset:
                # An earlier commit of these very bytes came so far, though perhaps not to the syncs.
                self._sync_names(staged, final, unsynced)
                return
            if offset or os.path.exists(final):
                raise
            self._directories.ensure(self._staging)
            descriptor = open_alone(staged, create=True)
        try:
            cut = cut_back(descriptor, offset)
            write_at(descriptor, upload.unwritten, offset)
            if cut or unsynced or not offset:
                os.fsync(descriptor)
            self._directories.ensure(os.path.dirname(final))
            failpoint(READY)
            if os.path.exists(final):  # somebody appended once more after the commit: void
                os.unlink(staged)
            else:
                self._rename(staged, final)
            failpoint(RENAMED)
            self._sync_names(staged, final, unsynced)
        finally:
            os.close(descriptor)

    def _rename(self, staged: str, final: str) -> None:
        try:
            os.rename(staged, final)
        except FileNotFoundError:  # somebody tidied an empty folder away
            self._directories.forget(os.path.dirname(final))
            self._directories.ensure(os.path.dirname(final))
            os.rename(staged, final)

    def _sync_names(self, staged: str, final: str, unsynced: bool) -> None:
        self._directories.ensure(os.path.dirname(final))
        sync_directory(os.path.dirname(final))
        failpoint(COMMITTED)
        if not unsynced:  # else the old name never had to be on the disk, and what is left of it does no harm
            sync_directory(os.path.dirname(staged))

    async def abort(self, upload: Upload) -> None:
        """Not synced: a file that a power cut brings back belongs to no session."""
        try:
            await self._hop("the staged object", os.unlink, self._staged_path(upload))
        except NotFound:
            return

    async def stat(self, location: str) -> Stat:
        found = await self._hop(location, os.stat, self._path(location))
        if not stat.S_ISREG(found.st_mode):
            raise NotFound(f"{location!r} is no object")
        return Stat(found.st_size, found.st_mtime)

    async def read(self, location: str, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        reader = _Reader(self._path(location), start, stop)
        try:
            while chunk := await self._hop(location, reader.step):
                yield chunk
        finally:
            if reader.is_open:
                self._threads.submit(reader.close)  # of a deleted file this frees the blocks: slow

    async def locate(self, location: str, client: str = "") -> LocalFile:
        """No I/O: whoever opens the file sees whether it is there."""
        return LocalFile(self._path(location))

    async def delete(self, location: str) -> None:
        await self.delete_many((location,))

    async def delete_many(self, locations: Collection[str]) -> None:
        """In one thread; each folder is synced once. Raises Unavailable if the folder is not there in which
        they all lie, as on a volume that is not mounted: nothing says then that they are gone."""
        paths = {}
        for location in locations:
            with suppress(NotFound):
                paths[self._path(location)] = location
        await self._hop("an object", self._delete, paths)

    def _delete(self, paths: Mapping[str, str]) -> None:
        remove_files(list(paths))
        for top in {location.split("/")[0] for location in paths.values() if "/" in location}:
            if not os.path.isdir(os.path.join(self._root, top)):
                raise Unavailable(f"the store has no folder {top}: is its volume mounted?")

    async def scan(self) -> AsyncIterator[Object]:
        for folder in await self._hop("blobs", object_folders, self._root):
            for found in await self._hop(folder, objects_in, self._root, folder):
                yield found

    async def files(self, under: str) -> AsyncIterator[Object]:
        found = files_below(self._root, self._path(under))
        batch: list[Object]
        while batch := await self._hop(under, list, islice(found, _FILES)):
            for one in batch:
                yield one

    async def sweep(self, before: float, uploads: Collection[Upload]) -> int:
        """Not synced, as in `abort`: what a power cut brings back is swept another time."""
        known = {upload.state.get("token") for upload in uploads}
        try:
            return await self._hop("staging", self._sweep, before, known)
        except NotFound:
            return 0

    def _sweep(self, before: float, known: Collection[object]) -> int:
        count = 0
        with os.scandir(self._staging) as entries:
            for entry in entries:
                if entry.name in known or not _TOKEN.fullmatch(entry.name):
                    continue
                with suppress(FileNotFoundError):  # committed or aborted since the folder was listed
                    if entry.stat(follow_symlinks=False).st_mtime < before:
                        os.unlink(entry.path)
                        count += 1
        return count

    async def aclose(self) -> None:
        await asyncio.to_thread(self._threads.shutdown)

    def _staged_path(self, upload: Upload) -> str:
        token = str(upload.state.get("token"))
        if not _TOKEN.fullmatch(token):
            raise NotFound("the state of this upload is not one of the filesystem driver")
        return os.path.join(self._staging, token)

    def _path(self, location: str) -> str:
        """The file at a location. NotFound for what leads elsewhere: no such object is kept here."""
        parts = location.split("/")
        if parts[0] == "staging" or {"", ".", ".."}.intersection(parts) or not location.isprintable():
            raise NotFound(f"{location!r} is not a location in this store")
        return os.path.join(self._root, location)

    def _start(self, step: Callable[..., T], *arguments: object) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._threads, step, *arguments)

    async def _hop(self, what: str, step: Callable[..., T], *arguments: object) -> T:
        """Run a blocking step in a thread. Being cancelled waits for it: a thread can't be stopped."""
        future = self._start(step, *arguments)
        cancelled = await settled(future)
        if cancelled is not None:
            raise cancelled from future.exception()
        try:
            return future.result()
        except OSError as error:
            raise _translated(error, what) from error


class _Reader:
    """An open object, read step by step, each in whichever thread is free."""

    def __init__(self, path: str, start: int, stop: int | None) -> None:
        self._path = path
        self._position = start
        self._stop = stop
        self._descriptor = -1

    @property
    def is_open(self) -> bool:
        return self._descriptor >= 0

    def step(self) -> bytes:
        """The next bytes; none at the end, where the file is closed."""
        if not self.is_open:
            self._descriptor = os.open(self._path, os.O_RDONLY)
        if self._stop is None:
            self._stop = os.fstat(self._descriptor).st_size
        wanted = min(_READ, self._stop - self._position)
        chunk = os.pread(self._descriptor, wanted, self._position) if wanted > 0 else b""
        if wanted > 0 and not chunk:
            raise Unavailable(f"the object ends at {self._position}, before {self._stop}")
        self._position += len(chunk)
        if not chunk:
            self.close()
        return chunk

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        os.close(descriptor)


def _translated(error: OSError | StorageError, what: str) -> StorageError:
    """An error of the operating system as one of the protocol."""
    if isinstance(error, StorageError):
        return error
    if error.errno in GONE:
        return NotFound(f"{what} is not there")
    if error.errno in _FULL:
        return NoSpace(f"no room: {error.strerror}")
    failure = Defective if error.errno == errno.EIO else Unavailable
    return failure(f"the file system fails: {error.strerror}")
