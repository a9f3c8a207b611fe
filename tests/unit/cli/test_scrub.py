"""`entrepot scrub` on files: what it says, its exit codes, and that it goes on after a kill."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from registry.cli.main import main
from registry.composition import Composition
from registry.config import Settings
from registry.gc.jobs import Jobs
from registry.index import jobs, open_index
from registry.oci.digest import Digest
from registry.oci.name import RepositoryName
from registry.services.upload_sessions import Body
from tests.contract.sources import runs_of

CONTENTS = [os.urandom(1000) for _ in range(6)]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an index and a few blobs; the configuration names it."""
    monkeypatch.chdir(tmp_path)
    assert main(["migrate"]) == 0
    asyncio.run(push(tmp_path / "data"))
    return tmp_path / "data"


async def push(data: Path) -> None:
    services = Composition(Settings(data=data, auth={"mode": "open"}))  # type: ignore[arg-type]
    for content in CONTENTS:
        digest = Digest.of(content)
        await services.uploads.whole(RepositoryName("acme/app"), digest, Body(runs_of(content)))  # type: ignore[arg-type]
    await services.close()


def file_of(data: Path, content: bytes) -> Path:
    (found,) = (data / "storage" / "blobs").rglob(f"{Digest.of(content).encoded}.*")
    return found


def test_what_is_right(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scrub"]) == 0
    assert "6 were read, 5.9 KiB; 0 are missing or wrong" in capsys.readouterr().out
    assert main(["scrub", "--status"]) == 0
    assert "the last scrub ended" in capsys.readouterr().out
    assert main(["scrub", "--quarantined"]) == 0
    assert "no blob is in quarantine" in capsys.readouterr().out


def test_what_is_found(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = file_of(data, CONTENTS[2])
    file.write_bytes(CONTENTS[2][::-1])
    digest = Digest.of(CONTENTS[2])
    extra = file.with_name(64 * "e" + "." + 32 * "0")
    extra.write_bytes(b"nobody's")
    os.utime(extra, (1.0, 1.0))

    assert main(["scrub", "--list", "found.jsonl", "--bytes-per-second", "0"]) == 1
    said = capsys.readouterr().out
    assert f"{digest}: the object has other bytes" in said
    assert "1 of 7 objects are unknown to the index" in said
    found = [json.loads(line) for line in Path("found.jsonl").read_text().splitlines()]
    location = str(file.relative_to(data / "storage"))
    assert found == [
        {"kind": "digest", "digest": digest, "location": location, "size": 1000},
        {"kind": "unknown", "location": str(extra.relative_to(data / "storage")), "size": 8},
    ]

    assert main(["scrub", "--status", "--json"]) == 1
    status: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert status["in_quarantine"] == 1
    assert status["under_way"] is None
    assert [finding["kind"] for finding in status["report"]["found"]] == ["digest", "unknown"]
    assert main(["scrub", "--quarantined"]) == 1
    assert digest in capsys.readouterr().out

    assert main(["scrub", "--discard-unknown", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["discarded"] == 1


@pytest.mark.usefixtures("data")
def test_what_can_not_be_meant(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scrub", "--server", "http://127.0.0.1:1"]) == 2
    assert "runs where storage and index are" in capsys.readouterr().err
    assert main(["scrub", "--status", "--quarantined"]) == 2
    assert main(["scrub", "--list", "missing/folder/file"]) == 2
    assert "missing/folder/file" in capsys.readouterr().err


def test_a_storage_that_is_not_mounted(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "storage").rename(data / "elsewhere")

    assert main(["scrub"]) == 2
    assert "is it mounted" in capsys.readouterr().err

    (data / "elsewhere").rename(data / "storage")
    assert main(["scrub"]) == 0


def test_while_another_process_scrubs(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def hold() -> int:
        index = open_index(f"sqlite:///{data / 'index.sqlite'}", pool_size=1)
        try:
            async with Jobs(index).hold("scrub"):
                return await asyncio.to_thread(main, ["scrub"])
        finally:
            await asyncio.to_thread(index.close)

    assert asyncio.run(hold()) == 2
    assert "by another process" in capsys.readouterr().err


@pytest.fixture
def slow_scrub(data: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """A process that scrubs a blob a step, and a step in some seconds."""
    program = (
        "import sys; from registry.gc import scrub_blobs; scrub_blobs.BATCH_BYTES = 1; "
        "from registry.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    arguments = [sys.executable, "-c", program, "scrub", "--bytes-per-second", "2000"]
    with subprocess.Popen(arguments, cwd=data.parent) as process:
        yield process
        process.kill()


def test_it_goes_on_after_a_kill(
    data: Path, slow_scrub: subprocess.Popen[bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    done = wait_for_some(data)
    slow_scrub.send_signal(signal.SIGKILL)
    slow_scrub.wait()
    assert main(["scrub", "--status", "--json"]) == 0
    under_way = json.loads(capsys.readouterr().out)["under_way"]
    assert 6 > under_way["blobs"] >= done
    asyncio.run(lapse(data))

    assert main(["scrub"]) == 0

    captured = capsys.readouterr()
    assert "going on where the scrub before left off" in captured.err
    assert "6 were read" in captured.out


def wait_for_some(data: Path) -> int:
    """How many blobs are done, as soon as two are."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        row = asyncio.run(job_of(data))
        if row is not None and row.state.get("blobs", 0) >= 2:
            return int(row.state["blobs"])
    raise AssertionError("the scrub gets nowhere")


async def job_of(data: Path) -> jobs.JobRow | None:
    index = open_index(f"sqlite:///{data / 'index.sqlite'}", pool_size=1)
    try:
        return await Jobs(index).get("scrub")
    finally:
        await asyncio.to_thread(index.close)


async def lapse(data: Path) -> None:
    """Let the time pass after which a dead process holds its job no more."""
    row = await job_of(data)
    assert row is not None
    index = open_index(f"sqlite:///{data / 'index.sqlite'}", pool_size=1)
    try:
        assert await index.write(lambda c: jobs.keep(c, "scrub", row.fence, 0.0))
    finally:
        await asyncio.to_thread(index.close)
