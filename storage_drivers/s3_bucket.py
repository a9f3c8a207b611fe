"""What the driver asks of a bucket, below its prefix."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from storage_drivers.base import NotFound, Object, Stat, StorageError, Unavailable
from storage_drivers.s3_client import FAILURES, GONE, S3Client, passing
from storage_drivers.s3_settings import S3Settings

Body = bytes | bytearray
"""What is sent as one block, so that it is neither copied nor read in small pieces."""


KEYS_AT_ONCE = 1000
"""Of one request that deletes several (S3, DeleteObjects)."""


class Part(NamedTuple):
    number: int
    etag: str
    size: int


class Multipart(NamedTuple):
    """A multipart upload that has not ended. `begun` is in seconds since the epoch."""

    id: str
    key: str
    begun: float


class Bucket:
    """Keys are without the prefix. All raise NotFound, NoSpace and Unavailable."""

    def __init__(self, settings: S3Settings) -> None:
        self.client = S3Client(settings)
        self._prefix = settings.prefix
        self._encryption: dict[str, str] = {}
        if settings.sse:
            self._encryption["ServerSideEncryption"] = settings.sse
        if settings.sse_key:
            self._encryption["SSEKMSKeyId"] = settings.sse_key
        self._class = {"StorageClass": settings.storage_class} if settings.storage_class else {}

    def name(self, key: str) -> str:
        """The key with the prefix, as S3 has it."""
        return self._prefix + key

    async def put(self, key: str, body: Body, *, lasting: bool) -> None:
        """`lasting`: an object that stays, and so goes to the storage class that is set."""
        kind = {**self._encryption, **(self._class if lasting else {})}
        await self.client.call(
            "put_object", Key=self.name(key), Body=body, ContentType="application/octet-stream", **kind
        )

    async def stat(self, key: str) -> Stat:
        found = await self.client.call("head_object", Key=self.name(key))
        return Stat(found["ContentLength"], found["LastModified"].timestamp())

    async def get(self, key: str, start: int, into: memoryview) -> None:
        """Fill `into` with an object's bytes from `start` on. Raises Unavailable if there are fewer."""

        def fetch() -> None:
            answer = self.open(key, start, start + len(into))
            filled = 0
            try:
                while filled < len(into) and (piece := answer["Body"].read(1 << 20)):
                    into[filled : filled + len(piece)] = piece
                    filled += len(piece)
            finally:
                answer["Body"].close()
            if filled < len(into):
                raise Unavailable(f"{key} ends at {start + filled}, before {start + len(into)}")

        if len(into):
            await self.client.attempt(f"get_object {key}", fetch)

    def open(self, key: str, start: int, stop: int | None, etag: str = "") -> Any:
        """The answer to a GET; if an ETag is given, of that object alone. Blocks; raises FAILURES."""
        span = {"IfMatch": etag} if etag else {}
        if start or stop is not None:
            span["Range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
        return self.client.requests.get_object(Bucket=self.client.bucket, Key=self.name(key), **span)

    async def delete(self, key: str) -> None:
        """Also of what is not there."""
        try:
            await self.client.call("delete_object", Key=self.name(key))
        except NotFound:
            return

    async def delete_many(self, keys: Sequence[str]) -> None:
        """Also of what is not there. All are tried; then the first error is raised."""
        failures = []
        for start in range(0, len(keys), KEYS_AT_ONCE):
            try:
                await self._delete_at_once(keys[start : start + KEYS_AT_ONCE])
            except StorageError as error:
                failures.append(error)
        if failures:
            raise failures[0]

    async def _delete_at_once(self, keys: Sequence[str]) -> None:
        left = [self.name(key) for key in keys]

        def delete() -> None:
            nonlocal left
            answer = self.client.requests.delete_objects(
                Bucket=self.client.bucket,
                Delete={"Objects": [{"Key": name} for name in left], "Quiet": True},
            )
            # Its status is 200 whatever became of each key.
            refused = [entry for entry in answer.get("Errors", ()) if entry.get("Code") not in GONE]
            errors = [ClientError({"Error": entry}, "DeleteObjects") for entry in refused]
            if errors:
                left = [entry["Key"] for entry in refused]
                raise next(filter(passing, errors), errors[0])

        await self.client.attempt(f"delete_objects {keys[0]} and others", delete)

    async def objects(self, under: str) -> AsyncIterator[Object]:
        """Those whose keys start with `under`, page by page."""
        token: dict[str, str] = {}
        while True:
            page = await self.client.call("list_objects_v2", Prefix=self.name(under), **token)
            for entry in page.get("Contents", ()):
                key = entry["Key"].removeprefix(self._prefix)
                yield Object(key, entry["Size"], entry["LastModified"].timestamp())
            if not page.get("IsTruncated"):
                return
            token = {"ContinuationToken": page["NextContinuationToken"]}

    async def create(self, key: str) -> str:
        """Begin a multipart upload; its id."""
        tried: list[BaseException] = []

        def create() -> str:
            try:
                answer = self.client.requests.create_multipart_upload(
                    Bucket=self.client.bucket,
                    Key=self.name(key),
                    ContentType="application/octet-stream",
                    **self._encryption,
                    **self._class,
                )
            except FAILURES as error:
                tried.append(error)
                raise
            return str(answer["UploadId"])

        created = await self.client.attempt(f"create_multipart_upload {key}", create)
        if tried:  # one of those may have been carried out, and nobody would ever end it
            async for other in self.multiparts(key):
                if other.id != created:
                    await self.end(key, other.id)
        return created

    async def put_part(self, key: str, multipart: str, number: int, body: Body) -> str:
        """Its ETag."""
        answer = await self.client.call(
            "upload_part", Key=self.name(key), UploadId=multipart, PartNumber=number, Body=body
        )
        return str(answer["ETag"])

    async def parts(self, key: str, multipart: str) -> list[Part]:
        found: list[Part] = []
        marker: dict[str, int] = {}
        while True:
            page = await self.client.call("list_parts", Key=self.name(key), UploadId=multipart, **marker)
            found += [Part(part["PartNumber"], part["ETag"], part["Size"]) for part in page.get("Parts", ())]
            if not page.get("IsTruncated"):
                return found
            marker = {"PartNumberMarker": page["NextPartNumberMarker"]}

    async def see_multipart(self, key: str, multipart: str) -> None:
        """Raise NotFound if a multipart upload has ended."""
        await self.client.call("list_parts", Key=self.name(key), UploadId=multipart, MaxParts=1)

    async def complete(self, key: str, multipart: str, parts: Sequence[Part]) -> None:
        """Make an object of parts. When an earlier try was carried out and its answer lost, NotFound."""
        listed = [{"PartNumber": part.number, "ETag": part.etag} for part in parts]
        await self.client.call(
            "complete_multipart_upload",
            Key=self.name(key),
            UploadId=multipart,
            MultipartUpload={"Parts": listed},
        )

    async def end(self, key: str, multipart: str) -> None:
        """Forget a multipart upload and its parts; also one that is not there."""
        try:
            await self.client.call("abort_multipart_upload", Key=self.name(key), UploadId=multipart)
        except NotFound:
            return

    async def multiparts(self, under: str) -> AsyncIterator[Multipart]:
        """Multipart uploads to keys that start with `under`. Some servers (MinIO) find whole keys only."""
        markers: dict[str, str] = {}
        while True:
            page = await self.client.call("list_multipart_uploads", Prefix=self.name(under), **markers)
            for entry in page.get("Uploads", ()):
                begun: datetime = entry["Initiated"]
                key = entry["Key"].removeprefix(self._prefix)
                yield Multipart(entry["UploadId"], key, begun.timestamp())
            if not page.get("IsTruncated"):
                return
            markers = {
                "KeyMarker": page["NextKeyMarker"],
                "UploadIdMarker": page.get("NextUploadIdMarker", ""),
            }

    async def aclose(self) -> None:
        await self.client.aclose()
