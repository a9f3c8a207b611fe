"""Bodies of a mebibyte and more are received past the HTTP parser, by the thread that stores them: nobody
shall notice but by the speed (registry.api.bodies)."""

import asyncio
import errno
import random
import socket
import struct
import time
from collections.abc import AsyncIterator, Sequence
from unittest.mock import patch

import pytest

from registry.api.connection import Connection
from storage_drivers import durable_files
from tests.http.client import Client
from tests.http.content import REPOSITORY, digest_of, start_upload
from tests.http.serving import Registries

pytestmark = pytest.mark.parametrize("index_url", ["sqlite"], indirect=True)
"""The index never sees a body."""

MEBIBYTE = 1024 * 1024
PATIENT = 10
"""Seconds in which a loaded machine, too, gets to do something small."""


def content_of(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def patch_head(location: str, length: int, *fields: str) -> bytes:
    lines = (f"PATCH {location} HTTP/1.1", "Host: a", f"Content-Length: {length}", *fields)
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode()


async def kept(client: Client, location: str) -> int:
    """How many bytes the session holds."""
    answer = await client.get(location)
    assert answer.status == 204, answer
    return int(answer.headers["Location"].rpartition(".")[2])


async def settled(client: Client, location: str) -> int:
    """How many bytes the session holds when nobody adds to it any more."""
    async with asyncio.timeout(PATIENT):
        while (answer := await client.patch(location.rpartition(".")[0], b"")).status != 202:
            assert answer.refusal == (416, "BLOB_UPLOAD_INVALID")
    return await kept(client, location)


async def stored(client: Client, digest: str) -> bytes:
    answer = await client.get(f"/v2/{REPOSITORY}/blobs/{digest}")
    assert answer.status == 200, answer
    return answer.body


async def resume(client: Client, location: str, content: bytes, start: int) -> None:
    """Send the rest, and see that all is as it should be."""
    session = location.rpartition(".")[0]
    span = {"Content-Range": f"{start}-{len(content) - 1}"}
    digest = digest_of(content)
    answer = await client.put(f"{session}?digest={digest}", content[start:], span)
    assert answer.status == 201, answer
    assert await stored(client, digest) == content


@pytest.fixture(params=["filesystem", "memory"])
async def either(request: pytest.FixtureRequest, registries: Registries) -> Client:
    """A client of a registry with each driver: one has threads of its own, one has none."""
    return await registries.start(storage={"driver": request.param}, server={"workers": 1})


@pytest.mark.parametrize(
    "size", [MEBIBYTE - 1, MEBIBYTE, MEBIBYTE + 1, 3 * MEBIBYTE, 20 * MEBIBYTE + 7], ids=str
)
@pytest.mark.parametrize("way", ["POST", "PATCH", "PUT"])
async def test_every_size_arrives(either: Client, size: int, way: str) -> None:
    content, digest = content_of(size), digest_of(content_of(size))
    direct = 0
    begin = Connection.begin_direct

    def counted(*arguments: object) -> bytes:
        nonlocal direct
        direct += 1
        return begin(*arguments)  # type: ignore[arg-type]

    with patch.object(Connection, "begin_direct", counted):
        if way == "POST":
            answer = await either.post(f"/v2/{REPOSITORY}/blobs/uploads/?digest={digest}", content)
        else:
            location = await start_upload(either)
            rest = content
            if way == "PATCH":
                told = await either.patch(location, content)
                assert (told.status, told.headers["Range"]) == (202, f"0-{size - 1}")
                location, rest = told.headers["Location"], b""
            answer = await either.put(f"{location}?digest={digest}", rest)

    assert answer.status == 201, answer
    assert direct == (size >= MEBIBYTE), "the short way is for large bodies"
    assert await stored(either, digest) == content


async def test_small_and_large_requests_take_turns_on_one_connection(either: Client) -> None:
    """The kernel, which was told to wake nobody for a few bytes, has to be told otherwise after each."""
    content = content_of(8 * MEBIBYTE)
    location = await start_upload(either)
    start = 0
    async with either.socket() as opened:
        for size in (MEBIBYTE, 5, 3 * MEBIBYTE + 1, 1, MEBIBYTE + 70_000, 300_000):
            await opened.send(patch_head(location, size) + content[start : start + size])
            answer = await opened.answer()
            start += size
            assert (answer.status, answer.headers["Range"]) == (202, f"0-{start - 1}")
            assert "Connection" not in answer.headers
            location = answer.headers["Location"]
            for _ in range(2):
                await opened.send(b"GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n")
                assert (await opened.answer()).status == 200

    await resume(either, location, content, start)


@pytest.mark.parametrize("size", [MEBIBYTE, 3 * MEBIBYTE + 1])
@pytest.mark.parametrize("split", [0, 1, 20, None], ids=lambda split: f"split at {split}")
async def test_the_next_request_may_be_right_behind(either: Client, size: int, split: int | None) -> None:
    """In the same write; or half of it, and the rest when the first one was answered."""
    content = content_of(size)
    location = await start_upload(either)
    next_request = b"GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n"
    now = next_request if split is None else next_request[:split]
    later = b"" if split is None else next_request[split:]
    async with either.socket() as opened:
        await opened.send(patch_head(location, size) + content + now)
        assert (await opened.answer()).headers["Range"] == f"0-{size - 1}"
        await opened.send(later)
        answer = await opened.answer()

    assert (answer.status, answer.body[:1]) == (200, b"{")
    assert (await either.put(f"{location.rpartition('.')[0]}?digest={digest_of(content)}")).status == 201
    assert await stored(either, digest_of(content)) == content


async def test_two_large_bodies_in_one_write(either: Client) -> None:
    content = content_of(5 * MEBIBYTE)
    session = (await start_upload(either)).rpartition(".")[0]
    cut = 2 * MEBIBYTE + 3
    async with either.socket() as opened:
        requests = (content[:cut], content[cut:])
        await opened.send(b"".join(patch_head(session, len(part)) + part for part in requests))
        for end in (cut, len(content)):
            assert (await opened.answer()).headers["Range"] == f"0-{end - 1}"

    assert (await either.put(f"{session}?digest={digest_of(content)}")).status == 201
    assert await stored(either, digest_of(content)) == content


async def test_expect_continue_is_answered_before_the_body(either: Client) -> None:
    content = content_of(3 * MEBIBYTE)
    location = await start_upload(either)
    async with either.socket() as opened:
        for _ in range(2):
            await opened.send(patch_head(location, len(content), "Expect: 100-continue"))
            assert await opened.line() == b"HTTP/1.1 100 Continue\r\n"
            assert await opened.line() == b"\r\n"
            await opened.send(content)
            answer = await opened.answer()
            assert answer.status == 202
            location = answer.headers["Location"]

    assert await kept(either, location) == 2 * len(content)


@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
@pytest.mark.parametrize("sent", [1000, 3 * MEBIBYTE + 123])
async def test_a_client_that_leaves_may_come_back(either: Client, sent: int, reset: bool) -> None:
    """What came before it left is kept, and told. A reset may take with it what was not received yet."""
    content = content_of(5 * MEBIBYTE)
    location = await start_upload(either)
    raw = socket.socket()
    raw.setblocking(False)
    if reset:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    loop = asyncio.get_running_loop()
    await loop.sock_connect(raw, ("127.0.0.1", either.port))
    await loop.sock_sendall(raw, patch_head(location, len(content)) + content[:sent])
    await asyncio.sleep(0.2)
    raw.close()

    end = await settled(either, location)
    assert end <= sent if reset else end == sent
    await resume(either, location, content, end)


async def test_a_body_that_drips_is_waited_for(registries: Registries) -> None:
    """Fewer bytes in an idle limit than the kernel gathers before it wakes us, and three limits in all."""
    client = await registries.start(server={"idle_seconds": 1.0})
    content = content_of(MEBIBYTE + 5)
    location = await start_upload(client)
    async with client.socket() as opened:
        await opened.send(patch_head(location, len(content)))
        sent, began = 0, time.monotonic()
        while time.monotonic() - began < 3:
            await opened.send(content[sent : sent + 100])
            sent += 100
            await asyncio.sleep(0.1)
        await opened.send(content[sent:])

        assert (await opened.answer()).headers["Range"] == f"0-{len(content) - 1}"
    await resume(client, location, content + b"end", len(content))


async def test_a_pause_counts_from_its_beginning(registries: Registries) -> None:
    """Not from when the body began: the client was brisk for longer than the idle limit."""
    client = await registries.start(server={"idle_seconds": 1.0})
    content = content_of(32 * MEBIBYTE)
    location = await start_upload(client)
    async with client.socket() as opened:
        await opened.send(patch_head(location, len(content)))
        sent, began = 0, time.monotonic()
        while time.monotonic() - began < 1.6:
            await opened.send(content[sent : sent + 65_536])
            sent += 65_536
            await asyncio.sleep(0.005)
        assert sent < len(content), "not all is sent before the pause"
        await asyncio.sleep(0.6)
        await opened.send(content[sent:])

        assert (await opened.answer()).headers["Range"] == f"0-{len(content) - 1}"


@pytest.mark.parametrize("sent", [0, 10, 2 * MEBIBYTE + 10])
async def test_a_body_that_stands_still_is_cut_off_and_kept(registries: Registries, sent: int) -> None:
    client = await registries.start(server={"idle_seconds": 0.4})
    content = content_of(3 * MEBIBYTE)
    location = await start_upload(client)
    async with client.socket() as opened:
        await opened.send(patch_head(location, len(content)) + content[:sent])
        assert await opened.closed(PATIENT)

    assert await settled(client, location) == sent
    await resume(client, location, content, sent)


@pytest.mark.usefixtures("failures_are_logged")
async def test_a_full_disk_is_told_while_the_client_still_sends(registries: Registries) -> None:
    client = await registries.start()
    content = content_of(24 * MEBIBYTE)
    location = await start_upload(client)
    write_at = durable_files.write_at

    def full(descriptor: int, buffers: Sequence[bytes], offset: int) -> int:
        if offset >= 4 * MEBIBYTE:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_at(descriptor, buffers, offset)

    with patch.object(durable_files, "write_at", full):
        async with client.socket() as opened:
            head = patch_head(location, len(content))
            sending = asyncio.create_task(opened.send(head + content))
            answer = await opened.answer()
            assert answer.refusal == (507, "UNAVAILABLE")
            assert answer.headers["Connection"] == "close"
            sending.cancel()
            await asyncio.wait((sending,))
        assert await settled(client, location) == 0

    await resume(client, location, content, 0)


@pytest.mark.parametrize("said", [MEBIBYTE, 3 * MEBIBYTE])
async def test_a_content_range_of_another_length_takes_nothing(either: Client, said: int) -> None:
    content = content_of(2 * MEBIBYTE)
    location = await start_upload(either)

    answer = await either.patch(location, content, {"Content-Range": f"0-{said - 1}"})

    assert answer.refusal == (400, "SIZE_INVALID")
    assert await kept(either, location) == 0
    await resume(either, location, content, 0)


async def test_a_large_body_at_the_wrong_place_takes_nothing(either: Client) -> None:
    content = content_of(2 * MEBIBYTE)
    location = await start_upload(either)

    answer = await either.patch(location, content, {"Content-Range": f"7-{7 + len(content) - 1}"})

    assert answer.refusal == (416, "BLOB_UPLOAD_INVALID")
    await resume(either, location, content, 0)


async def test_a_large_body_without_a_length_arrives(either: Client) -> None:
    """Only the parser can tell where it ends."""
    content = content_of(3 * MEBIBYTE)

    async def parts() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 100_000):
            yield content[start : start + 100_000]

    answer = await either.post(f"/v2/{REPOSITORY}/blobs/uploads/?digest={digest_of(content)}", parts())

    assert answer.status == 201
    assert await stored(either, digest_of(content)) == content


async def test_many_large_bodies_at_once(either: Client) -> None:
    """More than there are threads, and each keeps to its own bytes."""
    contents = [content_of(MEBIBYTE + number) for number in range(40)]

    async def push(content: bytes) -> None:
        digest = digest_of(content)
        answer = await either.post(f"/v2/{REPOSITORY}/blobs/uploads/?digest={digest}", content)
        assert answer.status == 201, answer
        assert await stored(either, digest) == content

    await asyncio.gather(*map(push, contents))
