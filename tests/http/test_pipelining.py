"""Clients that send many requests at once: answered in order, and one that does not read is not served on."""

import asyncio
import gc
import time
from unittest.mock import patch

import pytest

from registry.api.connection import Connection
from tests.http.client import Client
from tests.http.content import REPOSITORY, push_blob, push_image
from tests.http.serving import Registries

pytestmark = pytest.mark.parametrize("index_url", ["sqlite"], indirect=True)
"""The index has no part in this."""

PATIENT = 10
REQUESTS = 3000
BOUND = 2 * 1024 * 1024
"""Bytes that may wait in the process for one client: a few answers, and not what it asked for."""


async def large_answer(client: Client, kind: str) -> tuple[str, bytes]:
    """The path and content of something of about 60 KB."""
    if kind == "blob":
        content = 60_000 * b"b"
        return f"/v2/{REPOSITORY}/blobs/{await push_blob(client, content)}", content
    manifest = await push_image(client, "large", annotations={"text": 60_000 * "m"})
    return f"/v2/{REPOSITORY}/manifests/large", manifest


@pytest.mark.parametrize("kind", ["blob", "manifest"])
async def test_who_reads_nothing_is_not_answered_on(
    registries: Registries, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    """What waits for it stays small, and it is cut off after the idle limit."""
    client = await registries.start(server={"idle_seconds": 1.0})
    path, content = await large_answer(client, kind)
    written = 0
    write = Connection.write

    def counted(connection: Connection, data: bytes) -> None:
        nonlocal written
        written += len(data)
        write(connection, data)

    most = 0
    request = f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    with patch.object(Connection, "write", counted):
        _, writer = await asyncio.open_connection("127.0.0.1", client.port, limit=1024)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(REQUESTS * request)
        began = time.monotonic()
        while not any("stands still" in record.getMessage() for record in caplog.records):
            assert time.monotonic() - began < PATIENT, "it was not cut off"
            most = max(most, *waiting())
            await asyncio.sleep(0.02)
        cut_after = time.monotonic() - began
        writer.transport.abort()

    assert written > len(content), "it was answered at first"
    assert 0 < most <= BOUND
    assert written < REQUESTS * len(content) / 4, "most was never written"
    assert cut_after > 0.9, "not before the limit"


def waiting() -> list[int]:
    """Bytes that wait in this process for each connection to a registry."""
    connections = [found for found in gc.get_objects() if type(found) is Connection]
    return [0, *(each.transport.get_write_buffer_size() for each in connections if each.transport)]


@pytest.mark.parametrize("kind", ["blob", "manifest"])
async def test_who_reads_gets_all_in_order(registries: Registries, kind: str) -> None:
    client = await registries.start()
    path, content = await large_answer(client, kind)
    others = [await push_blob(client, f"number {number}".encode()) for number in range(10)]
    requests = []
    for number in range(300):
        asked = path if number % 3 else f"/v2/{REPOSITORY}/blobs/{others[number % 10]}"
        requests.append(f"GET {asked} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    async with client.socket() as opened:
        sending = asyncio.create_task(opened.send(b"".join(requests)))
        for number in range(len(requests)):
            answer = await opened.answer()
            assert answer.status == 200
            assert answer.body == (content if number % 3 else f"number {number % 10}".encode())
        await sending


async def test_a_slow_reader_gets_all_in_order(registries: Registries) -> None:
    """It takes several idle limits in all, and never stands still for one."""
    client = await registries.start(server={"idle_seconds": 1.0})
    path, content = await large_answer(client, "blob")
    count = 150
    async with client.socket(receive_buffer=65_536) as opened:
        sending = asyncio.create_task(opened.send(count * f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()))
        began = time.monotonic()
        for _ in range(count):
            assert (await opened.answer()).body == content
            await asyncio.sleep(0.015)
        await sending

    assert time.monotonic() - began > 2
