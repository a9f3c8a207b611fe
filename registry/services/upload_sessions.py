"""What an upload is made of while it runs: the session as its client sees it, a body, and a held session."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from registry.index.uploads import UploadRow
from registry.oci.errors import SizeInvalid, Unavailable
from registry.services.hashing import RunningHash
from storage_drivers import Run, Upload

Runs = AsyncGenerator[Run]


@dataclass(frozen=True, slots=True)
class Session:
    """An upload session as its client sees it: `offset` bytes are kept."""

    id: str
    offset: int


@dataclass(frozen=True, slots=True)
class Body:
    """The bytes of one request. `start` is where they belong. `length` is how many are announced, where the
    runs could be more or fewer; such runs are sequences."""

    runs: Runs
    start: int | None = None
    length: int | None = None

    async def checked(self) -> Runs:
        """The runs. Raises SizeInvalid when they are not as many bytes as announced.

        To be closed by whoever asks for them: a body that is not wanted to its end must be told so at once.
        """
        received = 0
        async with aclosing(self.runs) as runs:
            async for run in runs:
                if self.length is not None:
                    received += sum(map(len, run))
                    if received > self.length:
                        raise SizeInvalid(f"Content-Range announces {self.length} bytes, but more came")
                yield run
        if self.length is not None and received != self.length:
            raise SizeInvalid(f"Content-Range announces {self.length} bytes, but {received} came")


@dataclass(slots=True)
class Held:
    """A session that this request adds to: the row as the index shall have it, and the hash, if known."""

    row: UploadRow
    running: RunningHash | None
    ended: bool = False

    @property
    def upload(self) -> Upload:
        return Upload(self.row.offset, self.row.state)

    def digest_of(self, upload: Upload) -> str | None:
        """The digest of all bytes up to the upload's offset, if it is known without reading them again."""
        if self.running is not None and self.running.count == upload.offset:
            return self.running.digest()
        return self.row.prefix_digest if upload.offset == self.row.offset else None

    def advance(self, upload: Upload) -> None:
        grown = upload.offset != self.row.offset
        self.row = self.row._replace(
            offset=upload.offset,
            state=upload.state,
            prefix_digest=None if grown else self.row.prefix_digest,
        )


class StagedBytesGone(Unavailable):
    """The bytes of an upload are not staged any more."""

    def __init__(self) -> None:
        super().__init__("the bytes of this upload are gone")
