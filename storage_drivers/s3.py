"""Objects in a bucket of S3, or of anything that speaks like it. docs/s3.md tells how to set it up.

See `s3_parts` for what lies where. Any process carries on with any upload: what it needs is in the upload's
state and in the bucket.
"""

import asyncio
import ipaddress
import logging
import secrets
import time
from asyncio import CancelledError
from collections import OrderedDict
from collections.abc import AsyncIterable, AsyncIterator, Collection, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Any, ClassVar

from storage_drivers.base import (
    Interrupted,
    NotFound,
    Object,
    Observer,
    Run,
    SignedUrl,
    Stat,
    StorageDriver,
    StorageError,
    Upload,
)
from storage_drivers.s3_appending import Appending, Stopped
from storage_drivers.s3_bucket import Bucket
from storage_drivers.s3_budget import Budget
from storage_drivers.s3_buffers import Buffer, Unwritten
from storage_drivers.s3_client import WrongSettings
from storage_drivers.s3_committing import Committing, objects_of
from storage_drivers.s3_parts import PartPlan, Staged, is_location, place_of, segment_key, staged_token
from storage_drivers.s3_reading import Reading
from storage_drivers.s3_settings import S3Settings
from storage_drivers.threads import finished, settled

log = logging.getLogger(__name__)

RECEIVING_THREADS = 16
LONGEST_KEY = 1024
"""Bytes (S3, "object key naming")."""

REMEMBERED = 8192
"""Signed URLs, and uploads that began here."""


class S3Driver(StorageDriver):
    """Its settings: S3Settings."""

    name: ClassVar[str] = "s3"

    def __init__(self, settings: S3Settings) -> None:
        self._bucket = Bucket(settings)
        self.budget = Budget(settings.memory_bytes)
        self._plan = PartPlan(settings.part_bytes, settings.memory_bytes // 4, settings.equal_parts)
        self._threads = ThreadPoolExecutor(RECEIVING_THREADS, thread_name_prefix="s3-receiving")
        self._networks = settings.redirected_networks()
        self._redirect_seconds = settings.redirect_seconds
        self.url_seconds = settings.redirect_seconds if self._networks else 0.0
        self._urls: OrderedDict[str, tuple[str, float]] = OrderedDict()
        self._fresh: OrderedDict[str, None] = OrderedDict()
        self._later: set[asyncio.Task[object]] = set()

    @classmethod
    def from_settings(cls, settings: Mapping[str, object]) -> "S3Driver":
        return cls(S3Settings.parse(settings))

    async def check(self) -> None:
        try:
            await self._bucket.client.call("list_objects_v2", Prefix=self._bucket.name("blobs/"), MaxKeys=1)
        except WrongSettings as error:
            raise ValueError(str(error)) from error

    async def begin(self) -> Upload:
        """No request: S3 hears of an upload with its first part, segment or object."""
        token = secrets.token_hex(16)
        self._fresh[token] = None
        if len(self._fresh) > REMEMBERED:
            self._fresh.popitem(last=False)
        return Upload(0, Staged(token).state())

    async def append(
        self,
        upload: Upload,
        runs: AsyncIterable[Run],
        observe: Observer | None = None,
        *,
        durable: bool = True,
    ) -> Upload:
        staged = Staged.of(upload, upload.offset)
        appending = Appending(self._bucket, self.budget, self._plan, self._threads, staged, observe)
        # What the state before this one needed was noted as spent: no state that is noted needs it now.
        dropping = asyncio.create_task(self._drop(staged.token, staged.spent))
        broken: BaseException | None = None
        try:
            try:
                await appending.take(runs)
            except Stopped as error:
                broken = error.__cause__
            # What breaks off will be resumed, so it has to be durable now.
            last = appending.flush() if durable or broken is not None else appending.settle()
            _, cancelled = await finished(last)
            broken = cancelled or broken
        except BaseException as failure:
            _, cancelled = await finished(appending.give_up())
            broken = await settled(dropping) or cancelled or broken
            if isinstance(broken, CancelledError):
                raise broken from failure
            raise
        broken = await settled(dropping) or broken
        left = {*appending.staged.spent} - ({*staged.spent} - dropping.result())
        after = replace(appending.staged, spent=tuple(sorted(left)))
        if broken is not None:
            raise Interrupted(Upload(after.offset, after.state())) from broken
        buffer = appending.buffer
        if not buffer.count:
            return Upload(after.offset, after.state())
        return Upload(after.offset + buffer.count, after.state(), Unwritten(buffer))

    async def commit(self, upload: Upload, digest: str) -> str:
        buffer = upload.unwritten.buffer if isinstance(upload.unwritten, Unwritten) else Buffer(0)
        staged = Staged.of(upload, upload.offset - buffer.count)
        # Nobody can have committed what began here and comes whole: that saves small blobs a request.
        first = staged.token in self._fresh and not staged.offset and bool(buffer.count)
        self._fresh.pop(staged.token, None)
        try:
            committing = Committing(self._bucket, self.budget, staged, buffer)
            location, cancelled = await finished(committing.commit(first=first))
        finally:
            buffer.release()
        starts = {*staged.spent, *(start for start, _ in staged.segments())}
        self._do_later(self._drop(staged.token, starts))
        if cancelled is not None:
            raise cancelled
        return location

    async def recover(self, upload: Upload, digest: str) -> str:
        token = str(upload.state.get("token"))
        for found in await objects_of(self._bucket, Staged.of(Upload(0, {"token": token}), 0).token):
            return found.location
        raise NotFound("no commit of this upload has made an object")

    async def abort(self, upload: Upload) -> None:
        if isinstance(upload.unwritten, Unwritten):
            upload.unwritten.buffer.release()
        token = upload.state.get("token")
        try:
            Staged.of(Upload(0, {"token": token}), 0)
        except NotFound:
            return
        _, cancelled = await finished(self._abort(str(token), upload.state))
        if cancelled is not None:
            raise cancelled

    async def _abort(self, token: str, state: Mapping[str, str | int | None]) -> None:
        key, multipart = state.get("key"), state.get("multipart")
        if isinstance(key, str) and isinstance(multipart, str) and staged_token(key) == token:
            await self._bucket.end(key, multipart)
        async for begun in self._bucket.multiparts(place_of(token)):
            await self._bucket.end(begun.key, begun.id)
        async for segment in self._bucket.objects(segment_key(token, "")):
            await self._bucket.delete(segment.location)

    async def stat(self, location: str) -> Stat:
        return await self._bucket.stat(self._checked(location))

    async def read(self, location: str, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        async with aclosing(Reading(self._bucket, self._checked(location), start, stop).pieces()) as pieces:
            async for piece in pieces:
                yield piece

    async def locate(self, location: str, client: str = "") -> SignedUrl | None:
        """A URL whose object a browser saves and does not show. One that is remembered is good for half its
        time yet."""
        if not self._networks or not self._is_redirected(client):
            return None
        key = self._bucket.name(self._checked(location))
        url, until = self._urls.get(key, ("", 0.0))
        if until < time.monotonic():
            arguments = {
                "Key": key,
                "ResponseContentType": "application/octet-stream",
                "ResponseContentDisposition": "attachment",
            }
            url = await self._bucket.client.signed_url(self._redirect_seconds, arguments)
            self._urls[key] = url, time.monotonic() + self._redirect_seconds / 2
            self._urls.move_to_end(key)
            if len(self._urls) > REMEMBERED:
                self._urls.popitem(last=False)
        return SignedUrl(url)

    def _is_redirected(self, client: str) -> bool:
        try:
            address = ipaddress.ip_address(client)
        except ValueError:  # who is not known is sent away only if everybody is
            return any(network.prefixlen == 0 for network in self._networks)
        return any(address in network for network in self._networks)

    async def delete(self, location: str) -> None:
        try:
            key = self._checked(location)
        except NotFound:
            return
        _, cancelled = await finished(self._bucket.delete(key))
        if cancelled is not None:
            raise cancelled

    async def delete_many(self, locations: Collection[str]) -> None:
        """In requests of 1,000."""
        keys = []
        for location in locations:
            with suppress(NotFound):
                keys.append(self._checked(location))
        _, cancelled = await finished(self._bucket.delete_many(keys))
        if cancelled is not None:
            raise cancelled

    async def scan(self) -> AsyncIterator[Object]:
        async for found in self._bucket.objects("blobs/"):
            if is_location(found.location):
                yield found

    async def files(self, under: str) -> AsyncIterator[Object]:
        async for found in self._bucket.objects(f"{self._checked(under)}/"):
            yield found

    async def sweep(self, before: float, uploads: Collection[Upload]) -> int:
        known = {upload.state.get("token") for upload in uploads}
        count = 0
        async for begun in self._bucket.multiparts("blobs/"):
            if begun.begun < before and (token := staged_token(begun.key)) and token not in known:
                await self._bucket.end(begun.key, begun.id)
                count += 1
        async for found in self._bucket.objects("staging/"):
            token = staged_token(found.location)
            if found.modified < before and token and token not in known:
                await self._bucket.delete(found.location)
                count += 1
        return count

    async def aclose(self) -> None:
        await asyncio.gather(*self._later)
        await asyncio.to_thread(self._threads.shutdown)
        await self._bucket.aclose()

    def _checked(self, location: str) -> str:
        """A location that may be one. NotFound for what leads elsewhere, or is only staged."""
        parts = location.split("/")
        if (
            parts[0] == "staging"
            or {"", ".", ".."}.intersection(parts)
            or not location.isprintable()
            or len(self._bucket.name(location).encode()) > LONGEST_KEY
        ):
            raise NotFound(f"{location!r} is not a location in this store")
        return location

    async def _drop(self, token: str, starts: Collection[int]) -> set[int]:
        """Delete segments that nobody needs any more; those that could be."""
        dropped = set()
        for start in starts:
            try:
                await self._bucket.delete(segment_key(token, start))
                dropped.add(start)
            except StorageError as error:  # the next append tries again, and at last the sweep
                log.warning("a segment of an upload could not be deleted: %s", error)
        return dropped

    def _do_later(self, work: Coroutine[Any, Any, object]) -> None:
        """Work that nobody need wait for."""
        task = asyncio.create_task(work)
        self._later.add(task)
        task.add_done_callback(self._later.discard)
