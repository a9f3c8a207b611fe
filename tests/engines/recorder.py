"""A proxy before the registry that writes down every request: it shows what an engine did not send."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

# RFC 9110 section 7.6.1; Content-Length stays, so that a message keeps its form.
HOP_BY_HOP = ("Connection", "Keep-Alive", "Transfer-Encoding", "TE", "Trailer", "Upgrade", "Proxy-Connection")


@dataclass(frozen=True)
class Exchange:
    """One request and the status of its answer. `target` is path and query, `body` the bytes sent."""

    method: str
    target: str
    status: int
    body: int

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.target).query)


@dataclass
class Recording:
    """The proxy's own address, to push to and pull from, and what passed so far."""

    address: str = ""
    exchanges: list[Exchange] = field(default_factory=list)

    def clear(self) -> None:
        self.exchanges.clear()

    def uploaded(self, repository: str) -> int:
        """How many bytes of blobs were sent into the repository."""
        return sum(
            each.body for each in self.exchanges if each.path.startswith(f"/v2/{repository}/blobs/uploads")
        )

    def mounted(self, repository: str) -> set[str]:
        """The digests that the registry mounted into the repository from another one."""
        return {
            each.query["mount"][0]
            for each in self.exchanges
            if each.method == "POST"
            and each.path.startswith(f"/v2/{repository}/blobs/uploads")
            and "mount" in each.query
            and each.status == 201
        }

    def fetched(self, kind: str) -> list[str]:
        """The paths of all GETs of `manifests` or `blobs`."""
        return [each.path for each in self.exchanges if each.method == "GET" and f"/{kind}/" in each.path]


@contextmanager
def recorded(address: str) -> Iterator[Recording]:
    """Run the proxy before the registry at `address`, in a thread with an event loop of its own."""
    recording = Recording()
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    finished = asyncio.Event()

    async def serve() -> None:
        async with proxy(address, recording):
            ready.set()
            await finished.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=[serve()])
    thread.start()
    try:
        assert ready.wait(10), "the recording proxy did not start"
        yield recording
    finally:
        loop.call_soon_threadsafe(finished.set)
        thread.join(10)
        loop.close()


@asynccontextmanager
async def proxy(address: str, recording: Recording) -> AsyncIterator[None]:
    async def forward(request: web.BaseRequest) -> web.StreamResponse:
        sent = 0

        async def body() -> AsyncIterator[bytes]:
            nonlocal sent
            async for data in request.content.iter_any():
                sent += len(data)
                yield data

        # The Host header passes unchanged: an absolute Location leads back here.
        async with session.request(
            request.method,
            URL(f"http://{address}{request.raw_path}", encoded=True),
            headers=end_to_end(request.headers),
            data=body() if request.body_exists else None,
            allow_redirects=False,
        ) as answer:
            recording.exchanges.append(Exchange(request.method, request.raw_path, answer.status, sent))
            response = web.StreamResponse(status=answer.status, headers=end_to_end(answer.headers))
            await response.prepare(request)
            async for data in answer.content.iter_any():
                await response.write(data)
            await response.write_eof()
            return response

    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(
        auto_decompress=False,
        timeout=timeout,
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
    ) as session:
        runner = web.ServerRunner(web.Server(forward))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        recording.address = f"{host}:{port}"
        try:
            yield
        finally:
            await runner.cleanup()


def end_to_end(headers: "CIMultiDict[str] | aiohttp.typedefs.LooseHeaders") -> CIMultiDict[str]:
    kept = CIMultiDict(headers)
    for name in HOP_BY_HOP:
        kept.popall(name, None)
    return kept
