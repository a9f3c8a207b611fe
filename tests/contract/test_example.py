"""The driver in docs/storage-drivers.md is a whole one, and can be installed as the page says."""

import re
import sys
import tomllib
from collections.abc import Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import pytest

from registry import drivers
from tests.contract.suite import StorageDriverContract

PAGE = (Path(__file__).parents[2] / "docs" / "storage-drivers.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


example = ModuleType("entrepot_sqlite")
exec(compile(blocks("python")[0], "docs/storage-drivers.md", "exec"), example.__dict__)


class TestExample(StorageDriverContract):
    driver_class = example.SqliteDriver

    @pytest.fixture
    def settings(self, tmp_path: Path) -> Mapping[str, object]:
        return {"path": str(tmp_path / "blobs.sqlite")}


def test_the_entry_point_on_the_page_leads_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "entrepot_sqlite", example)
    declared = tomllib.loads(blocks("toml")[0])["project"]["entry-points"]
    ((name, value),) = declared[drivers.GROUP].items()
    point = EntryPoint(name, value, drivers.GROUP)
    assert point.load() is example.SqliteDriver
    assert name == example.SqliteDriver.name
    assert list(tomllib.loads(blocks("toml")[1])["storage"][name]) == ["path"]


async def test_the_lines_on_the_page_join_the_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "entrepot_sqlite", example)
    joined: dict[str, type] = {}
    exec(compile(blocks("python")[1], "docs/storage-drivers.md", "exec"), joined)
    assert issubclass(joined["TestSqlite"], StorageDriverContract)
    assert joined["TestSqlite"].driver_class is example.SqliteDriver
