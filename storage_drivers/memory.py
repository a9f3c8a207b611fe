"""Objects in the memory of one process: for tests and for registries that may forget."""

import asyncio
import secrets
import time
from asyncio import CancelledError
from collections.abc import AsyncIterable, AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from storage_drivers.base import (
    Interrupted,
    NotFound,
    Object,
    Observer,
    Run,
    Stat,
    StorageDriver,
    Unavailable,
    Upload,
)

_STEP = 1 << 20


@dataclass(slots=True)
class _Staged:
    content: bytearray = field(default_factory=bytearray)
    modified: float = field(default_factory=time.time)


@dataclass(frozen=True, slots=True)
class _Committed:
    content: bytes
    modified: float


class MemoryDriver(StorageDriver):
    """Takes no settings. Every instance is a store of its own, gone with the process."""

    name: ClassVar[str] = "memory"
    shared: ClassVar[bool] = False

    def __init__(self) -> None:
        self._staged: dict[str, _Staged] = {}
        self._committed: dict[str, _Committed] = {}

    @classmethod
    def from_settings(cls, settings: Mapping[str, object]) -> "MemoryDriver":
        for key in settings:
            raise ValueError(f"the memory driver has no setting {key!r}; it takes none")
        return cls()

    async def begin(self) -> Upload:
        token = secrets.token_hex(16)
        self._staged[token] = _Staged()
        return Upload(0, {"token": token})

    async def append(
        self,
        upload: Upload,
        runs: AsyncIterable[Run],
        observe: Observer | None = None,
        *,
        durable: bool = True,
    ) -> Upload:
        staged = self._staged_up_to_offset(upload)
        staged.modified = time.time()
        try:
            async for run in runs:
                buffers = run if isinstance(run, Sequence) else await asyncio.to_thread(list, run)
                if observe is not None:
                    observe(buffers)
                for buffer in buffers:
                    staged.content += buffer
        except (Exception, CancelledError) as error:
            raise Interrupted(Upload(len(staged.content), upload.state)) from error
        return Upload(len(staged.content), upload.state)

    async def commit(self, upload: Upload, digest: str) -> str:
        location = f"{digest}.{upload.state.get('token')}"
        if location not in self._committed:
            content = bytes(self._staged_up_to_offset(upload).content)
            self._committed[location] = _Committed(content, time.time())
            await self.abort(upload)
        return location

    async def recover(self, upload: Upload, digest: str) -> str:
        location = f"{digest}.{upload.state.get('token')}"
        self._object(location)
        return location

    async def abort(self, upload: Upload) -> None:
        self._staged.pop(str(upload.state.get("token")), None)

    async def stat(self, location: str) -> Stat:
        found = self._object(location)
        return Stat(len(found.content), found.modified)

    async def read(self, location: str, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        content = self._object(location).content
        end = len(content) if stop is None else stop
        for position in range(start, min(end, len(content)), _STEP):
            yield content[position : min(position + _STEP, end)]
        if end > len(content):
            raise Unavailable(f"the object at {location!r} ends at {len(content)}, before {end}")

    async def locate(self, location: str, client: str = "") -> None:
        return None

    async def delete(self, location: str) -> None:
        self._committed.pop(location, None)

    async def scan(self) -> AsyncIterator[Object]:
        for location, found in list(self._committed.items()):
            yield Object(location, len(found.content), found.modified)

    async def sweep(self, before: float, uploads: Collection[Upload]) -> int:
        known = {upload.state.get("token") for upload in uploads}
        lost = [
            token for token, found in self._staged.items() if found.modified < before and token not in known
        ]
        for token in lost:
            del self._staged[token]
        return len(lost)

    def _object(self, location: str) -> _Committed:
        try:
            return self._committed[location]
        except KeyError:
            raise NotFound(f"there is no object at {location!r}") from None

    def _staged_up_to_offset(self, upload: Upload) -> _Staged:
        """The staged bytes, cut back to the offset that the upload records."""
        staged = self._staged.get(str(upload.state.get("token")))
        if staged is None or len(staged.content) < upload.offset:
            raise NotFound("there is no such staged object")
        del staged.content[upload.offset :]
        return staged
