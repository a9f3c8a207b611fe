"""Clients that keep the registry waiting are let go; those that are merely slow are not (HARDENING 3)."""

import asyncio
import time

import pytest

from tests.http.content import REPOSITORY, push_blob, start_upload
from tests.http.serving import Registries

pytestmark = pytest.mark.parametrize("index_url", ["sqlite"], indirect=True)
"""These limits have nothing to do with the index."""

LIMITS = {"header_seconds": 0.4, "idle_seconds": 0.4}
PATIENT = 10
"""Seconds in which a loaded machine, too, gets to close a connection."""


async def test_unfinished_headers_are_cut_off(registries: Registries) -> None:
    client = await registries.start(server={**LIMITS, "idle_seconds": 100})

    for start in (b"G", b"GET /v2/ HTTP/1.1\r\n", b"GET /v2/ HTTP/1.1\r\nHost: a\r\nX-"):
        async with client.socket() as socket:
            await socket.send(start)
            assert await socket.closed(PATIENT), start


async def test_headers_that_drip_are_cut_off(registries: Registries) -> None:
    """The deadline is for the whole header, whatever comes meanwhile."""
    client = await registries.start(server={**LIMITS, "idle_seconds": 100})
    began = time.monotonic()
    async with client.socket() as socket:
        await socket.send(b"GET /v2/ HTTP/1.1\r\nHost: a\r\nX-Drip: ")
        cut = False
        while not cut and time.monotonic() - began < PATIENT:
            try:
                await socket.send(b"x")
            except ConnectionError:
                break
            cut = await socket.closed(0.05)

    assert time.monotonic() - began < PATIENT


async def test_headers_after_a_first_request_have_the_same_deadline(registries: Registries) -> None:
    client = await registries.start(server={**LIMITS, "idle_seconds": 100})
    async with client.socket() as socket:
        await socket.send(b"GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await socket.answer()).status == 200
        await socket.send(b"GET /v2/ HTTP/1.1\r\nHo")

        assert await socket.closed(PATIENT)


async def test_a_body_that_stands_still_is_cut_off_and_kept(registries: Registries) -> None:
    client = await registries.start(server=LIMITS)
    location = await start_upload(client)
    async with client.socket() as socket:
        await socket.send(
            f"PATCH {location} HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n".encode() + 40 * b"x"
        )
        assert await socket.closed(PATIENT)

    async with asyncio.timeout(PATIENT):
        while (await client.get(location)).headers["Range"] != "0-39":
            await asyncio.sleep(0.02)


async def test_a_body_that_comes_slowly_is_waited_for(registries: Registries) -> None:
    """Twice the idle limit in all: there is no limit on the whole time."""
    client = await registries.start(server={**LIMITS, "idle_seconds": 1.0})
    location = await start_upload(client)
    async with client.socket() as socket:
        await socket.send(f"PATCH {location} HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\n\r\n".encode())
        for _ in range(30):
            await socket.send(b"x")
            await asyncio.sleep(0.08)

        assert (await socket.answer()).headers["Range"] == "0-29"


async def test_an_idle_connection_is_no_slow_one(registries: Registries) -> None:
    """Between requests, it is the time of keep-alive that counts."""
    client = await registries.start(server=LIMITS)
    async with client.socket() as socket:
        for _ in range(2):
            await socket.send(b"GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await socket.answer()).status == 200
            assert not await socket.closed(0.9)


async def test_an_idle_connection_is_closed_in_the_end(registries: Registries) -> None:
    client = await registries.start(server={"keepalive_seconds": 0.3})
    async with client.socket() as socket:
        await socket.send(b"GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await socket.answer()).status == 200

        assert await socket.closed(PATIENT)


CONTENT = 8 * 1024 * 1024 * b"x"
"""More than the buffers of two sockets hold, where the client's is small."""


async def test_a_reader_that_stands_still_is_cut_off(
    registries: Registries, caplog: pytest.LogCaptureFixture
) -> None:
    """It sees that something is missing: an answer cut short must not look like a whole one."""
    client = await registries.start(server=LIMITS)
    digest = await push_blob(client, CONTENT)
    async with client.socket(receive_buffer=65536) as socket:
        await socket.send(f"GET /v2/{REPOSITORY}/blobs/{digest} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        async with asyncio.timeout(PATIENT):
            while not any("stands still" in record.getMessage() for record in caplog.records):
                await asyncio.sleep(0.05)

        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await socket.answer()


async def test_a_reader_that_is_slow_gets_all(registries: Registries) -> None:
    """Though it takes longer than the idle limit in all."""
    client = await registries.start(server={**LIMITS, "idle_seconds": 1.0})
    digest = await push_blob(client, CONTENT)
    began = time.monotonic()
    async with client.socket(receive_buffer=65536) as socket:
        await socket.send(f"GET /v2/{REPOSITORY}/blobs/{digest} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        received = 0
        while received < len(CONTENT):
            received += len(await socket.some(64 * 1024))
            await asyncio.sleep(0.02)

    assert time.monotonic() - began > 1.0, "it was slow indeed"


async def test_stalled_clients_do_not_hinder_others(registries: Registries) -> None:
    client = await registries.start(server={"header_seconds": 100, "idle_seconds": 100})
    location = await start_upload(client)
    stalled = [await asyncio.open_connection("127.0.0.1", client.port) for _ in range(200)]
    for number, (_, writer) in enumerate(stalled):
        half = f"PATCH {location} HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx".encode()
        writer.write(b"GET /v2/ HT" if number % 2 else half)
    began = time.monotonic()
    for number in range(20):
        await push_blob(client, f"content {number}".encode())

    assert time.monotonic() - began < PATIENT
    for _, writer in stalled:
        writer.transport.abort()
