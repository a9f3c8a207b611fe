"""An upload that goes from one process to another while the first one is still at it, paused or dying:
nothing is ever a blob whose bytes are not its digest's, and nobody harms the one who took over."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from unittest.mock import patch

import pytest

from registry.oci.digest import Digest
from registry.services import uploads
from registry.services.upload_claims import UploadClaims
from storage_drivers import StorageDriver
from tests.http.answers import Answer
from tests.http.client import Client, Socket
from tests.http.content import REPOSITORY, digest_of, start_upload
from tests.http.serving import Registries, serving

pytestmark = pytest.mark.parametrize("index_url", ["sqlite"], indirect=True)
"""Claims are rows that any index keeps alike; tests/index has them on both."""

PATIENT = 10
LEASES = {"uploads": {"lease_seconds": 1.0}}


async def session_with(client: Client, content: bytes) -> str:
    """A session's address without an offset, after one PATCH of all of `content`."""
    session = (await start_upload(client)).rpartition(".")[0]
    if content:
        assert (await client.patch(session, content, span(0, content))).status == 202
    return session


def span(start: int, content: bytes) -> dict[str, str]:
    return {"Content-Range": f"{start}-{start + len(content) - 1}"} if content else {}


async def eventually_taken(client: Client, method: str, path: str, body: bytes, start: int) -> Answer:
    """The answer, once nobody else holds the session or its file."""
    async with asyncio.timeout(PATIENT):
        while True:
            answer = await client.request(method, path, body, span(start, body))
            if answer.status not in (416, 503):
                return answer
            await asyncio.sleep(0.05)


def objects(data: Path) -> list[Path]:
    return [path for path in (data / "storage" / "blobs").rglob("*") if path.is_file()]


class Comparison:
    """Stops the first reading-back of an object that was committed but not compared yet."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.go_on = asyncio.Event()

    @asynccontextmanager
    async def stopped(self) -> AsyncIterator[None]:
        digest_of_object = uploads.stored_digest

        async def stopping(driver: StorageDriver, location: str, size: int, algorithm: str) -> Digest:
            if not self.reached.is_set():
                self.reached.set()
                await self.go_on.wait()
            return await digest_of_object(driver, location, size, algorithm)

        with patch.object(uploads, "stored_digest", stopping):
            yield


@asynccontextmanager
async def renewing_stops() -> AsyncIterator[None]:
    """Claims made meanwhile run out, as those of a process that was paused."""

    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    with patch.object(UploadClaims, "_renew", never):
        yield


@asynccontextmanager
async def stalled_patch(
    client: Client, session: str, start: int, sent: bytes, length: int, *, renewed: bool
) -> AsyncIterator[Socket]:
    """A PATCH of `length` bytes whose client stands still after `sent`, and which holds the claim."""
    head = (
        f"PATCH {session} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n"
        f"Content-Range: {start}-{start + length - 1}\r\n\r\n"
    )
    async with client.socket() as opened:
        if renewed:
            await opened.send(head.encode() + sent)
            await asyncio.sleep(0.3)
        else:
            async with renewing_stops():
                await opened.send(head.encode() + sent)
                await asyncio.sleep(0.3)
        yield opened


@pytest.mark.parametrize("evil", [b"EVIL TAIL", b"an evil tail that is longer"])
async def test_an_object_that_was_never_compared_is_not_believed(
    registries: Registries, tmp_path: Path, index_url: str, evil: bytes
) -> None:
    """A process was ended after it had committed other bytes under this digest, before it compared them.
    The first one still has the hash of what it took itself."""
    first = await registries.start()
    taken = 300_000 * b"P"
    session = await session_with(first, taken)
    content = taken + b"good tail"
    path = f"{session}?digest={digest_of(content)}"
    comparison = Comparison()
    async with comparison.stopped(), AsyncExitStack() as ending:
        second = await ending.enter_async_context(serving(tmp_path, index_url, {}))
        async with second.socket() as opened:
            where = f"Content-Range: {len(taken)}-{len(taken) + len(evil) - 1}"
            head = f"PUT {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(evil)}\r\n{where}\r\n\r\n"
            await opened.send(head.encode() + evil)
            async with asyncio.timeout(PATIENT):
                await comparison.reached.wait()
            assert len(objects(tmp_path)) == 1, "committed, and not compared"
            await ending.aclose()  # while its client still waits
        answer = await eventually_taken(first, "PUT", path, b"good tail", len(taken))

    found = await first.get(f"/v2/{REPOSITORY}/blobs/{digest_of(content)}")
    if answer.status == 201:
        assert found.body == content
    else:
        assert answer.status in (400, 404), answer
        assert found.status == 404
    again = await first.post(f"/v2/{REPOSITORY}/blobs/uploads/?digest={digest_of(content)}", content)
    assert again.status == 201
    assert (await first.get(f"/v2/{REPOSITORY}/blobs/{digest_of(content)}")).body == content


@pytest.mark.parametrize("start", [0, 300_000])
async def test_who_lost_the_claim_gives_up_and_harms_nobody(
    registries: Registries, tmp_path: Path, start: int
) -> None:
    """Its claim is another's in the index: it learns that when it renews, before it writes any more."""
    first, second = await registries.start(**LEASES), await registries.start(**LEASES)
    content = bytes(range(250)) * 8000
    session = await session_with(first, content[:start])

    def rewrite() -> None:
        with closing(sqlite3.connect(tmp_path / "index.sqlite", timeout=PATIENT)) as index, index:
            assert index.execute("UPDATE uploads SET claim = 'another', claim_until = 0").rowcount == 1

    async with stalled_patch(first, session, start, 1000 * b"x", 2000, renewed=True) as opened:
        await asyncio.to_thread(rewrite)
        assert await opened.closed(PATIENT)

    answer = await eventually_taken(second, "PATCH", session, content[start:], start)
    assert (answer.status, answer.headers["Range"]) == (202, f"0-{len(content) - 1}")
    digest = digest_of(content)
    assert (await second.put(f"{session}?digest={digest}")).status == 201
    assert (await first.get(f"/v2/{REPOSITORY}/blobs/{digest}")).body == content


@pytest.mark.parametrize("late", [0, 299_999, 300_000, 399_999])
async def test_after_a_takeover_all_is_read_again(registries: Registries, tmp_path: Path, late: int) -> None:
    """Whoever had the claim may wake up and write yet. Not even one's own hash of the start counts."""
    first, second = await registries.start(**LEASES), await registries.start(**LEASES)
    taken, tail = 300_000 * b"P", 100_000 * b"T"
    digest = digest_of(taken + tail)
    session = await session_with(second, taken)
    async with stalled_patch(first, session, len(taken), b"", len(tail), renewed=False):
        answer = await eventually_taken(second, "PATCH", session, tail, len(taken))
        assert (answer.status, answer.headers["Range"]) == (202, f"0-{len(taken + tail) - 1}")

    def write_late() -> None:
        (staged,) = (tmp_path / "storage" / "staging").iterdir()
        with staged.open("r+b") as file:
            file.seek(late)
            file.write(b"!")

    await asyncio.to_thread(write_late)
    answer = await second.put(f"{session}?digest={digest}")

    assert answer.refusal == (400, "DIGEST_INVALID")
    assert (await second.head(f"/v2/{REPOSITORY}/blobs/{digest}")).status == 404
    assert objects(tmp_path) == []
