"""When storage or index can't do their part: an honest answer, never half of one (HARDENING section 3)."""

import logging
from pathlib import Path
from unittest.mock import patch

import pytest

import storage_drivers
from registry.index import Index
from registry.oci.errors import Unavailable
from storage_drivers.filesystem import FilesystemDriver
from tests.http.client import Client
from tests.http.content import (
    REPOSITORY,
    digest_of,
    image,
    push_blob,
    push_image,
    push_manifest,
    start_upload,
)

CONTENT = 200_000 * b"x"

pytestmark = pytest.mark.usefixtures("failures_are_logged")


def stored_file(data: Path) -> Path:
    (found,) = [path for path in (data / "storage" / "blobs").rglob("*") if path.is_file()]
    return found


async def refusals(client: Client, location: str) -> list[tuple[int, str]]:
    """What each way to push answers now."""
    digest = digest_of(CONTENT)
    return [
        (await client.post(f"/v2/{REPOSITORY}/blobs/uploads/?digest={digest}", CONTENT)).refusal,
        (await client.patch(location, CONTENT)).refusal,
        (await client.put(f"{location}?digest={digest}", CONTENT)).refusal,
    ]


@pytest.mark.parametrize(
    ("error", "refusal"),
    [
        (storage_drivers.NoSpace("/srv/secret/path is full"), (507, "UNAVAILABLE")),
        (storage_drivers.Unavailable("secret-host does not answer"), (503, "UNAVAILABLE")),
    ],
)
async def test_a_storage_that_takes_nothing(
    client: Client, error: Exception, refusal: tuple[int, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Old images pull, pushes are refused in plain words, and go on when there is room. The log says why, in
    a line for each request."""
    old = await push_blob(client, b"old" * 50_000)
    location = await start_upload(client)

    async def refuse(*_: object, **__: object) -> None:
        raise error

    with patch.object(FilesystemDriver, "append", refuse):
        assert await refusals(client, location) == 3 * [refusal]
        told = await client.patch(location, CONTENT)
        assert b"secret" not in told.body
        assert refusal[0] != 503 or told.headers["Retry-After"]
        assert (await client.get(f"/v2/{REPOSITORY}/blobs/{old}")).status == 200

    assert (await client.put(f"{location}?digest={digest_of(CONTENT)}", CONTENT)).status == 201
    failures = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(failures) == 4
    for failure in failures:
        assert failure.getMessage().endswith(f"({type(error).__name__}: {error})")
        assert failure.exc_info is None


async def test_an_index_that_takes_nothing(client: Client) -> None:
    body = await push_image(client, "old")
    location = await start_upload(client)

    async def refuse(*_: object, **__: object) -> None:
        raise Unavailable("the index can't be used now")

    with patch.object(Index, "write", refuse):
        assert await refusals(client, location) == 3 * [(503, "UNAVAILABLE")]
        assert (await push_manifest(client, "new", image())).refusal == (503, "UNAVAILABLE")
        assert (await client.delete(f"/v2/{REPOSITORY}/manifests/old")).refusal == (503, "UNAVAILABLE")
        assert (await client.get(f"/v2/{REPOSITORY}/manifests/old")).body == body

    assert (await client.put(f"{location}?digest={digest_of(CONTENT)}", CONTENT)).status == 201


async def test_a_storage_without_a_single_object_is_not_believed(client: Client, tmp_path: Path) -> None:
    """It may be a volume that is not mounted: then nothing is wrong with the blob."""
    digest = await push_blob(client, CONTENT)
    file = stored_file(tmp_path)

    file.unlink()
    answer = await client.get(f"/v2/{REPOSITORY}/blobs/{digest}")
    assert answer.refusal == (503, "UNAVAILABLE")
    assert str(tmp_path).encode() not in answer.body
    assert (await client.head(f"/v2/{REPOSITORY}/blobs/{digest}")).status == 200

    file.write_bytes(CONTENT)
    assert (await client.get(f"/v2/{REPOSITORY}/blobs/{digest}")).body == CONTENT


async def test_an_answer_that_can_not_be_finished_is_broken_off(client: Client, tmp_path: Path) -> None:
    """Several ranges are streamed: when the file ends too early, the client must see that."""
    content = 4_000_000 * b"x"
    digest = await push_blob(client, content)
    head = f"GET /v2/{REPOSITORY}/blobs/{digest} HTTP/1.1\r\nHost: a\r\nRange: bytes=0-9,20-3999999\r\n\r\n"
    stored_file(tmp_path).write_bytes(content[:100])

    async with client.socket() as socket:
        await socket.send(head.encode())
        with pytest.raises((EOFError, ConnectionError)):
            await socket.answer()
