"""`entrepot retention`: which tags are kept, what that would mean, and doing it."""

import argparse
import json
from collections.abc import Iterator
from typing import Any

from auth.patterns import TagPattern
from registry.cli.client.arguments import (
    NAME,
    Argument,
    Collect,
    checked,
    duration,
    json_file,
    name,
    option,
    pattern,
)
from registry.cli.client.connection import Api, connect, connection_parent
from registry.cli.client.rows import Row, add_row, state_rows
from registry.cli.client.tables import Facts, Listing, plain, sentence, state, when
from registry.cli.commands import Commands, UsageError, add_command, add_group
from registry.oci.sizes import said_size
from registry.services.retention.spans import said_span

PAGE = 1000
"""Verdicts in an answer."""


def count(text: str) -> int:
    """A number of tags."""
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} should be a number, 0 or more")
    return int(text)


def _tag_pattern(text: str) -> object:
    return TagPattern.parse(text) if text else None


def _tags(flag: str, field: str, help: str) -> Argument:
    return option(flag, field, "PATTERN", help, type=checked(_tag_pattern), action=Collect)


CONDITIONS = (
    _tags("--tags", "tags", "the tags that it decides about, may be repeated; by default all; '' for none"),
    option("--keep-last", "keep_last", "N", "keep so many tags of each repository; 0: none", type=count),
    option(
        "--keep-last-by", "keep_last_by", "WHAT", "which are the last: pushed or pulled",
        choices=("pushed", "pulled"),
    ),
    _tags("--keep-tags", "keep_tags", "keep tags that match, may be repeated"),
    option(
        "--keep-pushed", "keep_pushed_seconds", "TIME", "keep tags pushed within this time, like 30d",
        type=duration,
    ),
    option(
        "--keep-pulled", "keep_pulled_seconds", "TIME", "keep tags pulled or pushed within this time",
        type=duration,
    ),
    option(
        "--untagged", "untagged_seconds", "TIME",
        "delete manifests that have had no tag for so long; by default they are kept", type=duration,
    ),
)  # fmt: skip


def add(commands: Commands, settings: argparse.ArgumentParser) -> None:
    """Add `retention`."""
    group = add_group(commands, "retention", "which tags are kept, and which go")
    for row in ROWS:
        add_row(group, row)
    preview = add_command(
        group, "preview", _preview, "show what would be kept and what not, and why", connection_parent()
    )
    _add_scope(preview)
    preview.add_argument("--dropped", action="store_true", help="only what would not be kept")
    preview.add_argument(
        "--rule", type=json_file, metavar="FILE", help="try a rule that is not set: JSON, as `show` gives it"
    )
    preview.add_argument("--name", type=name, default="tried", help="of the rule that is tried by flags")
    for argument in CONDITIONS:
        argument.add_to(preview)
    run = add_command(group, "run", _run, "delete now what no rule keeps", connection_parent())
    _add_scope(run)


def _add_scope(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--repository",
        type=pattern,
        default="**",
        metavar="PATTERN",
        help="only these, like acme/app or acme/**",
    )


def _preview(parsed: argparse.Namespace) -> int:
    question: dict[str, Any] = {"repositories": parsed.repository}
    tried = _tried(parsed)
    if tried is not None:
        question["rule"] = tried
    with connect(parsed) as api:
        for verdict in _verdicts(api, question):
            if not (parsed.dropped and verdict["kept"]):
                print(json.dumps(verdict) if parsed.json else verdict_line(verdict))
        summary = api.call("POST", "/retention/summary", body=question)
    print(json.dumps(summary) if parsed.json else summary_text(summary))
    return 0


def _tried(parsed: argparse.Namespace) -> dict[str, Any] | None:
    """The rule that is not set, from a file or from flags. Raises UsageError."""
    fields = [argument.field for argument in CONDITIONS]
    given = {field: getattr(parsed, field) for field in fields if hasattr(parsed, field)}
    if parsed.rule is None:
        return {"name": parsed.name, "repositories": parsed.repository, **given} if given else None
    if given:
        raise UsageError("--rule has the whole rule: give either the file or flags")
    return {
        "name": parsed.name,
        **{field: value for field, value in parsed.rule.items() if field not in ("created_at", "created_by")},
    }


def _verdicts(api: Api, question: dict[str, Any]) -> Iterator[Any]:
    """As they come: there may be a hundred thousand of them."""
    last: str | None = None
    while True:
        page = api.call("POST", "/retention/preview", body={**question, "last": last, "n": PAGE})
        yield from page["verdicts"]
        last = page["next"]
        if last is None:
            return


def verdict_line(verdict: Any) -> str:
    """`keep  acme/app:v1  releases: was pushed within 30d`"""
    word = "keep" if verdict["kept"] else "drop"
    tag = verdict["tag"]
    what = f"@{verdict['digest']}" if tag is None else f":{tag}"
    rule = "" if verdict["rule"] is None else f"{verdict['rule']}: "
    return f"{word}  {verdict['repository']}{what}  {rule}{plain(verdict['reason'])}"


def summary_text(summary: Any) -> str:
    """The numbers behind the verdicts."""
    if not summary["repositories"]:
        return "no rule is for any of these repositories: nothing would go"
    return (
        f"of {summary['tags_kept'] + summary['tags_dropped']} tags in {summary['repositories']} repositories "
        f"{summary['tags_dropped']} would go, and {summary['untagged_dropped']} of "
        f"{summary['untagged_kept'] + summary['untagged_dropped']} manifests without a tag; "
        f"{said_size(summary['bytes'])} come free when they can't be restored any more (undo.window_seconds)"
    )


def _run(parsed: argparse.Namespace) -> int:
    total = dict.fromkeys(("repositories", "tags", "manifests", "changed"), 0)
    with connect(parsed) as api:
        after: str | None = None
        while True:
            wish = {"repositories": parsed.repository, "after": after}
            report = api.call("POST", "/retention/run", body=wish)
            total = {field: number + report[field] for field, number in total.items()}
            after = report["next"]
            if after is None:
                break
    if parsed.json:
        print(json.dumps(total, indent=2))
        return 0
    print(f"{total['tags']} tags and {total['manifests']} manifests were deleted")
    if total["changed"]:
        print(f"{total['changed']} repositories changed too often meanwhile; the next run goes on there")
    return 0


COLUMNS = (
    ("NAME", "name"),
    ("STATE", state),
    ("REPOSITORIES", "repositories"),
    ("TAGS", "tags"),
    ("KEEPS", lambda rule: kept(rule)),
    ("UNTAGGED", lambda rule: span(rule["untagged_seconds"])),
)
ALL = (*COLUMNS, ("SET", when("created_at")), ("BY", "created_by"))


def kept(rule: Any) -> list[str]:
    """What a rule keeps, in a few words for each condition."""
    said = [f"the last {rule['keep_last']} {rule['keep_last_by']}"] if rule["keep_last"] is not None else []
    said += rule["keep_tags"]
    for word in ("pushed", "pulled"):
        seconds = rule[f"keep_{word}_seconds"]
        said += [] if seconds is None else [f"{word} within {span(seconds)}"]
    return said


def span(seconds: float | None) -> str | None:
    """A span of time as it is given: `30d`."""
    return None if seconds is None else said_span(seconds)


PATH = "/retention/rules/{name}"
WANTED = (
    NAME,
    option(
        "--repositories", "repositories", "PATTERN", "the repositories that it is for", type=pattern,
        required=True,
    ),
    *CONDITIONS,
)  # fmt: skip

ROWS = (
    Row("list", "list rules", "GET", "/retention/rules", (),
        Listing("rules", "there are no rules: everything is kept", COLUMNS)),
    Row("show", "show a rule", "GET", PATH, (NAME,), Facts(ALL)),
    Row("set", "set a rule, in place of the one of that name", "PUT", PATH, WANTED, Facts(ALL)),
    *state_rows("rule", PATH),
    Row("remove", "remove a rule", "DELETE", PATH, (NAME,), sentence("the rule {name} was removed")),
)  # fmt: skip
