"""The protocol between the registry and the place where blob bytes live.

A driver keeps *objects*: immutable byte strings, each at a *location* that the driver chooses when the
object is committed. A location is written once: never overwritten, renamed or used again, so that the
index can point to it without asking again. docs/storage-drivers.md tells how to write a driver.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from dataclasses import dataclass, field
from typing import ClassVar

JsonValue = str | int | None

DELETIONS_AT_ONCE = 4
"""Of one `delete_many`, where a driver has no better way."""

Run = Iterable[bytes]
"""Some of an object's bytes. A sequence has them at hand. Anything else is *lazy*: it receives them while
it is iterated, which blocks. So it is iterated once, in a worker thread, and to its end before the next
run is asked for."""

Observer = Callable[[Sequence[bytes]], None]
"""Called with each run of buffers, in order, in the thread that stores it: so bytes that are also
hashed cross to a thread once. What it saw counts only if `append` returns or raises `Interrupted`."""


class StorageError(Exception):
    """What a driver raises; never a vendor's own exception."""


class NotFound(StorageError):
    """There is no such object, or no such staged object."""


class NoSpace(StorageError):
    """The medium is full, or a quota or file size limit is reached. Room may be made."""


class Unavailable(StorageError):
    """The medium does not answer or answers with an error; the same call may work later.

    `retry_after`: the seconds after which it wants to be asked again, if it said so.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Defective(Unavailable):
    """The medium says that it is broken at this place, as a disk does of a bad sector. The scrub takes an
    object that it can't read for this reason for lost, if others can be read."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A staged object between `begin` and `commit`.

    It is all that a driver needs to carry on, in this process or in another one on another machine, and
    it goes through JSON unchanged. `offset` is the number of bytes that are durable; a driver ignores
    (and may overwrite) whatever lies past it.

    `unwritten` is the exception, and never stored: the last of these bytes, which a driver may leave to
    the commit that follows an append with `durable=False`.
    """

    offset: int = 0
    state: Mapping[str, JsonValue] = field(default_factory=dict)
    unwritten: Sequence[bytes] = ()


@dataclass(frozen=True, slots=True)
class Stat:
    """`size` in bytes, `modified` in seconds since the epoch."""

    size: int
    modified: float


@dataclass(frozen=True, slots=True)
class Object:
    """One object found by `scan`."""

    location: str
    size: int
    modified: float


@dataclass(frozen=True, slots=True)
class LocalFile:
    """The object is this whole file, and the process may open and send it."""

    path: str


@dataclass(frozen=True, slots=True)
class SignedUrl:
    """The object can be had from this URL by whoever has the URL, until it expires."""

    url: str


class StorageDriver(ABC):
    """One medium. Instances are made inside a running event loop and used from that loop only."""

    name: ClassVar[str]
    """How configuration names the driver: the name of its entry point."""

    shared: ClassVar[bool] = True
    """Whether several processes with the same settings see the same objects."""

    url_seconds: float = 0.0
    """How long a URL of `locate` is good: for so long, at least, the registry keeps what it has no row of."""

    @classmethod
    @abstractmethod
    def from_settings(cls, settings: Mapping[str, object]) -> "StorageDriver":
        """Make a driver from its own table of the configuration.

        Raises ValueError, naming the setting, for one that is unknown, missing or wrong.
        """

    @abstractmethod
    async def begin(self) -> Upload:
        """Open a staged object of no bytes."""

    @abstractmethod
    async def append(
        self,
        upload: Upload,
        runs: AsyncIterable[Run],
        observe: Observer | None = None,
        *,
        durable: bool = True,
    ) -> Upload:
        """Add `runs` (runs of buffers) at `upload.offset` and make them durable.

        With `durable=False` the caller will commit or abort next, and remembers nothing before that: the
        driver may leave it to `commit` to make everything durable at once.

        Whatever an earlier, failed append left past the offset is void. When `runs` raises, what came
        before is kept: it is made durable and the error goes on as the `__cause__` of `Interrupted`,
        whose `upload` tells how far it came. Being cancelled is no different: see `Interrupted`.

        Raises NotFound (see `commit`), NoSpace and Unavailable. Then nothing was added, and `upload` is
        good for another try. May do nothing at all when there are no bytes to add.
        """

    @abstractmethod
    async def commit(self, upload: Upload, digest: str) -> str:
        """Make the staged object a readable, durable one, and return its location.

        Idempotent: a second commit of the same bytes, also after a crash, returns the same location.
        `digest` (`algorithm:encoded`) may serve to name the object; the driver does not verify it.
        Raises NotFound when the upload is unknown or was aborted. But `begin` need not touch the medium,
        which then knows nothing of an upload until it gets a byte: such a one may count as known.
        """

    @abstractmethod
    async def recover(self, upload: Upload, digest: str) -> str:
        """The location of an object that an earlier commit of this upload made under this digest, durably.

        For a caller that died between that commit and its note of it. It may hold other bytes than
        `upload` tells: whoever asks reads them. Raises NotFound if there is none.
        """

    @abstractmethod
    async def abort(self, upload: Upload) -> None:
        """Forget a staged object. Idempotent; without effect on a committed one."""

    @abstractmethod
    async def stat(self, location: str) -> Stat:
        """Size and time of an object. Raises NotFound."""

    @abstractmethod
    def read(self, location: str, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` up to, not including, `stop` (None: to the end).

        Raises NotFound at the first step, and Unavailable if the object ends before `stop`: a short
        read is never passed off as a whole one.
        """

    @abstractmethod
    async def locate(self, location: str, client: str = "") -> LocalFile | SignedUrl | None:
        """The fast way out for a whole object, if there is one for `client`, an address, as far as it is
        known. Raises NotFound if it is cheap to know."""

    @abstractmethod
    async def delete(self, location: str) -> None:
        """Remove an object for good, durably. Idempotent. Readers that are on it finish undisturbed."""

    async def delete_many(self, locations: Collection[str]) -> None:
        """Remove objects as `delete` does, those that are gone already included.

        All are tried. If some can't be removed, the first error is raised at the end: which ones they are is
        not told, so whoever wants them gone asks again for all.
        """
        left = iter(locations)
        errors: list[StorageError] = []

        async def delete_those_left() -> None:
            for location in left:
                try:
                    await self.delete(location)
                except StorageError as error:
                    errors.append(error)

        async with asyncio.TaskGroup() as deleting:
            for _ in range(min(DELETIONS_AT_ONCE, len(locations))):
                deleting.create_task(delete_those_left())
        if errors:
            raise errors[0]

    @abstractmethod
    def scan(self) -> AsyncIterator[Object]:
        """Every object, in any order. Staged ones are left out."""

    @abstractmethod
    async def sweep(self, before: float, uploads: Collection[Upload]) -> int:
        """Remove staged bytes that nobody knows any more, as a process that is killed leaves them; how many
        things that were.

        `before`: seconds since the epoch; what is staged since then stays. So does what belongs to one of
        `uploads`: all that have begun and not ended.
        """

    async def check(self) -> None:  # noqa: B027 - most media need no look before
        """Raise ValueError if the medium says that it can't work as it is set up; asked once, at the start.

        A medium that does not answer may do so later: Unavailable.
        """

    async def aclose(self) -> None:  # noqa: B027 - most drivers hold nothing
        """Let go of connections and threads."""


class Interrupted(StorageError):
    """The bytes to append ended with an error, the `__cause__`; `upload` holds what was kept.

    The cause may be a CancelledError: a task that is cancelled in `append` learns in this way how far it
    came. It notes that and then raises the cause, so that the cancellation goes on its way.
    """

    def __init__(self, upload: Upload) -> None:
        super().__init__(f"the bytes to append broke off at offset {upload.offset}")
        self.upload = upload
