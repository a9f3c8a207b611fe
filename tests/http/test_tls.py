"""Over TLS, without a proxy: the short ways past the event loop are not taken, and all else is the same."""

import asyncio
import logging
import os
import random
import re
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from unittest.mock import patch

import pytest

from registry.api.connection import Connection
from registry.api.file_replies import FileSender
from tests.http.accounts.conftest import Guarded, guarded
from tests.http.accounts.signing import challenge_of
from tests.http.client import Client
from tests.http.content import REPOSITORY, digest_of, image, push_blob, push_manifest, start_upload
from tests.http.serving import Registries
from tests.support.certificates import Authority
from tests.support.server import start_registry

__all__ = ["guarded"]

pytestmark = pytest.mark.parametrize("index_url", ["sqlite"], indirect=True)
"""The index never sees how a request came."""

MEBIBYTE = 1024 * 1024
PATIENT = 10


def content_of(size: int) -> bytes:
    return random.Random(size).randbytes(size)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """The settings for a certificate of 127.0.0.1."""
    certificate, key = Authority(tmp_path / "authority").issue("127.0.0.1")
    return {"tls_certificate": certificate, "tls_key": key}


@pytest.fixture(params=["filesystem", "memory"])
async def encrypted(request: pytest.FixtureRequest, registries: Registries, files: dict[str, Path]) -> Client:
    """A client of a registry that speaks TLS, with each driver."""
    return await registries.start(storage={"driver": request.param}, server={"workers": 1, **files})


@pytest.fixture
def no_short_ways() -> object:
    """What works on the socket itself would read and send what is encrypted, or should be."""

    def taken(*_: object) -> None:
        raise AssertionError("the socket itself was used")

    with (
        patch.object(Connection, "begin_direct", taken),
        patch.object(FileSender, "send", taken),
        patch.object(FileSender, "_send", taken),
    ):
        yield


@pytest.mark.usefixtures("no_short_ways")
@pytest.mark.parametrize("size", [0, 70_000, MEBIBYTE - 1, MEBIBYTE, 20 * MEBIBYTE + 7], ids=str)
@pytest.mark.parametrize("way", ["POST", "PATCH", "chunked"])
async def test_every_size_arrives_and_comes_back(encrypted: Client, size: int, way: str) -> None:
    content = content_of(size)
    digest = digest_of(content)

    async def parts() -> AsyncIterator[bytes]:
        for start in range(0, size, 100_000):
            yield content[start : start + 100_000]

    if way == "PATCH":
        told = await encrypted.patch(await start_upload(encrypted), content)
        assert told.status == 202
        answer = await encrypted.put(f"{told.headers['Location']}?digest={digest}")
    else:
        body = parts() if way == "chunked" else content
        answer = await encrypted.post(f"/v2/{REPOSITORY}/blobs/uploads/?digest={digest}", body)
    assert answer.status == 201, answer

    path = f"/v2/{REPOSITORY}/blobs/{digest}"
    got = await encrypted.get(path)
    assert (got.status, digest_of(got.body)) == (200, digest)
    if size > 10:
        middle = await encrypted.get(path, {"Range": f"bytes=5-{size - 3}"})
        assert (middle.status, middle.body) == (206, content[5:-2])
        several = await encrypted.get(path, {"Range": f"bytes=0-3,{size - 4}-"})
        assert several.status == 206
        assert content[:4] in several.body
        assert content[-4:] in several.body
    assert (await encrypted.head(path)).headers["Content-Length"] == str(size)


async def test_many_large_bodies_at_once(encrypted: Client) -> None:
    contents = [content_of(2 * MEBIBYTE + number) for number in range(12)]

    async def push(content: bytes) -> None:
        digest = await push_blob(encrypted, content)
        assert (await encrypted.get(f"/v2/{REPOSITORY}/blobs/{digest}")).body == content

    await asyncio.gather(*map(push, contents))


async def test_small_and_large_requests_take_turns_on_one_connection(encrypted: Client) -> None:
    content = content_of(5 * MEBIBYTE)
    location = await start_upload(encrypted)
    start = 0
    async with encrypted.socket() as opened:
        for size in (MEBIBYTE, 5, 3 * MEBIBYTE + 1):
            head = f"PATCH {location} HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n"
            await opened.send(head.encode() + content[start : start + size])
            answer = await opened.answer()
            start += size
            assert (answer.status, answer.headers["Range"]) == (202, f"0-{start - 1}")
            assert "Connection" not in answer.headers
            location = answer.headers["Location"]
            await opened.send(b"GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n")
            assert (await opened.answer()).status == 200


async def test_a_client_that_does_not_read_is_not_answered_into_memory(
    registries: Registries, files: dict[str, Path]
) -> None:
    """It is let go when it has stood still for too long, in the middle of the answer."""
    client = await registries.start(server={**files, "idle_seconds": 0.5})
    size = 64 * MEBIBYTE
    digest = await push_blob(client, bytes(size))
    written = 0
    write = Connection.write

    def counted(connection: Connection, data: bytes) -> None:
        nonlocal written
        written += len(data)
        write(connection, data)

    with patch.object(Connection, "write", counted):
        async with client.socket(receive_buffer=65_536) as opened:
            await opened.send(f"GET /v2/{REPOSITORY}/blobs/{digest} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            assert (await opened.line()).startswith(b"HTTP/1.1 200")
            received, began = 0, written
            await asyncio.sleep(1.5)
            assert began <= written < size / 2
            with suppress(EOFError, ConnectionError, ssl.SSLError):
                while received < size:
                    received += len(await opened.some(MEBIBYTE, PATIENT))
    assert received < size


async def test_a_file_that_became_shorter_breaks_the_answer_off(
    registries: Registries, files: dict[str, Path], tmp_path: Path
) -> None:
    client = await registries.start(server=dict(files))
    digest = await push_blob(client, content_of(8 * MEBIBYTE))
    (stored,) = [path for path in (tmp_path / "storage" / "blobs").rglob("*") if path.is_file()]
    copy = FileSender.copy

    async def cut(sender: FileSender, *arguments: object) -> None:
        await asyncio.to_thread(os.truncate, stored, MEBIBYTE)
        await copy(sender, *arguments)  # type: ignore[arg-type]

    with patch.object(FileSender, "copy", cut):
        async with client.socket() as opened:
            await opened.send(f"GET /v2/{REPOSITORY}/blobs/{digest} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            with pytest.raises((EOFError, ConnectionError)):
                await opened.answer()


async def test_whole_addresses_are_https(
    registries: Registries, guarded: Guarded, files: dict[str, Path]
) -> None:
    proxy = {"trusted_proxies": ["127.0.0.0/8"]}
    client = await registries.start(server={**files, **proxy, "relative_locations": False})
    base = f"https://127.0.0.1:{client.port}"
    assert (await start_upload(client)).startswith(f"{base}/v2/")
    answer = await client.post(f"/v2/{REPOSITORY}/blobs/uploads/", headers={"X-Forwarded-Proto": "http"})
    assert answer.headers["Location"].startswith("http://"), "a proxy that is trusted knows better"

    locked = await guarded.start(server=dict(files))
    _, parameters = challenge_of(await locked.get("/v2/"))
    assert parameters["realm"] == f"https://127.0.0.1:{locked.port}/v2/token"


async def test_an_image_is_pushed_and_pulled(encrypted: Client) -> None:
    layer = content_of(3 * MEBIBYTE)
    for blob in (b"{}", layer):
        await push_blob(encrypted, blob)
    await push_manifest(encrypted, "v1", image(layers=[layer]))
    assert (await encrypted.get(f"/v2/{REPOSITORY}/manifests/v1")).body == image(layers=[layer])


def raw(port: int, context: ssl.SSLContext | None, sent: bytes = b"") -> bytes:
    """What comes back to bytes that are sent, by a client of its own; b"" if the server hangs up."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENT) as plain:
        try:
            if context is None:
                plain.sendall(sent)
                return plain.recv(100)
            with context.wrap_socket(plain, server_hostname="127.0.0.1") as opened:
                opened.sendall(sent)
                return opened.recv(100)
        except (ConnectionError, ssl.SSLError):
            return b""


def with_limits(change: Callable[[ssl.SSLContext], None]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    change(context)
    return context


async def test_who_does_not_speak_tls_is_hung_up_on(
    encrypted: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """And the log has no error of it: anybody could fill it."""

    def old(context: ssl.SSLContext) -> None:
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1

    def doubting(context: ssl.SSLContext) -> None:
        context.verify_mode = ssl.CERT_REQUIRED  # and trusts nobody

    hello = b"GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n"
    contexts = [None]
    with pytest.warns(DeprecationWarning, match=r"TLSv1(_1)? is deprecated"):  # the point of it
        contexts.append(with_limits(old))
    contexts.append(with_limits(doubting))
    for context in contexts:
        assert not (await asyncio.to_thread(raw, encrypted.port, context, hello)).startswith(b"HTTP")

    good = with_limits(lambda context: None)
    assert (await asyncio.to_thread(raw, encrypted.port, good, hello)).startswith(b"HTTP/1.1 200")
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_who_never_begins_to_speak_tls_is_let_go(tmp_path: Path, index_url: str) -> None:
    """By the process as it is run; and clients that keep a connection open do not keep it from ending."""
    data = tmp_path / "data"
    running = start_registry(
        data,
        arguments=["--tls", "auto"],
        environment={"ENTREPOT_SERVER__HEADER_SECONDS": "0.5"},
        ca_file=data / "tls" / "ca.pem",
    )
    host, port = running.address.split(":")
    try:
        with socket.create_connection((host, int(port)), timeout=PATIENT) as silent:
            assert silent.recv(1) == b""
        trust = ssl.create_default_context(cafile=running.ca_file)
        with (
            socket.create_connection((host, int(port)), timeout=PATIENT) as plain,
            trust.wrap_socket(plain, server_hostname=host) as kept,
        ):
            kept.sendall(b"GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n")
            assert kept.recv(15) == b"HTTP/1.1 200 OK"
            assert running.stop() == 0
        assert not re.search("ERROR|WARNING", running.log), running.log
    finally:
        running.kill()
