"""Files of JSON lines, as backups and the journal are kept: compressed, with a beginning and an end.

The first line is an object that says what the file is; the last one counts those between and has the SHA-256
of all bytes before it. A file that ends early or was changed is never taken for a whole one.
"""

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping
from typing import IO, Any

from registry.oci.errors import Conflict

FORMAT = 1

LONGEST_LINE = 64 * 1024 * 1024
"""Bytes; a manifest of 4 MiB takes 6 MiB."""


class BadArchive(Conflict):
    """The file is not what it should be, or not all of it."""


class ArchiveWriter:
    """Writes a file. `kind`: `backup` or `journal`; `beginning`: more for its first line.

    Call `end` once, or the file is none.
    """

    def __init__(self, file: IO[bytes], kind: str, beginning: Mapping[str, Any]) -> None:
        # Without a time: what was written twice is the same twice. The name is for people who find the file.
        self._file = gzip.GzipFile(f"entrepot-{kind}", "wb", 6, file, mtime=0)
        self._hash = hashlib.sha256()
        self.lines = 0
        self._write({"entrepot": kind, "format": FORMAT, **beginning})

    def line(self, value: object) -> None:
        """Add a line."""
        self._write(value)
        self.lines += 1

    def end(self, **more: object) -> None:
        """Add the last line, with what is to be told beside the sum."""
        self._write({"lines": self.lines, **more, "sha256": self._hash.hexdigest()})
        self._file.close()

    def _write(self, value: object) -> None:
        line = json.dumps(value, separators=(",", ":")).encode() + b"\n"
        self._hash.update(line)
        self._file.write(line)


class Archive:
    """A file that is read. It must be at its beginning."""

    def __init__(self, file: IO[bytes], kind: str) -> None:
        """Read the first line, `beginning`. Raises BadArchive."""
        self._file = gzip.GzipFile(fileobj=file, mode="rb")
        self._kind = kind
        self._hash = hashlib.sha256()
        self._lines = 0
        beginning = self._line()
        if not isinstance(beginning, dict) or beginning.get("entrepot") != kind:
            raise BadArchive(f"this is no {kind} of Entrepot")
        if beginning.get("format") != FORMAT:
            raise BadArchive(
                f"this {kind} has the format {beginning.get('format')}; this version reads {FORMAT} only"
            )
        self.beginning: Mapping[str, Any] = beginning
        self.end: Mapping[str, Any] = {}
        """The last line, when all others were read."""

    def __iter__(self) -> Iterator[Any]:
        """The lines between the first and the last one. Raises BadArchive, at the end at the latest."""
        before, value = self._hash.hexdigest(), self._line()
        while True:
            after = self._hash.hexdigest()
            following = self._line(at_end=True)
            if following is None:
                break
            yield value
            self._lines += 1
            before, value = after, following
        told = (value.get("sha256"), value.get("lines")) if isinstance(value, dict) else None
        if told != (before, self._lines):
            raise BadArchive(f"the {self._kind} is damaged: its end does not fit what is before it")
        self.end = value

    def _line(self, *, at_end: bool = False) -> Any:
        """None at the end, where that may be."""
        try:
            line = self._file.readline(LONGEST_LINE)
            self._hash.update(line)
            if not line and at_end:
                return None
            if not line.endswith(b"\n"):
                raise BadArchive(f"the {self._kind} ends too early")
            return json.loads(line)
        except (OSError, EOFError, zlib.error, ValueError) as error:
            if isinstance(error, OSError) and not isinstance(error, gzip.BadGzipFile):
                raise
            raise BadArchive(f"the {self._kind} is damaged: {error}") from error


def verify(file: IO[bytes], kind: str) -> Archive:
    """Read a file to its end, and leave it at its beginning: its first and last line. Raises BadArchive."""
    file.seek(0)
    archive = Archive(file, kind)
    for _ in archive:
        pass
    file.seek(0)
    return archive
