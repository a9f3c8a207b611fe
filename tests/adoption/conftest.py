"""The command line on an index of its own, whose storage is where another registry had its own."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.adoption.old_registry import Tree
from tests.unit.cli.conftest import CommandLine, clean, command_line

__all__ = ["clean", "command_line"]

Adopt = Callable[..., Mapping[str, Any]]


@pytest.fixture
def environment() -> dict[str, str]:
    """Settings of the registry that adopts, for the command line and for a server."""
    return {}


@pytest.fixture
def run(
    command_line: CommandLine,
    environment: dict[str, str],
    sqlite_template: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> CommandLine:
    """Runs `entrepot` in this process with these settings."""
    (tmp_path / "data").mkdir()
    shutil.copy(sqlite_template, tmp_path / "data")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    command_line.where = ["--data", str(tmp_path / "data")]
    return command_line


@pytest.fixture
def adopt(run: CommandLine) -> Adopt:
    """Adopts; its report. It ends with 1 when something was left out."""

    def adopt(*arguments: str) -> Mapping[str, Any]:
        said = run("adopt", "--json", *arguments)
        report: Mapping[str, Any] = said.document
        assert said.code == (1 if report["problems"] else 0), said.err
        return report

    return adopt


@pytest.fixture
def tree(clean: None, tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Tree:
    """An old tree made by hand, in the place where the registry's storage is."""
    environment["ENTREPOT_STORAGE__FILESYSTEM__ROOT"] = str(tmp_path / "old")
    monkeypatch.setenv("ENTREPOT_STORAGE__FILESYSTEM__ROOT", str(tmp_path / "old"))
    return Tree(tmp_path / "old")
