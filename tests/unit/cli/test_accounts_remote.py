"""`entrepot login`: how somebody is signed in at a server, what is kept, and what is never sent where."""

import json
import ssl
import stat
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from registry.cli.client import passwords, sign_ins
from registry.cli.client.http import server_url
from registry.cli.commands import CommandError, UsageError
from tests.support.certificates import Authority
from tests.support.server import RunningRegistry, start_registry
from tests.unit.cli.conftest import PASSWORD, CommandLine

Answer = tuple[int, dict[str, str], bytes]


class Impostor:
    """A server that answers everything alike, and remembers what it was asked."""

    def __init__(self, answer: Answer, tls: ssl.SSLContext | None = None) -> None:
        self.seen: list[tuple[str, str | None]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.seen.append((self.path, self.headers.get("Authorization")))
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, fields, body = answer
                self.send_response(status)
                for name, value in {**fields, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET  # noqa: N815

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        scheme = "http" if tls is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def impostor() -> Iterator[Callable[..., Impostor]]:
    started: list[Impostor] = []

    def start(answer: Answer, tls: ssl.SSLContext | None = None) -> Impostor:
        started.append(Impostor(answer, tls))
        return started[-1]

    yield start
    for server in started:
        server.close()


def credentials(tmp_path: Path) -> Path:
    return tmp_path / "home/entrepot/credentials.json"


def login(
    command_line: CommandLine, url: str, password: str = PASSWORD, user: str = "admin"
) -> tuple[int, str]:
    said = command_line("login", "--server", url, "--user", user, "--password-stdin", typed=f"{password}\n")
    assert password not in said.out + said.err
    return said.code, said.out if said.code == 0 else said.err


def test_login_is_kept_for_its_user_alone(
    command_line: CommandLine, server: RunningRegistry, tmp_path: Path
) -> None:
    code, said = login(command_line, server.url)
    assert (code, said) == (
        0,
        f"signed in at {server.url} as admin; now try: entrepot whoami --server {server.url}\n",
    )
    file = credentials(tmp_path)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert PASSWORD not in file.read_text()
    assert [entry.name for entry in file.parent.iterdir()] == ["credentials.json"]
    command_line.where = ["--server", f"{server.url}/"]
    assert command_line.done("whoami", "--json").document["principal"] == "user:admin"


def test_logout_revokes_what_login_got(
    command_line: CommandLine, server: RunningRegistry, tmp_path: Path
) -> None:
    login(command_line, server.url)
    kept = credentials(tmp_path).read_text()
    command_line.where = ["--server", server.url]
    assert command_line.done("logout").out == f"signed out at {server.url}\n"
    again = f"sign in with: entrepot login --server {server.url} --user"
    assert f"nobody is signed in at {server.url}; {again} NAME" in command_line("user", "list").err

    credentials(tmp_path).write_text(kept)
    said = command_line("user", "list")
    assert said.code == 1
    assert said.err.endswith(f"{again} admin\n")
    said = command_line("logout")
    assert said.code == 1
    assert "forgotten here, but not revoked there" in said.out
    assert json.loads(credentials(tmp_path).read_text()) == {"servers": {}}


def test_a_robot_manages_what_it_may_and_can_not_revoke(there: CommandLine, server: RunningRegistry) -> None:
    secret = there.done("robot", "create", "manager", "--json").document["secret"]
    there.done("grant", "add", "robot:manager", "maintainer", "acme/**")
    where, there.where = there.where, []
    assert login(there, server.url, secret, "manager")[0] == 0
    there.where = where
    there.done("repository", "set", "acme/app", "--description", "by a robot")
    denied = there("user", "list")
    assert (denied.code, denied.out) == (1, "")
    assert "administrator" in denied.err
    assert "only users revoke" in there("logout").out


def test_a_wrong_password(command_line: CommandLine, server: RunningRegistry, tmp_path: Path) -> None:
    code, said = login(command_line, server.url, "not-the-password", "somebody")
    assert code == 1
    assert said == (
        f"entrepot: {server.url} does not let somebody in: the user name or the password is wrong\n"
    )
    assert not credentials(tmp_path).exists()


def test_a_registry_behind_a_path(command_line: CommandLine, tmp_path: Path) -> None:
    settings = {"ENTREPOT_AUTH__MODE": "accounts", "ENTREPOT_AUTH__ADMIN_PASSWORD": PASSWORD}
    arguments = ["--path-prefix", "/images"]
    running = start_registry(tmp_path / "data", arguments=arguments, environment=settings, wait=False)
    try:
        while login(command_line, f"{running.url}/images")[0] != 0:
            assert running.process.poll() is None, running.log
        command_line.where = ["--server", f"{running.url}/images/"]
        assert command_line.done("user", "list", "--json").document["users"][0]["name"] == "admin"
    finally:
        running.kill()


def test_a_registry_without_accounts(command_line: CommandLine, tmp_path: Path) -> None:
    running = start_registry(tmp_path / "data")
    try:
        code, said = login(command_line, running.url)
        assert (code, said) == (1, "entrepot: this registry has no accounts, so nobody can sign in\n")
    finally:
        running.kill()


def test_one_s_own_password_needs_the_one_of_now(there: CommandLine, server: RunningRegistry) -> None:
    there.done("user", "add", "carol", "--password-stdin", typed=f"{PASSWORD}\n")
    where, there.where = there.where, []
    login(there, server.url, user="carol")
    there.where = where
    change = ["user", "password", "carol", "--password-stdin"]
    wrong = there(*change, typed="not-the-password\nanother-password\n")
    assert (wrong.code, wrong.err) == (1, "entrepot: the current password is wrong\n")
    there.done(*change, typed=f"{PASSWORD}\nanother-password\n")
    assert "sign in with: entrepot login" in there("whoami").err
    there.where = []
    assert login(there, server.url, "another-password", "carol")[0] == 0


def test_what_is_done_on_the_index_counts_on_the_server(
    command_line: CommandLine, server: RunningRegistry
) -> None:
    here = ["--data", str(server.data)]
    add = ["user", "add", "erin", "--password-stdin", *here]
    assert command_line.done(*add, typed=f"{PASSWORD}\n").err == ""
    assert login(command_line, server.url, user="erin")[0] == 0
    assert command_line.done("whoami", "--server", server.url).out.startswith("principal      user:erin\n")
    command_line.done("user", "disable", "erin", *here)
    assert command_line("whoami", "--server", server.url).code == 1
    assert login(command_line, server.url, user="erin")[0] == 1


def test_at_a_terminal_passwords_are_asked_for(there: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    typed = ["first-password", "other-password", "first-password", "first-password", PASSWORD]
    asked: list[str] = []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return typed.pop(0)

    monkeypatch.setattr(passwords, "at_terminal", lambda: True)
    monkeypatch.setattr("getpass.getpass", ask)
    differ = there("user", "add", "dave")
    assert (differ.code, differ.err) == (1, "entrepot: the two passwords differ; nothing was changed\n")
    assert there.done("user", "add", "dave").out == "the user dave was made\n"
    there.done("login", "--user", "admin")
    assert asked[:4] == ["New password: ", "Again: "] * 2
    assert asked[4].startswith("Password of admin at http://127.0.0.1:")


def test_a_redirect_is_not_followed(command_line: CommandLine, impostor: Callable[..., Impostor]) -> None:
    thief = impostor((200, {}, b"{}"))
    server = impostor((307, {"Location": f"{thief.url}/v2/token"}, b""))
    code, said = login(command_line, server.url)
    assert code == 1
    assert thief.url in said
    assert thief.seen == []


@pytest.mark.parametrize(
    "answer",
    [
        (200, {}, b"<html>It works!</html>"),
        (200, {}, b"[]"),
        (200, {}, b""),
        (502, {}, b"<html>Bad Gateway</html>"),
        (403, {}, b'{"errors": "no"}'),
    ],
)
def test_what_is_no_registry(
    answer: Answer, command_line: CommandLine, impostor: Callable[..., Impostor]
) -> None:
    code, said = login(command_line, impostor(answer).url)
    assert code == 1
    assert "not" in said
    assert said.endswith("as Entrepot does: is this its address?\n")


def test_what_a_server_says_does_nothing_to_the_terminal(
    command_line: CommandLine, impostor: Callable[..., Impostor]
) -> None:
    body = json.dumps({"errors": [{"code": "DENIED", "message": "\x1b[2Jgone"}]}).encode()
    _, said = login(command_line, impostor((429, {"Retry-After": "7"}, body)).url)
    assert "\\x1b[2Jgone; try again in 7 seconds" in said


def test_certificates_are_checked(
    command_line: CommandLine, impostor: Callable[..., Impostor], tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "authority")
    certificate, key = authority.issue("127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    tokens = json.dumps({"access_token": "a", "refresh_token": "r"}).encode()
    server = impostor((200, {}, tokens), context)

    code, said = login(command_line, server.url)
    assert code == 1
    assert "its certificate is not trusted" in said
    assert "--ca-file" in said
    assert server.seen == []

    command_line.where = ["--ca-file", str(authority.ca_file)]
    assert login(command_line, server.url)[0] == 0
    found = sign_ins.find(server.url)
    assert found is not None
    assert found.ca_file == str(authority.ca_file)
    command_line.where = ["--server", server.url]
    assert command_line.done("whoami", "--json").document["access_token"] == "a"
    assert server.seen[-1] == ("/api/v1/account", "Bearer a")

    missing = ["--ca-file", str(tmp_path / "missing.pem")]
    command_line.where = missing
    assert "holds no certificates" in login(command_line, server.url)[1]


def test_nobody_is_there(command_line: CommandLine, tmp_path: Path) -> None:
    code, said = login(command_line, "http://127.0.0.1:1")
    assert (code, said) == (1, "entrepot: http://127.0.0.1:1 can't be reached: Connection refused\n")
    credentials(tmp_path).parent.mkdir(parents=True)
    credentials(tmp_path).write_text("half of it")
    command_line.where = ["--server", "http://127.0.0.1:1"]
    damaged = command_line("whoami")
    assert damaged.code == 1
    assert f"{credentials(tmp_path)} is damaged" in damaged.err


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("registry.example.com", "https://registry.example.com"),
        ("HTTPS://Registry.Example.com:5000/Images/", "https://registry.example.com:5000/Images"),
        ("http://localhost:5000", "http://localhost:5000"),
        ("http://[::1]:5000/", "http://[::1]:5000"),
    ],
)
def test_addresses(text: str, url: str) -> None:
    assert server_url(text) == url


@pytest.mark.parametrize(
    "text",
    ["", "https://", "ftp://a", "https://a b", "https://a\n", "https://me:pw@a", "https://a?x", "https://a#x",
     "https://a:99999", "http://[::1", "http://192.0.2.1", "http://localhost.example.com"],
)  # fmt: skip
def test_what_is_no_address_or_not_a_safe_one(text: str) -> None:
    with pytest.raises(UsageError) as found:
        server_url(text)
    assert "pw@" not in str(found.value)


def test_what_is_wanted_in_clear_is_remembered_for_that_server_only(
    clean: None, command_line: CommandLine
) -> None:
    sign_ins.keep(sign_ins.SignIn("http://192.0.2.1", "alice", "r", insecure_http=True))
    sign_ins.keep(sign_ins.SignIn("http://192.0.2.2", "alice", "r"))
    assert server_url("http://192.0.2.1", insecure_http=True) == "http://192.0.2.1"
    command_line.where = ["--server", "http://192.0.2.2"]
    assert "is not encrypted" in command_line("whoami").err
    sign_ins.forget("http://192.0.2.2")
    assert sign_ins.find("http://192.0.2.2") is None
    found = sign_ins.find("http://192.0.2.1")
    assert found is not None
    assert found.insecure_http


def test_a_home_that_can_not_be_written(clean: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    with pytest.raises(CommandError, match="Not a directory"):
        sign_ins.keep(sign_ins.SignIn("https://a", "alice", "r"))
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    sign_ins.keep(sign_ins.SignIn("https://a", "alice", "r"))
    assert (tmp_path / "home/.config/entrepot/credentials.json").exists()
