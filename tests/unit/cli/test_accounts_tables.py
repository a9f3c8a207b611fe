"""What people read, and what the rows of commands make of a command line."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.cli.client.connection import read_all
from registry.cli.client.rows import Row, send
from registry.cli.client.tables import Facts, Listing, limits, plain, sentence, shown, table, when
from tests.unit.cli.conftest import CommandLine


@pytest.fixture
def far_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC-9")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_columns_line_up() -> None:
    columns = (("NAME", "name"), ("MEMBERS", "members"), ("NOTE", "note"))
    entries = [
        {"name": "dev", "members": ["user:alice", "robot:ci"], "note": None},
        {"name": "everybody", "members": [], "note": ""},
    ]
    assert table(columns, entries).splitlines() == [
        "NAME       MEMBERS               NOTE",
        "dev        user:alice, robot:ci  -",
        "everybody  -                     -",
    ]
    assert Facts(columns, "group")({"group": entries[0]}, {}).splitlines() == [
        "name     dev",
        "members  user:alice, robot:ci",
        "note     -",
    ]
    assert Listing("groups", "there are none", columns)({"groups": []}, {}) == "there are none"


@pytest.mark.usefixtures("far_east")
def test_times_are_those_of_the_clock_on_the_wall() -> None:
    entry = {"at": "2026-11-21T13:27:33.630572Z", "never": None}
    assert when("at")(entry) == "2026-11-21 22:27"
    assert when("at", seconds=True)(entry) == "2026-11-21 22:27:33"
    assert when("never", never="not yet")(entry) == "not yet"


@given(st.text())
def test_nothing_that_a_client_chose_does_anything_to_a_terminal(text: str) -> None:
    assert plain(text).isprintable()
    assert plain(text).replace("\n", "") == plain(text)
    if text.isprintable():
        assert plain(text) == text


def test_escapes_are_shown_as_what_they_are() -> None:
    assert shown("\x1b[2J\n") == "\\x1b[2J\\n"
    assert shown(True) == "yes"
    assert sentence("{name} is gone")(None, {"name": "a\rb"}) == "a\\rb is gone"


def test_limits_of_a_token() -> None:
    unlimited: dict[str, Any] = {"read_only": False, "repositories": [], "addresses": []}
    assert limits(unlimited) == "-"
    assert limits({"read_only": True, "repositories": ["acme/*"], "addresses": ["::1/128"]}) == (
        "read-only, acme/*, ::1/128"
    )


class Recorder:
    """An API that has 2,500 users, in pages as large as is asked for."""

    user: str | None = None

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, list[tuple[str, str]], object]] = []

    def call(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]] = (),
        body: Mapping[str, object] | None = None,
    ) -> Any:
        self.calls.append((method, path, list(query), body))
        asked = dict(query)
        first = int(asked.get("last", 0)) + 1
        users = list(range(first, min(first + int(asked.get("n", 100)), 2501)))
        return {"users": users, "next": users[-1] if users[-1] < 2500 else None}


def test_all_pages_are_read() -> None:
    api = Recorder()
    document = read_all(api, "/users", [("search", "x")], "users", "last")
    assert document == {"users": list(range(1, 2501)), "next": None}
    assert [dict(query).get("last") for _, _, query, _ in api.calls] == [None, "1000", "2000"]
    assert all(dict(query)["search"] == "x" for _, _, query, _ in api.calls)


@pytest.mark.parametrize(("limit", "calls"), [(1, 1), (1000, 1), (1001, 2), (2499, 3), (2500, 3), (9999, 3)])
def test_no_more_is_read_than_is_wanted(limit: int, calls: int) -> None:
    api = Recorder()
    document = read_all(api, "/users", [], "users", "last", limit)
    assert document["users"] == list(range(1, min(limit, 2500) + 1))
    assert (document["next"] is None) == (limit >= 2500)
    assert len(api.calls) == calls


@pytest.mark.parametrize(
    ("method", "path", "values", "called"),
    [
        ("GET", "/x/{name}", {"name": "a/b?"}, ("GET", "/x/a%2Fb%3F", [], None)),
        ("GET", "/x", {"search": "a"}, ("GET", "/x", [("search", "a")], None)),
        ("DELETE", "/x/{prefix}/-/{tag}", {"prefix": "a/b", "tag": "v"}, ("DELETE", "/x/a/b/-/v", [], None)),
        ("PUT", "/x/{name}", {"name": "a"}, ("PUT", "/x/a", [], None)),
        ("PUT", "/x/{name}", {"name": "a", "quota": None}, ("PUT", "/x/a", [], {"quota": None})),
        ("POST", "/x", {}, ("POST", "/x", [], {})),
    ],
)  # fmt: skip
def test_where_values_go(method: str, path: str, values: dict[str, Any], called: tuple[Any, ...]) -> None:
    api = Recorder()
    send(api, Row("x", "x", method, path, (), sentence("done")), values)
    assert api.calls == [called]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("user add Alice", "lower-case letters"),
        ("user add", "NAME"),
        ("user list --server", "--server"),
        ("user list --server http://127.0.0.1 --data x", "--server asks a running registry"),
        ("user list --server ftp://example.com", "https://registry.example.com"),
        ("user list --server http://a:b@example.com", "--user"),
        ("user list --server http://example.com:port", "https://registry.example.com"),
        ("user list --listen 127.0.0.1:1", "--listen"),
        ("user import /does/not/exist", "No such file"),
        ("user password alice", "--password-stdin"),
        ("group member add dev alice", "user:NAME"),
        ("robot create ci --expires soon", "30d"),
        ("robot create ci --repositories acme/**/x", "acme/**"),
        ("grant add user:alice owner acme/**", "reader, writer, maintainer, administrator"),
        ("grant remove user:alice", "PRINCIPAL ROLE PATTERN"),
        ("grant remove user:alice reader", "PRINCIPAL ROLE PATTERN"),
        ("trust add gh --issuer https://x --audience y --role reader --repositories acme/*", "--claim"),
        ("trust add gh --claim repository", "NAME=VALUE"),
        ("trust add gh --claim a=1 --claim a=2", "twice"),
        ("trust add gh --keys /does/not/exist", "No such file"),
        ("token create", "--user"),
        ("repository set acme/app", "--help"),
        ("repository set acme/app --quota much", "10GiB"),
        ("audit --since yesterday", "1h"),
        ("audit --limit 0", "number of entries"),
        ("login --server http://registry.example.com --user a --password-stdin", "--insecure-http"),
        ("login --server https://registry.example.com --user a", "--password-stdin"),
    ],
)
def test_a_wrong_command_line(line: str, said: str, command_line: CommandLine) -> None:
    answer = command_line(*line.split())
    assert (answer.code, answer.out) == (2, "")
    assert said in answer.err


def test_what_is_refused_before_anything_is_sent_names_no_secret(command_line: CommandLine) -> None:
    answer = command_line("user", "add", "alice", "--password-stdin", typed="\n")
    assert (answer.code, answer.err.splitlines()[-1]) == (1, "entrepot: standard input holds no password")
    weak = command_line("user", "add", "alice", "--password-stdin", typed="hunter2\n")
    assert weak.code == 1
    assert "entrepot: password: " in weak.err
    assert "hunter2" not in weak.err


def test_every_command_has_a_help(command_line: CommandLine) -> None:
    """argparse reads a % in a help text only then."""
    groups = ["user", "group", "group member", "robot", "token", "grant", "trust", "repository", "tag"]
    groups += ["quota", "upload", "keys"]
    for group in groups:
        said = command_line.done(*group.split(), "--help").out
        names = [line.split()[0] for line in said.splitlines() if line.startswith("    ") and line[4] != " "]
        assert names
        for found in names:
            assert command_line.done(*group.split(), found, "--help").out.startswith("usage: entrepot")
    for single in ("login", "logout", "whoami", "explain", "audit"):
        command_line.done(single, "--help")
