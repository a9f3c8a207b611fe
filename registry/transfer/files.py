"""Where layouts and archives lie: a folder, or a tar file that is read in place. Nothing is ever unpacked."""

import asyncio
import gzip
import os
import shutil
import tarfile
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Protocol, cast

from registry.oci.quoting import quoted
from registry.transfer.content import Pieces
from registry.transfer.errors import Damaged, Missing, TransferError

PIECE_BYTES = 1024 * 1024
LARGEST_HEADER = 64 * 1024
"""Bytes of an extended header of a tar archive; tarfile reads it into memory."""
MOST_MEMBERS = 50_000
MOST_LINKS = 8
GZIP = b"\x1f\x8b"


class Readable(Protocol):
    """Reads on from where it is; no bytes at the end."""

    def read(self, size: int, /) -> bytes: ...

    def close(self) -> None: ...


class Files(Protocol):
    """Files by their names, which have slashes and are relative. `where` is for messages."""

    where: str

    def size(self, name: str) -> int | None:
        """Bytes; None if there is no such file."""
        ...

    def open(self, name: str, offset: int) -> Readable:
        """Where the file can be read from an offset to its end. Raises TransferError."""
        ...


async def pieces(files: Files, name: str, offset: int) -> Pieces:
    """The bytes of a file from an offset on. Raises TransferError."""
    file = files.open(name, offset)  # not in a thread: whoever is cancelled would not get what to close
    try:
        while piece := await asyncio.to_thread(_read, file, files.where, name):
            yield piece
    finally:
        file.close()


async def whole(files: Files, name: str, limit: int) -> bytes:
    """A small file. Raises Missing, and Damaged for one that has more bytes than `limit`."""
    size = await asyncio.to_thread(files.size, name)
    if size is None:
        raise Missing(f"{files.where} holds no {name}")
    if size > limit:
        raise Damaged(f"{files.where}: {name} has {size} bytes, and should have {limit} at most")
    data = bytearray()
    async for piece in pieces(files, name, 0):
        data += piece
    return bytes(data)


def _read(file: Readable, where: str, name: str) -> bytes:
    try:
        return file.read(PIECE_BYTES)
    except OSError as error:
        raise TransferError(f"{where}: {name} can't be read: {error.strerror}") from error


class Folder:
    """A folder. Links in it are not followed."""

    def __init__(self, path: Path) -> None:
        self.where = str(path)
        self._path = path

    def size(self, name: str) -> int | None:
        """See Files.size."""
        path = self._path / name
        return path.stat().st_size if path.is_file() and not path.is_symlink() else None

    def open(self, name: str, offset: int) -> Readable:
        """See Files.open."""
        try:
            descriptor = os.open(self._path / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            raise Missing(f"{self.where} holds no {name}") from None
        except OSError as error:
            raise TransferError(f"{self.where}: {name} can't be read: {error.strerror}") from error
        file = os.fdopen(descriptor, "rb")
        file.seek(offset)
        return file


class Archive:
    """A tar file, compressed by gzip or not. A context manager.

    Its members are looked up once; what they hold is read where it lies. Refused are names that lead out of
    the archive, names that occur twice, hard links, sparse files, and headers of unreasonable size.
    """

    def __init__(self, path: Path) -> None:
        """Raises TransferError."""
        self.where = str(path)
        self._stack = ExitStack()
        try:
            self._file: IO[bytes] = self._stack.enter_context(path.open("rb"))
            if self._file.read(2) == GZIP:
                self._file = self._unpacked(self._file)
            self._file.seek(0)
            self._places, self._links = self._members()
        except OSError as error:
            self._stack.close()
            raise TransferError(f"{path} can't be read: {error.strerror or error}") from error
        except BaseException:
            self._stack.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._stack.close()

    def size(self, name: str) -> int | None:
        """See Files.size."""
        place = self._places.get(self._target(name))
        return None if place is None else place[1]

    def open(self, name: str, offset: int) -> Readable:
        """See Files.open."""
        place = self._places.get(self._target(name))
        if place is None:
            raise Missing(f"{self.where} holds no {name}")
        begin, size = place
        return _Span(self._file.fileno(), begin + min(offset, size), begin + size)

    def _target(self, name: str) -> str:
        """The name without the links on its way. Old engines save a layer that occurs twice as a link."""
        for _ in range(MOST_LINKS):
            if name not in self._links:
                return name
            name = self._links[name]
        raise Damaged(f"{self.where}: {quoted(name)} is a link to a link to a link")

    def _unpacked(self, compressed: IO[bytes]) -> IO[bytes]:
        """The tar file in a temporary file, since parts of a compressed one can't be read by themselves."""
        compressed.seek(0)
        unpacked = cast(IO[bytes], self._stack.enter_context(tempfile.TemporaryFile()))  # noqa: SIM115
        try:
            with gzip.open(compressed, "rb") as stream:
                shutil.copyfileobj(stream, unpacked, PIECE_BYTES)
            unpacked.flush()
        except EOFError as error:
            raise Damaged(f"{self.where} is cut off") from error
        return unpacked

    def _members(self) -> tuple[Mapping[str, tuple[int, int]], Mapping[str, str]]:
        """(offset, size) of each file by its name, and where each link leads."""
        places: dict[str, tuple[int, int]] = {}
        links: dict[str, str] = {}
        count, end = 0, 0
        try:
            with tarfile.open(
                fileobj=cast(IO[bytes], _Headers(self._file, self.where)), mode="r:"
            ) as archive:
                while (member := archive.next()) is not None:
                    count += 1
                    if count > MOST_MEMBERS:
                        raise Damaged(f"{self.where} has more than {MOST_MEMBERS} members")
                    if member.size < 0 or member.offset_data < end:
                        raise Damaged(f"{self.where}: {quoted(member.name)} has a size that can't be")
                    end = member.offset_data
                    name = self._name("", member.name, member.name)
                    if member.isdir():
                        continue
                    if name in places or name in links:
                        raise Damaged(f"{self.where} holds {quoted(name)} twice")
                    if member.issym():
                        links[name] = self._name(name.rpartition("/")[0], member.linkname, member.name)
                    elif member.isreg() and member.sparse is None:
                        places[name] = (member.offset_data, member.size)
                    else:
                        raise Damaged(f"{self.where}: {quoted(member.name)} is neither a file nor a folder")
        except (tarfile.TarError, RecursionError) as error:  # the latter for a chain of extended headers
            raise Damaged(f"{self.where} is no tar archive, or a damaged one: {error}") from error
        total = os.fstat(self._file.fileno()).st_size
        if any(begin + size > total for begin, size in places.values()):
            raise Damaged(f"{self.where} is cut off")
        return places, links

    def _name(self, folder: str, written: str, member: str) -> str:
        """A name as it is looked up, `written` in a folder. Raises Damaged if it leads out of the archive."""
        parts = folder.split("/") if folder else []
        for part in written.split("/"):
            if part == ".." and folder and parts:
                parts.pop()
            elif part == ".." or written.startswith("/"):
                raise Damaged(f"{self.where}: {quoted(member)} leads out of the archive")
            elif part not in ("", "."):
                parts.append(part)
        return "/".join(parts)


class _Headers:
    """A file as tarfile may read it while it looks for headers: never much at once."""

    def __init__(self, file: IO[bytes], where: str) -> None:
        self._file = file
        self._where = where
        self.tell = file.tell

    def seek(self, position: int) -> int:
        if position < 0:
            raise Damaged(f"{self._where} has a header with a size that can't be")
        return self._file.seek(position)

    def read(self, size: int) -> bytes:
        if not 0 <= size <= LARGEST_HEADER:
            raise Damaged(f"{self._where} has a header of {size} bytes")
        return self._file.read(size)


class _Span:
    """A part of a file, at a position of its own: several parts are read at once."""

    def __init__(self, descriptor: int, begin: int, end: int) -> None:
        self._descriptor = descriptor
        self._position = begin
        self._end = end

    def read(self, size: int) -> bytes:
        data = os.pread(self._descriptor, min(size, self._end - self._position), self._position)
        self._position += len(data)
        return data

    def close(self) -> None:
        """The file stays open, for others."""
