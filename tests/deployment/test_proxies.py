"""The proxies' configurations in docs/operations.md, with the programs themselves in front of a registry."""

import os
import random
import re
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import pytest

from tests.architecture.pages import blocks
from tests.support.certificates import Authority
from tests.support.server import ROOT, free_port, start_registry
from tests.support.tools import tool

PAGE = ROOT / "docs" / "operations.md"
NAME = "registry.example.com"
MEBIBYTE = 1024 * 1024

Send = Callable[..., Any]
"""Method, path, body, header fields -> status, header fields, body."""


def configuration(language: str, index: int = 0) -> str:
    return [block.text for block in blocks(PAGE.read_text()) if block.language == language][index]


def put(text: str, changes: dict[str, str]) -> str:
    for old, new in changes.items():
        assert old in text, f"the page no longer has {old}"
        text = text.replace(old, new)
    return text


def nginx(folder: Path, port: int, upstream: str, files: tuple[Path, Path]) -> list[str]:
    server = put(
        configuration("nginx"),
        {
            "443 ssl": f"127.0.0.1:{port} ssl",
            "/etc/nginx/registry.pem": str(files[0]),
            "/etc/nginx/registry.key": str(files[1]),
            "127.0.0.1:5000": upstream,
        },
    )
    own = f"pid {folder}/pid; error_log {folder}/error.log; daemon off; events {{}}\n"
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    file = folder / "nginx.conf"
    file.write_text(f"{own}http {{\naccess_log off;\n{temporary}{server}\n}}\n")
    return [tool("nginx"), "-p", str(folder), "-c", str(file)]


def caddy(folder: Path, port: int, upstream: str, files: tuple[Path, Path]) -> list[str]:
    site = put(
        configuration("caddyfile"),
        {
            f"{NAME} {{": f"https://{NAME}:{port} {{\n    tls {files[0]} {files[1]}",
            "127.0.0.1:5000": upstream,
        },
    )
    file = folder / "Caddyfile"
    file.write_text(f"{{\n    admin off\n    auto_https off\n}}\n{site}\n")
    return [tool("caddy"), "run", "--config", str(file), "--adapter", "caddyfile"]


@pytest.fixture(params=[nginx, caddy], ids=lambda start: start.__name__)
def send(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Send]:
    """Sends requests to a registry through a proxy."""
    authority = Authority(tmp_path / "authority")
    files = authority.issue(NAME)
    registry = start_registry(
        tmp_path / "data",
        environment={
            "ENTREPOT_AUTH__MODE": "accounts",
            "ENTREPOT_AUTH__ADMIN_PASSWORD": "a-password-for-the-administrator",
            "ENTREPOT_SERVER__TRUSTED_PROXIES": "127.0.0.1",
            "ENTREPOT_LOG__LEVEL": "debug",
        },
    )
    port = free_port()
    command = request.param(tmp_path, port, registry.address, files)
    log = (tmp_path / "proxy.log").open("wb")
    home = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    process = subprocess.Popen(command, cwd=tmp_path, env=home, stdout=log, stderr=log)
    trust = ssl.create_default_context(cafile=authority.ca_file)

    def sent(method: str, path: str, body: Any = None, **fields: str) -> Any:
        connection = HTTPSConnection(NAME, port, timeout=30, context=trust)
        opened = socket.create_connection(("127.0.0.1", port), timeout=30)
        connection.sock = trust.wrap_socket(opened, server_hostname=NAME)
        try:
            connection.request(method, path, body, {key.replace("_", "-"): fields[key] for key in fields})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                if sent("GET", "/v2/")[0] == 401:
                    break
            except OSError:
                pass
            assert process.poll() is None, (tmp_path / "proxy.log").read_text()
            assert time.monotonic() < deadline, (tmp_path / "proxy.log").read_text()
            time.sleep(0.05)
        yield sent
    finally:
        process.terminate()
        process.wait(20)
        log.close()
        registry.kill()


def test_clients_are_told_the_address_that_they_used(send: Send) -> None:
    status, headers, _ = send("GET", "/v2/")
    port = re.search(rf'realm="https://{NAME}:(\d+)/v2/token"', headers["WWW-Authenticate"])
    assert (status, port is not None) == (401, True), headers["WWW-Authenticate"]
    assert send("GET", "/api/v1/openapi.json")[0] == send("GET", "/.well-known/jwks.json")[0] == 200
    assert b"UNSUPPORTED" not in send("GET", "/readyz")[2], "what is not the registry's stays with the proxy"


def test_large_bodies_go_through_as_they_come(send: Send, tmp_path: Path) -> None:
    """Beyond every limit and buffer that proxies have of their own. The registry sees the first half before
    the second one is sent."""
    content = random.Random(1).randbytes(24 * MEBIBYTE)
    digest = f"sha256:{sha256(content).hexdigest()}"
    basic = {"Authorization": "Basic YWRtaW46YS1wYXNzd29yZC1mb3ItdGhlLWFkbWluaXN0cmF0b3I="}
    status, headers, _ = send("POST", "/v2/acme/app/blobs/uploads/", **basic)
    assert status == 202
    staged = tmp_path / "data" / "storage" / "staging"

    def halves() -> Iterator[bytes]:
        yield content[: 12 * MEBIBYTE]
        deadline = time.monotonic() + 30
        while not any(path.stat().st_size > MEBIBYTE for path in staged.glob("*")):
            assert time.monotonic() < deadline, "the proxy keeps the body to itself"
            time.sleep(0.02)
        yield content[12 * MEBIBYTE :]

    status, _, said = send("PUT", f"{headers['Location']}?digest={digest}", halves(), **basic)
    assert status == 201, said
    status, headers, found = send("GET", f"/v2/acme/app/blobs/{digest}", **basic)
    assert (status, found == content) == (200, True)
    assert "Content-Encoding" not in headers


def test_traefik_waits_for_long_bodies() -> None:
    """It can't be run here: what is checked is that its files are YAML, and the one setting it needs."""
    yaml = pytest.importorskip("yaml")
    static, dynamic = (yaml.safe_load(configuration("yaml", index)) for index in (0, 1))
    (entry,) = static["entryPoints"].values()
    assert entry["transport"]["respondingTimeouts"]["readTimeout"] == "0s"
    router = dynamic["http"]["routers"]["registry"]
    assert set(router["entryPoints"]) == set(static["entryPoints"])
    assert router["service"] in dynamic["http"]["services"]
    assert "`/v2/`" in router["rule"]
