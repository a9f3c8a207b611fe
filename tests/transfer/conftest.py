"""The command line on a registry with accounts, and where it keeps what it knows: nowhere of this machine."""

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.engines.remote import Remote
from tests.support.server import RunningRegistry
from tests.unit.cli.conftest import PASSWORD, CommandLine, clean, command_line, server, there

__all__ = ["clean", "command_line", "server", "there"]

Report = dict[str, Any]
Move = Callable[..., Report]


@pytest.fixture(autouse=True)
def nobody_is_known(clean: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No engine of this machine is signed in anywhere, and no upload is remembered."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def move(there: CommandLine) -> Move:
    """Runs a command that has to work, signed in as `admin`; its report."""

    def move(*arguments: object) -> Report:
        report: Report = there.done(*map(str, arguments), "--json").document
        assert report["problems"] == []
        return report

    return move


@pytest.fixture
def remote(server: RunningRegistry) -> Remote:
    """What the registry says to `admin`."""
    return Remote(server.address, basic("admin", PASSWORD))


@pytest.fixture
def repository(request: pytest.FixtureRequest) -> str:
    """A repository that no other test uses."""
    return re.sub("[^a-z0-9]+", "-", request.node.name.lower()).strip("-")


def basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def knows(file: Path, **hosts: tuple[str, str]) -> Path:
    """What `docker login` writes."""
    entries = {
        host: {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}
        for host, (user, password) in hosts.items()
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"auths": entries}))
    return file
