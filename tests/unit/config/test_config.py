"""The tree: defaults, what each value may be, and what must not go together."""

from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path

import pytest
from pydantic import ValidationError

from auth.addresses import is_loopback
from registry import drivers
from registry.config import Settings, usable_cores


def problems(tree: Mapping[str, object]) -> str:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate(tree)
    return "\n".join(f"{error['loc']}: {error['msg']}" for error in caught.value.errors())


def test_defaults_need_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings()

    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 5000)
    assert settings.server.workers == min(4, usable_cores())
    assert settings.index_url() == f"sqlite:///{tmp_path}/data/index.sqlite"
    assert settings.storage_settings() == {"root": f"{tmp_path}/data/storage"}


def test_settings_do_not_change() -> None:
    settings = Settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.data = Path("/elsewhere")
    with pytest.raises(ValidationError, match="frozen"):
        settings.server.workers = 2
    with pytest.raises(ValidationError, match="frozen"):
        settings.storage.driver = "memory"


@pytest.mark.parametrize(
    ("listen", "host", "port"),
    [
        ("127.0.0.1:80", "127.0.0.1", 80),
        ("localhost:65535", "localhost", 65535),
        ("[::1]:5000", "::1", 5000),
    ],
)
def test_listen_is_host_and_port(listen: str, host: str, port: int) -> None:
    server = Settings.model_validate({"server": {"listen": listen}}).server
    assert (server.host, server.port) == (host, port)


@pytest.mark.parametrize(
    "listen",
    ["", "5000", ":5000", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:٥",
     "::1:5000", "[::g]:5000", "[127.0.0.1]:5000", "http://127.0.0.1:5000", "127.0.0.1:5000\n", "a b:5000",
     "127.0.0.1:123456"],
)  # fmt: skip
def test_listen_must_be_whole(listen: str) -> None:
    assert "('server', 'listen')" in problems({"server": {"listen": listen}})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost", "LOCALHOST"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("listen", ["0.0.0.0:5000", "[::]:5000", "10.0.0.1:80", "registry.example.com:5000"])
def test_strangers_are_kept_out_of_an_open_registry(listen: str) -> None:
    server = {"listen": listen}
    found = problems({"server": server, "auth": {"mode": "open"}})
    assert listen in found
    assert "Set auth.mode to accounts" in found
    assert "--insecure-open" in found

    for mode in ("accounts", "open"):
        auth = {"mode": mode, "insecure_open": True}
        open_to_all = Settings.model_validate({"server": server, "auth": auth})
        assert (open_to_all.server.listen, open_to_all.open) == (listen, True)
    with_accounts = Settings.model_validate({"server": server})
    assert (with_accounts.server.listen, with_accounts.open) == (listen, False)


def test_memory_is_for_one_process() -> None:
    found = problems({"server": {"workers": 2}, "storage": {"driver": "memory"}})
    assert "server.workers is 2" in found
    assert "'memory'" in found

    alone = Settings.model_validate({"server": {"workers": 1}, "storage": {"driver": "memory"}})
    assert alone.storage_settings() == {}


def test_all_that_does_not_go_together_is_said_at_once() -> None:
    found = problems(
        {
            "server": {"listen": "0.0.0.0:1", "workers": 2},
            "storage": {"driver": "memory"},
            "auth": {"mode": "open"},
        }
    )
    assert "--insecure-open" in found
    assert "one process" in found


def test_trusted_proxies_are_networks() -> None:
    expected = (ip_network("10.0.0.0/8"), ip_network("::1/128"))
    for value in ("10.0.0.0/8,::1", "10.0.0.0/8, ::1", ["10.0.0.0/8", "::1"]):
        assert (
            Settings.model_validate({"server": {"trusted_proxies": value}}).server.trusted_proxies == expected
        )
    assert Settings.model_validate({"server": {"trusted_proxies": ""}}).server.trusted_proxies == ()


@pytest.mark.parametrize("value", ["10.0.0.1/8", "proxy.example.com", ["10.0.0.0/33"], 7, [7]])
def test_trusted_proxies_must_be_networks(value: object) -> None:
    assert "trusted_proxies" in problems({"server": {"trusted_proxies": value}})


@pytest.mark.parametrize(
    ("url", "becomes"),
    [
        ("https://registry.example.com", "https://registry.example.com"),
        ("http://registry.example.com:8080/", "http://registry.example.com:8080"),
        ("https://[::1]:8443", "https://[::1]:8443"),
        ("", None),
    ],
)
def test_external_url(url: str, becomes: str | None) -> None:
    assert Settings.model_validate({"server": {"external_url": url}}).server.external_url == becomes


@pytest.mark.parametrize(
    "url",
    ["registry.example.com", "ftp://a", "https://", "https://a/prefix", "https://a?b", "https://a#b",
     "https://me:pw@a", "https://a:99999", "https://a:b"],
)  # fmt: skip
def test_external_url_is_scheme_and_host(url: str) -> None:
    assert "external_url" in problems({"server": {"external_url": url}})


def test_path_prefix() -> None:
    for prefix, becomes in (("", ""), ("/", ""), ("/a", "/a"), ("/a/b.c/", "/a/b.c")):
        assert Settings.model_validate({"server": {"path_prefix": prefix}}).server.path_prefix == becomes
    for prefix in ("a", "/a//b", "/a b", "/%41", "/a?b", "/a\n", "https://a"):
        assert "path_prefix" in problems({"server": {"path_prefix": prefix}})


@pytest.mark.parametrize(
    ("url", "becomes"),
    [
        ("postgresql://u:p@h/d", "postgresql+psycopg://u:p@h/d"),
        ("postgresql+psycopg://u:p@h/d", "postgresql+psycopg://u:p@h/d"),
        ("sqlite:///relative.sqlite", "sqlite:///relative.sqlite"),
        ("sqlite:////absolute.sqlite", "sqlite:////absolute.sqlite"),
    ],
)
def test_index_url(url: str, becomes: str) -> None:
    settings = Settings.model_validate({"index": {"url": url}})
    assert settings.index_url() == becomes
    assert url not in repr(settings)


@pytest.mark.parametrize(
    "url",
    ["mysql://u:hunter2@h/d", "postgres+asyncpg://u:hunter2@h/d", "sqlite://", "sqlite:///:memory:",
     "hunter2", "sqlite:///file:hunter2?mode=memory", "postgresql:hunter2"],
)  # fmt: skip
def test_other_databases_are_refused_without_showing_the_secret(url: str) -> None:
    found = problems({"index": {"url": url}})
    assert "should" in found
    assert "hunter2" not in found


def test_a_data_folder_that_would_cut_the_index_url_short() -> None:
    assert "data" in problems({"data": "what?"})


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("server", "workers", 0), ("server", "workers", "two"), ("server", "drain_seconds", -1),
        ("server", "header_seconds", 0), ("server", "idle_seconds", float("nan")),
        ("server", "keepalive_seconds", float("inf")), ("index", "pool_size", 0),
        ("uploads", "expire_seconds", 0), ("uploads", "lease_seconds", -1.0), ("blobs", "lease_seconds", 0),
        ("manifests", "max_bytes", 10), ("manifests", "max_tags", 9), ("lists", "maximum", 0),
        ("lists", "default", 1001), ("log", "level", "loud"), ("log", "format", "xml"),
        ("deletion", "tags", "perhaps"), ("storage", "driver", "filesytem"),
        ("storage", "filesystem", "/srv"),
        ("server", "unheard_of", 1),
    ],
)  # fmt: skip
def test_values_out_of_bounds(section: str, key: str, value: object) -> None:
    assert section in problems({section: {key: value}})


def test_a_driver_gets_its_own_table_only() -> None:
    tables = {"driver": "filesystem", "filesystem": {"root": "/srv/blobs"}, "memory": {"x": 1}}
    assert Settings.model_validate({"storage": tables}).storage_settings() == {"root": "/srv/blobs"}


def test_drivers_are_found_by_name() -> None:
    assert {"filesystem", "memory"} <= set(drivers.driver_names())
    assert drivers.driver_class("memory").name == "memory"
    with pytest.raises(ValueError, match=r"no storage driver is called 'tape'; installed: .*filesystem"):
        drivers.driver_class("tape")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("nowhere.at_all:Driver", "can't be imported"),
        ("json:nothing", "can't be imported"),
        ("json:loads", "is no "),
    ],
)
def test_a_driver_that_is_broken_is_named(value: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = {"broken": drivers.EntryPoint("broken", value, drivers.GROUP)}
    monkeypatch.setattr(drivers, "_installed", lambda: broken)
    with pytest.raises(ValueError, match=f"'broken'.*{reason}"):
        drivers.driver_class("broken")
