"""Collection by the command line, on a running server: tests/faults runs it on a local index."""

import base64
import uuid
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from conformance.content import digest_of
from registry import cli
from tests.support.server import RunningRegistry
from tests.unit.cli.conftest import PASSWORD, CommandLine


def push(server: RunningRegistry, content: bytes) -> str:
    """A blob that no manifest needs; its digest."""
    digest = digest_of(content)
    sign_in = base64.b64encode(f"admin:{PASSWORD}".encode()).decode()
    request = Request(
        f"{server.url}/v2/collected/app/blobs/uploads/?digest={digest}",
        content,
        {"Content-Type": "application/octet-stream", "Authorization": f"Basic {sign_in}"},
        method="POST",
    )
    with urlopen(request) as answer:
        assert answer.status == 201
    return digest


def test_it_says_what_would_go_and_what_went(there: CommandLine, server: RunningRegistry) -> None:
    push(server, uuid.uuid4().bytes)

    preview = there.done("gc", "run", "--dry-run").out
    assert "a client was promised them until then" in preview
    assert "nothing needs them" not in preview
    shares = there.done("gc", "run", "--dry-run", "--purge-removed", "--json").document["shares"]
    leased = {share["kind"]: share for share in shares}["leased"]
    assert leased["blobs"] >= 1
    assert leased["until"] is not None

    said = there.done("gc", "run").out
    assert "0 blobs, 0 B, were given up: nothing needs them" in said
    status = there.done("gc", "status", "--json").document
    assert status["finished_at"] is not None
    assert status["last"]["blobs"] == 0
    assert status["waiting"]["links"] >= 1
    told = there.done("gc", "status").out
    assert "last finished" in told
    assert f"{status['waiting']['links']} in repositories" in told


def test_a_delay_that_is_shorter_than_signed_urls_live(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "entrepot.toml"
    config.write_text(
        '[storage]\ndriver = "s3"\n[storage.s3]\nbucket = "b"\nredirect = "on"\nredirect_seconds = 600\n'
        "[gc]\ndelay_seconds = 599\n"
    )
    assert cli.main(["config", "check", "--config", str(config)]) == 2
    assert "gc.delay_seconds (599) should be at least 600" in capsys.readouterr().err
    config.write_text(config.read_text().replace("599", "600"))
    assert cli.main(["config", "check", "--config", str(config)]) == 0
