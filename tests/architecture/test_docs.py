"""The pages tell what is there: commands that the command line takes, settings that exist, links that lead
somewhere. A mistake in any of them is found."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from auth.patterns import RepositoryPattern
from auth.roles import Action, Role
from registry.config import ConfigError
from registry.config_sources import known_keys, load
from storage_drivers.s3_settings import S3Settings
from tests.architecture.pages import (
    Block,
    blocks,
    broken_links,
    commands,
    every_command,
    refusal,
    shell_lines,
    spans,
)

ROOT = Path(__file__).resolve().parents[2]
OURS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES = [*OURS, ROOT / "benchmarks" / "README.md", ROOT / "conformance" / "README.md"]
DRIVERS = "storage-drivers.md"
"""Its tables are for a driver that is not installed here: tests/contract/test_example.py installs it."""

BUILT_IN = ("storage.filesystem.root", *(f"storage.s3.{field.name}" for field in fields(S3Settings)))
"""Settings of the drivers that come with the registry; drivers judge their tables themselves."""

VARIABLE = re.compile(r"ENTREPOT_[A-Z0-9_]*[A-Z0-9]")


@pytest.fixture(autouse=True)
def files_that_commands_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("cluster.json").write_text('{"keys": []}')
    Path("users.htpasswd").write_text("")


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


def wrong_commands(page: str) -> list[str]:
    """Calls of our program that it does not take. Within the text a group of commands may be named, too."""
    known = every_command()
    calls = [(number, call) for number, line in shell_lines(page) for call in commands(line)]
    named = [(number, call) for number, call in spans(page) if tuple(call) not in known]
    return [
        f"line {number}: {' '.join(call)}: {reason}"
        for number, call in [*calls, *named]
        if (reason := refusal(call)) is not None
    ]


def wrong_settings(block: Block, folder: Path) -> tuple[str, ...]:
    file = folder / "settings.toml"
    file.write_text(block.text)
    # What a page says beside the table: the password comes from a file of its own.
    bound = {"ENTREPOT_LDAP__BIND_PASSWORD": "secret"} if "bind_dn" in block.text else {}
    try:
        load({}, file, bound)
    except ConfigError as error:
        return error.problems
    return ()


def unknown_variables(page: str) -> set[str]:
    known = {f"ENTREPOT_{key.upper().replace('.', '__')}" for key in (*known_keys(), *BUILT_IN)}
    # Where the file is; and what Kubernetes sets for a Service, which is left alone.
    known |= {"ENTREPOT_CONFIG", "ENTREPOT_PORT", "ENTREPOT_SERVICE_HOST"}
    return {name for name in VARIABLE.findall(page) if name.removesuffix("_FILE") not in known}


@pytest.mark.parametrize("path", OURS, ids=ids)
def test_commands_are_taken(path: Path) -> None:
    assert wrong_commands(path.read_text()) == []


@pytest.mark.parametrize("path", [path for path in OURS if path.name != DRIVERS], ids=ids)
def test_settings_load(path: Path, tmp_path: Path) -> None:
    tables = [block for block in blocks(path.read_text()) if block.language == "toml"]
    assert [(block.line, wrong_settings(block, tmp_path)) for block in tables] == [
        (block.line, ()) for block in tables
    ]


@pytest.mark.parametrize("path", OURS, ids=ids)
def test_variables_of_the_environment_are_known(path: Path) -> None:
    assert unknown_variables(path.read_text()) == set()


@pytest.mark.parametrize("path", PAGES, ids=ids)
def test_links_lead_somewhere(path: Path) -> None:
    assert broken_links(path) == []


def test_the_table_of_settings_has_each_of_them() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    rows = set(re.findall(r"^\| `([a-z_.]+)` \|", page, re.MULTILINE))
    assert rows == {*known_keys(), BUILT_IN[0]}  # those of S3 are on a page of their own


def test_the_tables_of_commands_have_each_of_them() -> None:
    page = (ROOT / "docs" / "management.md").read_text()
    known = every_command()
    leaves = {
        words
        for words in known
        if not any(other[: len(words)] == words and other != words for other in known)
    }
    rows = re.findall(r"^\| `entrepot ([^`]+)` \|", page, re.MULTILINE)
    told = {
        max((words for words in leaves if tuple(row.split()[: len(words)]) == words), key=len) for row in rows
    }
    assert leaves - told == set()


def rows_below(page: str, titles: str) -> list[list[str]]:
    """The cells of the table that begins with a line of these titles."""
    lines = page[page.index(titles) :].splitlines()
    table = lines[2 : next(number for number, line in enumerate(lines) if not line.startswith("|"))]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def test_the_table_of_roles_is_right() -> None:
    page = (ROOT / "docs" / "accounts.md").read_text()
    rows = rows_below(page, f"| role | {' | '.join(Action)} |")
    told = {role.strip("`"): [cell == "yes" for cell in cells] for role, *cells in rows}
    assert told == {role: [action in role.actions for action in Action] for role in Role}


def test_the_table_of_patterns_is_right() -> None:
    page = (ROOT / "docs" / "accounts.md").read_text()
    rows = rows_below(page, "| pattern | matches | and not |")
    assert len(rows) > 5
    for pattern, matched, others in rows:
        matches = RepositoryPattern.parse(pattern.strip("`")).matches
        assert all(map(matches, re.findall("`(.+?)`", matched))), pattern
        assert not any(map(matches, re.findall("`(.+?)`", others))), pattern


PAGE = """
# Mistakes

Say `entrepot grant take user:alice`, or `entrepot grant`.

    entrepot user add alice; entrepot user add 'Alice B'
    echo secret | FOO=1 entrepot user add bob --password-stdin > out
    entrepot trust add gh \\
        --issuer https://example.com
    TOKEN=$(entrepot token make --user alice)   # no such command

[here](#mistakes) [there](#elsewhere) [page](missing.md) [web](https://example.com/x.md)
"""


def test_wrong_commands_are_found() -> None:
    found = wrong_commands(PAGE)
    assert [line.split(":")[0] for line in found] == ["line 6", "line 8", "line 10", "line 4"]
    assert "the name 'Alice B' should be" in found[0]
    assert "--audience" in found[1]
    assert "invalid choice: 'make'" in found[2]
    assert "invalid choice: 'take'" in found[3]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[audit]\nkept = 1", "audit.kept is unknown"),
        ('[auth]\nalgorithm = "HS256"', "'ES256' or 'EdDSA'"),
        ("[auth", "is not TOML"),
    ],
)
def test_wrong_settings_are_found(text: str, problem: str, tmp_path: Path) -> None:
    (block,) = blocks(f"1. a list\n\n   ```toml\n{text}\n   ```\n")
    assert any(problem in line for line in wrong_settings(block, tmp_path))


def test_wrong_links_and_variables_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    assert broken_links(page) == ["#elsewhere", "missing.md"]
    assert unknown_variables("ENTREPOT_AUTH__ADMIN_PASSWORD_FILE ENTREPOT_AUTH__MOOD") == {
        "ENTREPOT_AUTH__MOOD"
    }
