"""Reading an object, piece by piece. A connection that breaks is replaced, and the reading goes on."""

from collections.abc import AsyncGenerator
from typing import Any

from botocore.exceptions import ClientError

from storage_drivers.base import NotFound, StorageError, Unavailable
from storage_drivers.s3_bucket import Bucket
from storage_drivers.s3_client import FAILURES, code_of, translated

PIECE = 512 * 1024


class Reading:
    """The bytes of an object from `start` up to `stop` (None: to its end)."""

    def __init__(self, bucket: Bucket, key: str, start: int, stop: int | None) -> None:
        self._bucket = bucket
        self._key = key
        self._position = start
        self._stop = stop
        self._etag = ""
        self._answer: Any = None

    async def pieces(self) -> AsyncGenerator[bytes]:
        """Raises NotFound, and Unavailable if the object ends before `stop`."""
        if self._stop is not None and self._stop <= self._position:
            await self._bucket.stat(self._key)
            return
        failures = 0
        try:
            while True:
                try:
                    piece = await self._bucket.client.in_thread(self._step)
                except FAILURES as error:
                    failures += 1
                    self._close()
                    if not await self._bucket.client.again(failures, error):
                        raise self._failure(error) from error
                    continue
                if not piece:
                    break
                failures = 0
                yield piece
        finally:
            self._close()
        if self._stop is not None and self._position < self._stop:
            raise Unavailable(f"{self._key} ends at {self._position}, before {self._stop}")

    def _failure(self, error: Exception) -> StorageError:
        failure = translated(error, f"get_object {self._key}")
        if isinstance(failure, NotFound) and self._etag:  # some of it was read already
            return Unavailable(f"{self._key} was deleted while it was read")
        return failure

    def _step(self) -> bytes:
        """The next piece; empty at the end."""
        if self._answer is None:
            try:
                self._answer = self._bucket.open(self._key, self._position, self._stop, self._etag)
            except ClientError as error:
                if code_of(error) in ("InvalidRange", "416"):  # it begins where the object ends, or behind
                    return b""
                raise
            self._check_place()
        piece: bytes = self._answer["Body"].read(PIECE)
        self._position += len(piece)
        return piece

    def _check_place(self) -> None:
        """What the server sends must be what was asked for, of the object that it began with."""
        self._etag = self._answer.get("ETag", "")
        span = self._answer.get("ContentRange", "")
        begins = span.removeprefix("bytes ").partition("-")[0]
        if self._position and begins != str(self._position):
            raise Unavailable(f"{self._key}: asked for bytes from {self._position}, got {span or 'all'}")

    def _close(self) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer["Body"].close()
