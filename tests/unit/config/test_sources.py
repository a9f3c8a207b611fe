"""Where settings come from, which one wins, and what is said about those that are wrong."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from registry.config import ConfigError
from registry.config_sources import MASK, Loaded, Value, effective, known_keys, load


def loaded(
    tmp_path: Path, toml: str | None = None, environment: Mapping[str, str] | None = None, **flags: object
) -> Loaded:
    """`flags` are written with two underscores for the dot."""
    file = None
    if toml is not None:
        file = tmp_path / "entrepot.toml"
        file.write_text(toml)
    given = {key.replace("__", "."): Value(value, "flag --it") for key, value in flags.items()}
    return load(given, file, environment or {})


def problems(
    tmp_path: Path, toml: str | None = None, environment: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, toml, environment)
    return caught.value.problems


def shown(found: Loaded) -> dict[str, tuple[object, str]]:
    return {key: (value, source) for key, value, source in effective(found)}


def test_each_source_wins_over_the_one_before(tmp_path: Path) -> None:
    toml = "[server]\nlisten = '127.0.0.1:1'\nworkers = 1\npath_prefix = '/file'\n"
    environment = {"ENTREPOT_SERVER__LISTEN": "127.0.0.1:2", "ENTREPOT_SERVER__WORKERS": "2"}
    found = loaded(tmp_path, toml, environment, server__listen="127.0.0.1:3")

    server = found.settings.server
    assert (server.listen, server.workers, server.path_prefix) == ("127.0.0.1:3", 2, "/file")
    rows = shown(found)
    assert rows["server.listen"] == ("127.0.0.1:3", "flag --it")
    assert rows["server.workers"] == (2, "environment ENTREPOT_SERVER__WORKERS")
    assert rows["server.path_prefix"] == ("/file", f"file {tmp_path / 'entrepot.toml'}")
    assert rows["log.level"] == ("info", "default")


def test_every_key_is_shown_once(tmp_path: Path) -> None:
    rows = [key for key, _value, _source in effective(loaded(tmp_path))]
    assert sorted(rows) == sorted(known_keys())


def test_the_file_may_be_named_by_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "entrepot.toml"
    file.write_text("data = '/srv'\n[log]\naccess = false\n")
    settings = load({}, None, {"ENTREPOT_CONFIG": str(file)}).settings
    assert settings.data == Path("/srv")
    assert settings.log.access is False


def test_the_environment_speaks_in_text(tmp_path: Path) -> None:
    environment = {
        "ENTREPOT_DATA": "/srv",
        "ENTREPOT_SERVER__TRUSTED_PROXIES": "10.0.0.0/8,192.168.0.1",
        "ENTREPOT_DELETION__TAGS": "false",
        "ENTREPOT_SERVER__DRAIN_SECONDS": "2.5",
        "ENTREPOT_STORAGE__FILESYSTEM__ROOT": "/blobs",
        "UNRELATED": "x",
    }
    settings = loaded(tmp_path, None, environment).settings
    assert [str(network) for network in settings.server.trusted_proxies] == ["10.0.0.0/8", "192.168.0.1/32"]
    assert settings.deletion.tags is False
    assert settings.server.drain_seconds == 2.5
    assert settings.storage_settings() == {"root": "/blobs"}


@pytest.mark.parametrize(
    ("toml", "said", "nearest"),
    [
        ("[server]\nlisten_on = 'x'", "server.listen_on is unknown", "server.listen"),
        ("[sever]\nlisten = 'x'", "sever.listen is unknown", "server.listen"),
        ("dta = 'x'", "dta is unknown", "data"),
        ("[logs]", "logs is unknown", "log.access"),
        ("[storage.filesytem]\nroot = 'x'", "storage.filesytem.root is unknown", "storage.filesystem"),
        ("[storage]\ndrivr = 'x'", "storage.drivr is unknown", "storage.driver"),
        ("[server.listen]\nport = 1", "server.listen.port is unknown", "server.listen"),
        ("[server]\ninsecure_open = true", "server.insecure_open is unknown", "auth.insecure_open"),
    ],
)
def test_an_unknown_key_of_the_file(toml: str, said: str, nearest: str, tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, toml)
    assert problem.startswith(f"file {tmp_path / 'entrepot.toml'}: {said}")
    assert problem.endswith(f"the nearest is {nearest}")


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        ("ENTREPOT_SERVER__LISTN", "ENTREPOT_SERVER__LISTEN"),
        ("ENTREPOT_SERVER_LISTEN", "ENTREPOT_SERVER__LISTEN"),
        ("ENTREPOT_DATA_DIR", "ENTREPOT_DATA"),
        ("ENTREPOT_CONFG", "ENTREPOT_CONFIG"),
        ("ENTREPOT_INDEX__URI_FILE", "ENTREPOT_INDEX__URL"),
        ("ENTREPOT_STORAGE__FILESYTEM__ROOT", "ENTREPOT_STORAGE__FILESYSTEM"),
    ],
)
def test_an_unknown_variable(variable: str, nearest: str, tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, None, {variable: "x"})
    assert problem == f"environment {variable}: {variable} is unknown; the nearest is {nearest}"


def test_variables_of_others_are_left_alone(tmp_path: Path) -> None:
    """Kubernetes describes a Service named entrepot in the environment of its pods."""
    environment = {
        "ENTREPOT_SERVICE_HOST": "10.0.0.1",
        "ENTREPOT_SERVICE_PORT": "80",
        "ENTREPOT_SERVICE_PORT_HTTP": "80",
        "ENTREPOT_PORT": "tcp://10.0.0.1:80",
        "ENTREPOT_PORT_80_TCP": "tcp://10.0.0.1:80",
        "ENTREPOT_PORT_80_TCP_PROTO": "tcp",
        "ENTREPOT_PORT_80_TCP_PORT": "80",
        "ENTREPOT_PORT_80_TCP_ADDR": "10.0.0.1",
        "ENTREPOT_TEST_REQUIRE_TOOLS": "1",
        "ENTREPOT_FAILPOINT": "",
    }
    assert loaded(tmp_path, None, environment).given == {}


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    found = problems(tmp_path, "dta = 1\n[server]\nport = 1\n", {"ENTREPOT_X": "1"})
    assert [problem.split(":")[1].split()[0] for problem in found] == ["dta", "server.port", "ENTREPOT_X"]

    found = problems(tmp_path, "[server]\nworkers = 0\n[log]\nlevel = 'loud'\n")
    assert len(found) == 2


def test_a_wrong_value_is_named_with_its_source_and_what_would_be_right(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, "[server]\nworkers = 2\n", {"ENTREPOT_SERVER__WORKERS": "many"})
    assert problem.startswith("environment ENTREPOT_SERVER__WORKERS: server.workers: 'many': input should be")

    (problem,) = problems(tmp_path, "[log]\nformat = 'xml'\n")
    assert "'text' or 'json'" in problem


def test_a_rule_between_settings_names_them(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, "[server]\nlisten = '0.0.0.0:5000'\n[auth]\nmode = 'open'\n")
    assert problem.startswith("settings: auth.mode is open and server.listen is 0.0.0.0:5000")
    (problem,) = problems(tmp_path, "[lists]\nmaximum = 5\n")
    assert problem == "settings: lists.default (100) should not be above maximum (5)"


def test_a_section_is_not_a_value(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, "server = 5\n")
    assert "server is a table" in problem
    (problem,) = problems(tmp_path, "[storage]\nfilesystem = '/srv'\n")
    assert "storage.filesystem is a table" in problem
    assert loaded(tmp_path, "[server]\n[storage.filesystem]\n").given == {}


@pytest.mark.parametrize("toml", ["[server", "a = 1\na = 2"])
def test_a_file_that_is_not_toml(toml: str, tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, toml)
    assert "is not TOML" in problem


def test_a_file_that_can_not_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing\.toml: can't be read: No such file"):
        load({}, tmp_path / "nothing.toml", {})
    (tmp_path / "latin.toml").write_bytes(b"data = '\xff'")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        load({}, tmp_path / "latin.toml", {})


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_value_from_a_file_loses_one_newline(ending: str, tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_bytes(f"postgresql://me:hunter2@db/entrepot{ending}".encode())
    found = loaded(tmp_path, None, {"ENTREPOT_INDEX__URL_FILE": str(secret)})

    assert found.settings.index_url() == "postgresql+psycopg://me:hunter2@db/entrepot"
    assert found.settings.index.url is not None
    assert shown(found)["index.url"] == (
        f"postgresql+psycopg://me:{MASK}@db/entrepot",
        "environment ENTREPOT_INDEX__URL_FILE",
    )


def test_only_one_newline_is_taken(tmp_path: Path) -> None:
    secret = tmp_path / "prefix"
    secret.write_text("/prefix\n\n")
    (problem,) = problems(tmp_path, None, {"ENTREPOT_SERVER__PATH_PREFIX_FILE": str(secret)})
    assert "server.path_prefix" in problem


def test_a_secret_file_that_is_missing_is_named(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, None, {"ENTREPOT_INDEX__URL_FILE": str(tmp_path / "gone")})
    assert problem.startswith("environment ENTREPOT_INDEX__URL_FILE: can't read the file")


def test_a_value_and_its_file_do_not_go_together(tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text("sqlite:///a")
    environment = {"ENTREPOT_INDEX__URL": "sqlite:///b", "ENTREPOT_INDEX__URL_FILE": str(secret)}
    (problem,) = problems(tmp_path, None, environment)
    assert "index.url is also set by environment ENTREPOT_INDEX__URL" in problem


@pytest.mark.parametrize(
    "url",
    ["postgresql://me:hunter2@db/x", "postgresql://me:hun/ter2@hunter2@db/x", "postgresql://:hunter2@db/x",
     "postgresql://db/x?password=hunter2&sslmode=require", "postgresql://me@db/x?sslpassword=hunter2"],
)  # fmt: skip
def test_a_password_is_never_shown(url: str, tmp_path: Path) -> None:
    rows = shown(loaded(tmp_path, None, {"ENTREPOT_INDEX__URL": url}))
    assert "hunter2" not in str(rows)
    assert "db/x" in str(rows["index.url"])
    assert MASK in str(rows["index.url"])


@pytest.mark.parametrize("bad", ["mysql://me:hunter2@db/x", "hunter2"])
def test_a_secret_that_is_wrong_is_not_repeated(bad: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(bad)
    for environment in (
        {"ENTREPOT_INDEX__URL": bad},
        {"ENTREPOT_INDEX__URL_FILE": str(secret)},
        {"ENTREPOT_SERVER__WORKERS_FILE": str(secret)},
    ):
        (problem,) = problems(tmp_path, None, environment)
        assert "hunter2" not in problem
        assert "hidden" in problem


def test_secrets_in_the_table_of_a_driver_are_masked(tmp_path: Path) -> None:
    toml = """
    [storage.filesystem]
    root = "/srv"
    secret_key = "hunter2"
    api_token = "hunter2"
    endpoint = "https://me:hunter2@host/x"
    [storage.filesystem.nested]
    password = "hunter2"
    retries = 3
    """
    secret = tmp_path / "plain"
    secret.write_text("hunter2")
    rows = shown(loaded(tmp_path, toml, {"ENTREPOT_STORAGE__FILESYSTEM__PLAIN_FILE": str(secret)}))

    assert "hunter2" not in json.dumps(rows)
    assert rows["storage.filesystem.root"][0] == "/srv"
    assert rows["storage.filesystem.nested"][0] == {"password": MASK, "retries": 3}
    assert rows["storage.filesystem.plain"] == (MASK, "environment ENTREPOT_STORAGE__FILESYSTEM__PLAIN_FILE")


def test_the_table_in_the_manual_is_the_tree() -> None:
    manual = (Path(__file__).resolve().parents[3] / "docs" / "operations.md").read_text()
    rows = [
        line.split("|") for line in manual.splitlines() if line.startswith("| `") and line.count("|") == 4
    ]
    described = {row[1].strip(" `") for row in rows}
    assert described == {*known_keys(), "storage.filesystem.root"}
