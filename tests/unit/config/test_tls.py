"""The settings of TLS: what belongs together, and what is said before a server starts."""

from pathlib import Path

import pytest

from registry.cli.certificates import prepare_certificate, trust_lines
from registry.cli.serving import welcome
from registry.config import ConfigError, Settings
from registry.config_sources import load
from tests.support.certificates import Authority


def problems(**variables: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load({}, None, {f"ENTREPOT_SERVER__{name}": value for name, value in variables.items()})
    return "\n".join(caught.value.problems)


def settings_of(data: Path, **server: object) -> Settings:
    return Settings.model_validate({"data": data, "server": server})


def test_no_tls_by_default_and_for_empty_values() -> None:
    loaded = load({}, None, {"ENTREPOT_SERVER__TLS": "", "ENTREPOT_SERVER__TLS_CERTIFICATE": ""})
    assert loaded.settings.server.scheme == Settings().server.scheme == "http"


def test_what_belongs_together() -> None:
    assert "belong together" in problems(TLS_CERTIFICATE="a.pem")
    assert "belong together" in problems(TLS_KEY="a.key")
    assert "keep one of them" in problems(TLS="auto", TLS_CERTIFICATE="a.pem", TLS_KEY="a.key")
    assert "should be 'auto'" in problems(TLS="on")


def test_files_are_tried_before_anything_listens(tmp_path: Path) -> None:
    certificate, key = Authority(tmp_path / "ca").issue("127.0.0.1")
    prepare_certificate(settings_of(tmp_path, tls_certificate=certificate, tls_key=key))
    with pytest.raises(ConfigError, match=r"server\.tls: can't read .*none: No such file"):
        prepare_certificate(settings_of(tmp_path, tls_certificate=certificate, tls_key=tmp_path / "none"))
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"server\.tls: .*file.*: Not a directory"):
        prepare_certificate(settings_of(tmp_path / "file", tls="auto"))


@pytest.mark.parametrize(
    ("server", "name"),
    [
        ({"listen": "192.0.2.7:5000"}, "192.0.2.7:5000"),
        ({"listen": "0.0.0.0:5000"}, "machine-7:5000"),
        ({"listen": "[::]:5000"}, "machine-7:5000"),
        ({"listen": "0.0.0.0:5000", "external_url": "https://r.example.com"}, "r.example.com"),
    ],
)
def test_lines_to_trust_it(
    tmp_path: Path, server: dict[str, str], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "machine-7")
    said = "\n".join(trust_lines(settings_of(tmp_path, tls="auto", **server)))
    assert f"{tmp_path}/tls/ca.pem" in said
    for place in ("docker", "containers", "containerd"):
        assert f"ca.pem /etc/{place}/certs.d/{name}/ca.crt" in said
    assert f'server = "https://{name}"' in said


def test_the_welcome_says_how_to_connect(tmp_path: Path) -> None:
    said = welcome(settings_of(tmp_path, tls="auto"))
    assert said[0].startswith("Entrepot listens on https://127.0.0.1:5000/")
    assert any("certs.d" in line for line in said)
    certificate, key = Authority(tmp_path / "ca").issue("127.0.0.1")
    own = welcome(settings_of(tmp_path, tls_certificate=certificate, tls_key=key))
    assert own[0].startswith("Entrepot listens on https://")
    assert not any("certs.d" in line for line in own), "the authority is not ours"
