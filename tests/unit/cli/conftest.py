"""The command line, run in this process on an index of its own, or with a server that runs."""

import io
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from registry import cli
from tests.support.server import RunningRegistry, start_registry

PASSWORD = "correct-horse-battery"


class Said(NamedTuple):
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


class CommandLine:
    """Runs commands, each with the arguments that say where."""

    def __init__(
        self,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
        where: Sequence[str] = (),
    ) -> None:
        self._capsys = capsys
        self._monkeypatch = monkeypatch
        self.where = list(where)

    def __call__(self, *arguments: str, typed: str = "") -> Said:
        """`typed` is what standard input holds; it is no terminal."""
        self._monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        self._capsys.readouterr()
        code = cli.main([*arguments, *self.where])
        return Said(code, *self._capsys.readouterr())

    def done(self, *arguments: str, typed: str = "") -> Said:
        """The same, for what has to work."""
        said = self(*arguments, typed=typed)
        assert said.code == 0, said.err
        return said


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is set, and nobody is signed in anywhere."""
    for name in list(os.environ):
        if name.startswith("ENTREPOT_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def command_line(
    clean: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> CommandLine:
    return CommandLine(capsys, monkeypatch)


@pytest.fixture
def here(command_line: CommandLine, tmp_path: Path) -> CommandLine:
    """On an index in a folder of its own."""
    command_line.where = ["--data", str(tmp_path / "data")]
    return command_line


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    """A registry with accounts; the password of `admin` is PASSWORD."""
    settings = {"ENTREPOT_AUTH__MODE": "accounts", "ENTREPOT_AUTH__ADMIN_PASSWORD": PASSWORD}
    running = start_registry(tmp_path_factory.mktemp("server") / "data", environment=settings)
    yield running
    running.kill()


@pytest.fixture
def there(command_line: CommandLine, server: RunningRegistry) -> CommandLine:
    """On the server, signed in as `admin`."""
    command_line.where = ["--server", server.url]
    command_line.done("login", "--user", "admin", "--password-stdin", typed=f"{PASSWORD}\n")
    return command_line


@pytest.fixture(params=["here", "there"])
def entrepot(request: pytest.FixtureRequest) -> CommandLine:
    """Both ways to the management API."""
    found: CommandLine = request.getfixturevalue(request.param)
    return found
