"""The command line: what it prints, where, and with which exit code. Never a traceback."""

import json
import os
import socket
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from registry import cli
from registry.cli.serving import welcome
from registry.cli.settings_flags import FLAGS
from registry.config import Settings
from tests.support.server import start_registry

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("ENTREPOT_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def run(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """The command as a process of its own, in `folder`."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ENTREPOT_")}
    return subprocess.run(
        [sys.executable, "-m", "registry", *arguments],
        cwd=folder,
        env={**clean, "PYTHONPATH": str(ROOT), **(environment or {})},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_config_check(tmp_path: Path) -> None:
    done = run(["config", "check"], tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "the configuration is right\n", "")
    assert list(tmp_path.iterdir()) == [], "looking creates nothing"


def test_what_is_wrong_goes_to_standard_error_a_line_each(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text("[server]\nlistn = 1\nworker = 2\n")
    for command in (["serve"], ["migrate"], ["config", "check"], ["config", "show"]):
        done = run([*command, "--config", "x.toml"], tmp_path)
        assert done.returncode == 2
        assert done.stdout == ""
        assert done.stderr.splitlines() == [
            "entrepot: file x.toml: server.listn is unknown; the nearest is server.listen",
            "entrepot: file x.toml: server.worker is unknown; the nearest is server.workers",
        ]
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "arguments",
    [[], ["sevre"], ["config"], ["serve", "--lsten", "x"], ["serve", "--workers"], ["serve", "--work", "1"]],
)
def test_a_wrong_command_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments) == 2
    assert "usage: entrepot" in capsys.readouterr().err


def test_help_lists_every_flag(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["serve", "--help"]) == 0
    said = capsys.readouterr().out
    assert all(flag.name in said for flag in FLAGS)


def test_show_says_who_set_what(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENTREPOT_LOG__LEVEL", "debug")
    assert cli.main(["config", "show", "--listen", "127.0.0.1:1", "--no-access-log"]) == 0
    said = capsys.readouterr().out

    lines = {line.split(" = ")[0]: line for line in said.splitlines() if " = " in line}
    assert lines["listen"].endswith("# flag --listen")
    assert lines["level"].endswith("# environment ENTREPOT_LOG__LEVEL")
    assert lines["access"].startswith("access = false ")
    assert lines["data"].endswith("# default")
    document = tomllib.loads(said)
    assert document["server"]["listen"] == "127.0.0.1:1"


def test_what_show_prints_is_a_file_to_start_from(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENTREPOT_STORAGE__FILESYSTEM__ROOT", '/srv/a"b\\c')
    monkeypatch.setenv("ENTREPOT_SERVER__TRUSTED_PROXIES", "10.0.0.0/8")
    (tmp_path / "x.toml").write_text("[storage.filesystem]\nnested = {a = 1, b = ['x']}\n")
    assert cli.main(["config", "show", "--config", "x.toml", "--path-prefix", "/p"]) == 0
    (tmp_path / "shown.toml").write_text(capsys.readouterr().out)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)

    assert cli.main(["config", "show", "--json", "--config", "shown.toml"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["storage.filesystem.root"]["value"] == '/srv/a"b\\c'
    assert again["storage.filesystem.nested"]["value"] == {"a": 1, "b": ["x"]}
    assert again["server.trusted_proxies"]["value"] == ["10.0.0.0/8"]
    assert again["server.path_prefix"] == {"value": "/p", "source": "file shown.toml"}


def test_show_masks_secrets(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENTREPOT_INDEX__URL", "postgresql://me:hunter2@db/x")
    for arguments in (["config", "show"], ["config", "show", "--json"]):
        assert cli.main(arguments) == 0
        said = capsys.readouterr().out
        assert "hunter2" not in said
        assert "@db/x" in said


def test_every_flag_sets_its_key(capsys: pytest.CaptureFixture[str]) -> None:
    values = {
        "--listen": "127.0.0.1:7", "--data": "/d", "--workers": "3", "--external-url": "https://e",
        "--path-prefix": "/p", "--trusted-proxies": "::1", "--tls": "auto", "--log-level": "error",
    }  # fmt: skip
    for flag in FLAGS:
        given = [flag.name] if flag.constant is not None else [flag.name, values[flag.name]]
        assert cli.main(["config", "show", "--json", *given]) == 0
        row = json.loads(capsys.readouterr().out)[flag.key]
        assert row["source"] == f"flag {flag.name}"
        if flag.constant is not None:
            assert row["value"] is flag.constant


def test_migrate_creates_the_index(tmp_path: Path) -> None:
    done = run(["migrate", "--data", "deep/folder"], tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "the index is up to date\n", "")
    assert (tmp_path / "deep/folder/index.sqlite").exists()


@pytest.mark.parametrize("command", ["serve", "migrate"])
def test_a_data_folder_that_can_not_be(command: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    done = run([command, "--data", "file"], tmp_path)
    assert done.returncode == 1
    assert done.stderr == "entrepot: data: file: File exists\n"


def test_an_index_that_can_not_be_migrated(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/index.sqlite").write_bytes(b"no database at all, and long enough to be seen" * 50)
    done = run(["serve"], tmp_path)
    assert done.returncode == 1
    assert "file is not a database" in done.stderr
    assert "Traceback" not in done.stderr


def test_strangers_are_kept_out_of_an_open_registry(tmp_path: Path) -> None:
    done = run(["serve", "--listen", "0.0.0.0:5000"], tmp_path, {"ENTREPOT_AUTH__MODE": "open"})
    assert done.returncode == 2
    assert "--insecure-open" in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("server", "name"),
    [
        ({}, "127.0.0.1:5000"),
        ({"listen": "[::1]:5001"}, "[::1]:5001"),
        ({"listen": "0.0.0.0:5002"}, "localhost:5002"),
        ({"external_url": "https://registry.example.com"}, "registry.example.com"),
    ],
)
def test_three_commands_to_try(server: dict[str, object], name: str) -> None:
    said = welcome(Settings.model_validate({"server": server}))
    assert said[-2:] == [f"    docker tag alpine {name}/alpine", f"    docker push {name}/alpine"]
    assert f"data lies in {Path.cwd() / 'data'}" in said


def test_it_says_where_blobs_lie_when_not_with_the_data() -> None:
    said = welcome(Settings.model_validate({"storage": {"filesystem": {"root": "/srv/blobs"}}}))
    assert "blobs lie in /srv/blobs" in said
    elsewhere = Settings.model_validate({"index": {"url": "postgresql://me:hunter2@db/x"}})
    said = welcome(elsewhere)
    assert f"blobs lie in {Path.cwd() / 'data' / 'storage'}" in said
    assert "hunter2" not in "".join(said)


def test_serve_says_where_and_ends_with_zero(tmp_path: Path) -> None:
    running = start_registry(tmp_path / "data")
    assert running.stop() == 0
    assert f"http://{running.address}/, 1 worker\n" in running.log
    assert f"data lies in {tmp_path / 'data'}\n" in running.log
    assert f"    docker push {running.address}/alpine\n" in running.log


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run(["serve", "--listen", f"127.0.0.1:{taken.getsockname()[1]}"], tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "server.listen" in done.stderr


def test_the_driver_judges_its_own_table(tmp_path: Path) -> None:
    for command in (["serve"], ["config", "check"]):
        done = run(command, tmp_path, {"ENTREPOT_STORAGE__FILESYSTEM__ROT": "/srv"})
        assert done.returncode == 2
        assert done.stderr.startswith("entrepot: storage.filesystem: ")
        assert "'rot'" in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["version"]) == 0
    assert capsys.readouterr().out.startswith("entrepot")


def test_a_reader_that_has_enough_is_no_failure_to_talk_about() -> None:
    command = f"{sys.executable} -m registry config show | head -1"
    shown = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert shown.stdout.startswith("data = ")
    assert shown.stderr == ""
