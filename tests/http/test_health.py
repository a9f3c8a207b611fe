"""`/healthz` and `/readyz`: what those who watch the process are told, and that they hear nothing else."""

import http.client
import json
import logging
import os
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

import pytest

from registry.index import Index, access
from registry.services import health
from registry.services.health import Health
from storage_drivers.filesystem import FilesystemDriver
from tests.http.accounts.conftest import Guarded, guarded
from tests.http.answers import Answer
from tests.http.client import Client
from tests.http.serving import Registries
from tests.support.postgres import PostgresServer
from tests.support.s3_server import S3Server
from tests.support.server import free_port, start_registry

__all__ = ["guarded"]

SQLITE = pytest.mark.parametrize("index_url", ["sqlite"], indirect=True)
"""For what has nothing to do with the index."""


@pytest.fixture(autouse=True)
def looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is remembered from one question to the next."""
    monkeypatch.setattr(health, "FRESH_SECONDS", -1.0)


def problems(answer: Answer) -> dict[str, str]:
    """The message about each part that is not there."""
    assert answer.refusal == (503, "UNAVAILABLE")
    assert answer.headers["Retry-After"]
    return {entry["detail"]["part"]: entry["message"] for entry in answer.errors}


async def test_all_is_well(client: Client) -> None:
    for path, body in {"/healthz": {"alive": True}, "/readyz": {"ready": True}}.items():
        answer = await client.get(path)
        assert (answer.status, answer.json) == (200, body)
        assert answer.headers["Cache-Control"] == "no-store"
        assert (await client.head(path)).headers["Content-Length"] == str(len(answer.body))
        assert (await client.post(path)).refusal == (405, "UNSUPPORTED")


@SQLITE
async def test_no_account_is_needed(guarded: Guarded) -> None:
    client = await guarded.start()
    for path in ("/healthz", "/readyz"):
        for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic bm9ib2R5Ong="}):
            assert (await client.get(path, headers)).status == 200


@pytest.mark.usefixtures("failures_are_logged")
async def test_a_database_that_is_gone(
    registries: Registries, postgres_server: PostgresServer, index_url: str
) -> None:
    """Alive all the same: a new process would find no database either."""
    if index_url.startswith("sqlite"):
        path = Path(index_url.removeprefix("sqlite:///"))
        client = await registries.start()
        assert (await client.get("/readyz")).status == 200
        path.write_bytes(b"no database" * 1000)
        path.with_name(f"{path.name}-wal").unlink(missing_ok=True)
        path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
    else:
        name = postgres_server.create_database()
        client = await registries.start(index={"url": postgres_server.url(name)})
        assert (await client.get("/readyz")).status == 200
        postgres_server.drop_database(name)

    answer = await client.get("/readyz")

    assert problems(answer).keys() == {"index"}
    assert b"entrepot_" not in answer.body, "nobody is told names"
    assert (await client.head("/readyz")).status == 503
    assert (await client.get("/healthz")).status == 200


@SQLITE
@pytest.mark.usefixtures("failures_are_logged")
async def test_a_storage_that_is_gone_and_comes_back(
    client: Client, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "storage"
    root.symlink_to(root)  # a file system that answers with errors, also to root

    for _ in range(2):
        answer = await client.get("/readyz")
        assert problems(answer) == {"storage": "the storage can't be used now"}
        assert str(tmp_path).encode() not in answer.body
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR] == [
        "not ready: the storage can't be used now"
    ], "it is told once"

    root.unlink()
    assert (await client.get("/readyz")).status == 200
    assert "the storage can be used again" in caplog.text


@SQLITE
@pytest.mark.usefixtures("failures_are_logged")
async def test_a_bucket_that_is_gone_and_comes_back(registries: Registries, s3_server: S3Server) -> None:
    """A bucket that is missing must not look like an object that is missing, as it does to HEAD."""
    bucket = s3_server.create_bucket()
    client = await registries.start(storage={"driver": "s3", "s3": s3_server.settings(bucket)})
    assert (await client.get("/readyz")).status == 200

    s3_server.client.delete_bucket(Bucket=bucket)
    assert problems(await client.get("/readyz")).keys() == {"storage"}
    s3_server.client.create_bucket(Bucket=bucket)
    assert (await client.get("/readyz")).status == 200


@SQLITE
@pytest.mark.usefixtures("failures_are_logged")
async def test_a_storage_that_nobody_serves(registries: Registries, s3_server: S3Server) -> None:
    nobody = s3_server.settings("bucket", f"http://127.0.0.1:{free_port()}")
    client = await registries.start(storage={"driver": "s3", "s3": nobody})

    assert problems(await client.get("/readyz")).keys() == {"storage"}
    assert (await client.get("/healthz")).status == 200


@SQLITE
@pytest.mark.usefixtures("failures_are_logged")
async def test_parts_that_never_answer(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One thread waits for each of them, however often is asked."""
    monkeypatch.setattr(health, "PATIENCE", 0.05)
    root = tmp_path / "storage"
    shutil.rmtree(root, ignore_errors=True)
    (root / "blobs").mkdir(parents=True)
    pipe = root / "blobs" / "none"
    os.mkfifo(pipe)  # opening it waits for who writes
    threads: list[object] = []
    read = FilesystemDriver.read

    def counted(driver: FilesystemDriver, location: str) -> object:
        threads.append(location)
        return read(driver, location)

    try:
        with patch.object(FilesystemDriver, "read", counted):
            for _ in range(5):
                assert problems(await client.get("/readyz")) == {"storage": "the storage does not answer"}
            assert (await client.get("/healthz")).status == 200
        assert len(threads) == 1
    finally:
        os.close(os.open(pipe, os.O_WRONLY))


@SQLITE
async def test_many_questions_are_one(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(health, "FRESH_SECONDS", 3600.0)
    asked = 0
    read = Index.read

    async def counted(index: Index, query: Callable[..., object]) -> object:
        nonlocal asked
        asked += query is access.epoch  # housekeeping reads, too
        return await read(index, query)

    with patch.object(Index, "read", counted):
        for _ in range(20):
            assert (await client.get("/readyz")).status == 200

    assert asked == 1
    assert not [record for record in caplog.records if record.name == "entrepot.access"]


@SQLITE
@pytest.mark.usefixtures("failures_are_logged")
async def test_the_log_tells_of_a_probe_only_when_something_is_wrong(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    def lines(level: int) -> list[str]:
        found = [record for record in caplog.records if record.name == "entrepot.access"]
        return [str(getattr(record, "request")["path"]) for record in found if record.levelno >= level]  # noqa: B009

    caplog.set_level(logging.DEBUG)
    for path in ("/healthz", "/readyz", "/healthz?x=1"):
        await client.get(path)
    assert (lines(logging.INFO), lines(logging.DEBUG)) == ([], ["/healthz", "/readyz", "/healthz"])

    async def wrong(_: Health) -> str:
        raise RuntimeError("a defect")

    with patch.object(Index, "read", wrong):
        assert problems(await client.get("/readyz")) == {"index": "the index fails; the log tells why"}
    assert lines(logging.INFO) == ["/readyz"]


def test_a_server_that_is_told_to_end_says_so_first(tmp_path: Path) -> None:
    """As long as is set it answers all else as before, so that a load balancer can turn away in peace."""
    running = start_registry(tmp_path / "data", environment={"ENTREPOT_SERVER__NOTICE_SECONDS": "100"})

    def ask(path: str) -> tuple[int, bytes]:
        with closing(http.client.HTTPConnection(running.address, timeout=10)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()

    try:
        assert ask("/readyz")[0] == 200
        running.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 30
        while (told := ask("/readyz"))[0] == 200:
            assert time.monotonic() < deadline, "the server never noticed"
        (entry,) = json.loads(told[1])["errors"]
        assert (told[0], entry["detail"]) == (503, {"part": "server"})
        assert ask("/healthz")[0] == ask("/v2/")[0] == 200
    finally:
        running.kill()
