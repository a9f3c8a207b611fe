"""Reading the bodies of requests."""

from collections.abc import AsyncIterator, Sequence

from aiohttp import web
from aiohttp.http_exceptions import PayloadEncodingError
from aiohttp.web_protocol import RequestPayloadError

from registry.api.replies import open_connection
from registry.oci.errors import ManifestTooLarge, RequestInvalid


async def runs(request: web.BaseRequest) -> AsyncIterator[Sequence[bytes]]:
    """The body as it comes. Raises ConnectionError when the client leaves before its end, and
    RequestInvalid when it is framed wrongly."""
    connection = open_connection(request)
    if request.headers.get("Expect", "").lower() == "100-continue":
        # Here and not earlier: whoever is refused is spared the body.
        connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = request.content
    while True:
        connection.waiting = True
        try:
            chunk = await body.readany()
        except (RequestPayloadError, PayloadEncodingError) as error:
            if connection.transport is None or connection.transport.is_closing():
                raise ConnectionResetError("the client left in the middle of the body") from error
            raise RequestInvalid("the body is not framed as its header says") from error
        finally:
            connection.waiting = False
        if not chunk:
            return
        yield (chunk,)


async def whole(request: web.BaseRequest, limit: int) -> bytes:
    """A body of at most `limit` bytes. Raises ManifestTooLarge, and what `runs` raises."""
    refusal = ManifestTooLarge(f"a manifest may have {limit} bytes at most", {"limit": limit})
    if request.content_length is not None and request.content_length > limit:
        raise refusal
    received = bytearray()
    async for run in runs(request):
        for chunk in run:
            received += chunk
        if len(received) > limit:
            raise refusal
    return bytes(received)
