"""`entrepot retention` and `entrepot in-use`, on the local index and on a running server alike."""

import json
import uuid
from pathlib import Path

import pytest

from tests.unit.cli.conftest import CommandLine

RUNNING = f"sha256:{64 * 'a'}"


def fresh(kind: str) -> str:
    """A name that nobody has: the tests share a server."""
    return f"{kind}-{uuid.uuid4().hex[:8]}"


def test_rules_are_set_listed_and_removed(entrepot: CommandLine) -> None:
    name, space = fresh("rule"), fresh("acme")
    conditions = ["--tags", "v*", "--tags", "b*", "--keep-last", "3", "--keep-last-by", "pulled"]
    said = entrepot.done(
        "retention", "set", name, "--repositories", f"{space}/**", *conditions, "--keep-pushed", "30d"
    )
    assert f"repositories  {space}/**" in said.out
    shown = entrepot.done("retention", "show", name, "--json").document
    assert (shown["tags"], shown["keep_last"], shown["keep_pushed_seconds"]) == (["v*", "b*"], 3, 2592000)
    assert "the last 3 pulled, pushed within 30d" in entrepot.done("retention", "list").out
    assert entrepot.done("retention", "disable", name).out == f"the rule {name} is disabled\n"
    assert entrepot.done("retention", "show", name, "--json").document["disabled"]
    entrepot.done("retention", "enable", name)
    entrepot.done("retention", "remove", name)
    assert entrepot("retention", "show", name).code == 1

    refused = entrepot("retention", "set", name, "--repositories", "**", "--tags", "*")
    assert (refused.code, "all of them would go" in refused.err) == (1, True)
    wrong = entrepot("retention", "set", name, "--repositories", "**", "--keep-last", "-1")
    assert wrong.code == 2


def test_what_runs_is_reported(entrepot: CommandLine) -> None:
    repository, reporter = f"{fresh('acme')}/app", fresh("prod")
    said = ["in-use", "report", "--reporter", reporter, "--lease", "2h"]
    assert entrepot.done(*said, f"{repository}@{RUNNING}").out.startswith("1 digests are kept until ")
    assert f"{repository}@{RUNNING}  {reporter}" in entrepot.done("in-use", "list").out
    entrepot.done(*said, "--stdin", typed="\n")
    assert repository not in entrepot.done("in-use", "list").out
    assert entrepot(*said, "--stdin", f"{repository}@{RUNNING}", typed="").code == 2
    assert entrepot(*said, "acme/app:latest").code == 1


def test_a_preview_says_a_line_for_each_tag(here: CommandLine, tmp_path: Path) -> None:
    said = here.done("retention", "preview")
    assert said.out == "no rule is for any of these repositories: nothing would go\n"
    assert here.done("retention", "run").out == "0 tags and 0 manifests were deleted\n"
    rule = tmp_path / "rule.json"
    rule.write_text(json.dumps({"name": "r", "repositories": "**", "keep_last": 1, "created_by": "me"}))
    lines = here.done("retention", "preview", "--rule", str(rule), "--json").out.splitlines()
    assert json.loads(lines[-1])["tags_dropped"] == 0
    assert here("retention", "preview", "--rule", str(rule), "--keep-last", "1").code == 2
    assert here("retention", "preview", "--tags", "*").code == 1


@pytest.mark.parametrize("value", ["x", "1.5", "-1"])
def test_a_number_of_tags_is_a_number(here: CommandLine, value: str) -> None:
    assert here("retention", "preview", "--keep-last", value).code == 2
