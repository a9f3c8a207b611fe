"""`entrepot in-use`: what clusters run, which retention leaves alone."""

import argparse
import sys
from typing import Any

from registry.cli.client.arguments import duration, name, option, positional
from registry.cli.client.connection import Api
from registry.cli.client.rows import Row, add_rows
from registry.cli.client.tables import Listing, Values, table, when
from registry.cli.commands import Commands, UsageError


def add(commands: Commands, settings: argparse.ArgumentParser) -> None:
    """Add `in-use`."""
    add_rows(commands, "in-use", "digests that run somewhere, which retention leaves alone", ROWS)


COLUMNS = (
    ("DIGEST", lambda row: f"{row['repository']}@{row['digest']}"),
    ("REPORTER", "reporter"),
    ("BY", "reported_by"),
    ("SINCE", when("reported_at")),
    ("UNTIL", when("until")),
)


def _stdin_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--stdin", action="store_true", help="read them from standard input, one a line, and not from here"
    )


def _report(_api: Api, values: dict[str, Any], parsed: argparse.Namespace) -> dict[str, Any]:
    if parsed.stdin and values.get("digests"):
        raise UsageError("give the digests here or on standard input, not both")
    read = sys.stdin.read().split() if parsed.stdin else values.get("digests", [])
    return {**values, "digests": read}


def _receipt(receipt: Any, _values: Values) -> str:
    said = f"{receipt['digests']} digests are kept until {when('until')(receipt)}"
    if not receipt["refused"]:
        return said
    columns = (("REFUSED", "digest"), ("WHY", "reason"))
    return f"{said}\n\n{table(columns, receipt['refused'])}"


ROWS = (
    Row("list", "list digests in use", "GET", "/in-use", (),
        Listing("digests", "nothing is reported as in use", COLUMNS)),
    Row("report", "say all that runs somewhere now, in place of what was said before", "POST", "/in-use",
        (
option("--reporter", "reporter", "NAME", "the place where it runs, like production",
                   type=name, required=True),
            option("--lease", "lease_seconds", "TIME", "how long it counts, like 2h", type=duration,
                   required=True),
            positional("digests", "DIGEST", nargs="*", help="like acme/app@sha256:..."),
        ),
        _receipt, prepare=_report, flags=_stdin_flag, code=lambda receipt: 1 if receipt["refused"] else 0),
)  # fmt: skip
