"""`entrepot backup`, `entrepot restore` and `entrepot scrub --rebuild` as an operator types them."""

import io
import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from registry.cli.main import main


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`old` has an index with a user in it."""
    monkeypatch.chdir(tmp_path)
    assert main(["migrate", "--data", "old"]) == 0
    assert main(["group", "add", "dev", "--data", "old"]) == 0
    return tmp_path


def groups(capsys: pytest.CaptureFixture[str], data: str) -> list[str]:
    capsys.readouterr()
    assert main(["group", "list", "--json", "--data", data]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return [group["name"] for group in document["groups"]]


def test_into_a_file_and_back(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("index.backup").write_text("an older one")
    assert main(["backup", "index.backup", "--data", "old"]) == 0
    assert "secrets are in it" in capsys.readouterr().out
    assert Path("index.backup").stat().st_mode & 0o777 == 0o600
    assert not [path for path in folder.iterdir() if path.name.startswith(".index")]

    assert main(["restore", "index.backup", "--data", "new"]) == 0
    assert "entrepot scrub --rebuild" in capsys.readouterr().out
    assert groups(capsys, "new") == ["dev"]
    assert main(["restore", "index.backup", "--data", "new"]) == 1
    assert "is not empty" in capsys.readouterr().err


def test_into_the_storage_and_back(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert main(["backup", "--to-storage", "--keep", "1", "--data", "old"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[-1] == "1 older ones were discarded"
    location = told[-2].split(": ")[1]
    assert main(["backup", "list", "--data", "old"]) == 0
    assert capsys.readouterr().out.splitlines()[1:][0].endswith(location)

    assert main(["backup", "list", "--json", "--data", "old"]) == 0
    [listed] = json.loads(capsys.readouterr().out)["backups"]
    assert listed["location"] == location
    assert listed["size"] == next((folder / "old" / "storage").rglob(Path(location).name)).stat().st_size
    assert datetime.fromisoformat(listed["at"]).tzinfo is not None

    Path("new").mkdir()
    (folder / "old" / "storage").rename(folder / "new" / "storage")
    assert main(["backup", "list", "--data", "new"]) == 0
    assert location in capsys.readouterr().out, "it is found in the storage alone"
    assert main(["restore", "--from-storage", "blobs/ab/no.such", "--data", "new"]) == 1
    assert main(["restore", "--from-storage", location, "--data", "new"]) == 0
    assert groups(capsys, "new") == ["dev"]
    assert main(["scrub", "--rebuild", "--data", "new"]) == 0


def test_through_a_pipe(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert main(["backup", "-", "--data", "old"]) == 0
    written = capsysbinary.readouterr()
    assert b"rows, the state of" in written.err
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(written.out)))
    assert main(["restore", "-", "--data", "new"]) == 0
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(written.out[:100])))
    assert main(["restore", "-", "--data", "newer"]) == 1
    assert b"the backup is damaged" in capsysbinary.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["backup"], "say where to"),
        (["backup", "file", "--to-storage"], "say where to"),
        (["backup", "file", "--keep", "3"], "--to-storage"),
        (["backup", "--to-storage", "--keep", "0"], "from 1 up"),
        (["backup", "file", "--json"], "backup list --json"),
        (["restore"], "say where from"),
    ],
)
def test_what_makes_no_sense(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], why: str
) -> None:
    assert main([*arguments, "--data", "old"]) == 2
    assert why in capsys.readouterr().err


def test_where_nothing_can_be_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backup", "no/such/folder", "--data", "old"]) == 1
    assert "No such file" in capsys.readouterr().err
    assert main(["restore", "no-such-file", "--data", "new"]) == 1
    assert "No such file" in capsys.readouterr().err


def test_a_rebuild_leaves_an_index_in_use_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["repository", "set", "acme/app", "--description", "mine", "--data", "old"]) == 0
    assert main(["scrub", "--rebuild", "--data", "old"]) == 2
    assert "this index has content" in capsys.readouterr().err
