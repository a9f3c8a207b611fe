"""`/v2/<name>/blobs/<digest>` (distribution-spec, end-2, end-10)."""

import secrets
from collections.abc import AsyncIterator, Sequence
from functools import lru_cache

from registry.api.conditions import etag_matches, range_applies
from registry.api.file_replies import FileReply, FileSender
from registry.api.ranges import parse_range
from registry.api.replies import Reply, StreamedReply, empty, head_block
from registry.api.requests import Request
from registry.oci.errors import Damaged
from registry.services.blobs import BlobRow, Blobs, LocalFile, SignedUrl

BLOB_TYPE = "application/octet-stream"


class BlobRoutes:
    """Handlers for blobs."""

    def __init__(self, blobs: Blobs, sender: FileSender) -> None:
        self._blobs = blobs
        self._sender = sender

    async def head(self, request: Request) -> Reply:
        """To a pusher, a yes is a promise that it need not send the blob."""
        row = await self._blobs.promise(request.repository, request.digest)
        if self._has_it(request, row):
            return Reply(304, head_block(validators(row.digest)))
        return Reply(200, fields_of_blob(row.digest, row.size))

    async def get(self, request: Request) -> Reply:
        """The whole blob, or one or several ranges of it (RFC 9110 section 14)."""
        row = await self._blobs.find(request.repository, request.digest)
        headers = request.headers
        if self._has_it(request, row):
            return Reply(304, head_block(validators(row.digest)))
        ranges = None
        if "Range" in headers and range_applies(headers.get("If-Range"), f'"{row.digest}"'):
            ranges = parse_range(headers["Range"], row.size)
        if ranges is None:
            block = fields_of_blob(row.digest, row.size)
            return await self._span(200, block, request, row, 0, row.size)
        if len(ranges) == 1:
            start, stop = ranges[0]
            fields = [("Content-Range", f"bytes {start}-{stop - 1}/{row.size}"), *validators(row.digest)]
            fields += [("Content-Type", BLOB_TYPE), ("Content-Length", str(stop - start))]
            return await self._span(206, head_block(fields), request, row, start, stop)
        return await self._several(request, row, ranges)

    @staticmethod
    def _has_it(request: Request, row: BlobRow) -> bool:
        headers = request.headers
        return "If-None-Match" in headers and etag_matches(headers.getall("If-None-Match"), f'"{row.digest}"')

    async def _span(
        self, status: int, block: bytes, request: Request, row: BlobRow, start: int, stop: int
    ) -> Reply:
        """The fastest way from `start` up to `stop`: memory, sendfile, the storage itself, or a stream."""
        content = await self._blobs.small(request.repository, row)
        if content is not None:
            return Reply(status, block, content[start:stop])
        place = await self._blobs.locate(request.repository, row, request.address)
        if isinstance(place, LocalFile):
            try:
                file = await self._sender.open(place.path, row.size)
            except Damaged:
                await self._blobs.doubt(request.repository, row)
                raise
            return FileReply(status, block, self._sender, file, start, stop)
        if isinstance(place, SignedUrl):
            return empty(307, [("Location", place.url), ("Docker-Content-Digest", row.digest)])
        parts = self._blobs.read(request.repository, row, start, stop)
        return await StreamedReply.begun(status, block, parts)

    async def _several(self, request: Request, row: BlobRow, ranges: Sequence[tuple[int, int]]) -> Reply:
        """One part for each range, in the order asked, as podman expects them."""
        boundary = secrets.token_hex(16)
        heads = [part_head(boundary, start, stop, row.size) for start, stop in ranges]
        end = f"\r\n--{boundary}--\r\n".encode()
        length = sum(map(len, heads)) + sum(stop - start for start, stop in ranges) + len(end)
        fields = [
            ("Content-Type", f"multipart/byteranges; boundary={boundary}"),
            ("Content-Length", str(length)),
            *validators(row.digest),
        ]

        async def parts() -> AsyncIterator[bytes]:
            for head, (start, stop) in zip(heads, ranges, strict=True):
                async for part in self._blobs.read(request.repository, row, start, stop):
                    yield head + part
                    head = b""
            yield end

        return await StreamedReply.begun(206, head_block(fields), parts())

    async def delete(self, request: Request) -> Reply:
        await self._blobs.delete(request.repository, request.digest, request.actor)
        return empty(202)


@lru_cache(maxsize=8192)
def fields_of_blob(digest: str, size: int) -> bytes:
    return head_block([("Content-Type", BLOB_TYPE), ("Content-Length", str(size)), *validators(digest)])


def validators(digest: str) -> list[tuple[str, str]]:
    """Never changes, and never to be taken for a page by a browser."""
    return [
        ("Docker-Content-Digest", digest),
        ("ETag", f'"{digest}"'),
        ("Accept-Ranges", "bytes"),
        ("Cache-Control", "max-age=31536000, immutable"),
        ("X-Content-Type-Options", "nosniff"),
        ("Content-Disposition", "attachment"),
    ]


def part_head(boundary: str, start: int, stop: int, size: int) -> bytes:
    """The head of one part (RFC 9110 section 14.6)."""
    return (
        f"\r\n--{boundary}\r\nContent-Type: {BLOB_TYPE}\r\n"
        f"Content-Range: bytes {start}-{stop - 1}/{size}\r\n\r\n"
    ).encode()
