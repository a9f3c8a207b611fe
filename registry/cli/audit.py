"""`entrepot audit`: who did what, from where, and how it ended."""

import argparse
import json
import time
from typing import Any

from registry.cli.client.arguments import checked, option
from registry.cli.client.connection import Api
from registry.cli.client.rows import Row, add_row
from registry.cli.client.tables import Listing, Values, when
from registry.cli.commands import Commands
from registry.management.units import parse_moment

SHOWN = 1000
"""Entries, unless `--limit` says otherwise."""


def add(commands: Commands, settings: argparse.ArgumentParser) -> None:
    """Add `audit`."""
    add_row(commands, ROW)


def _detail(entry: Any) -> str:
    return " ".join(
        f"{name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in entry["detail"].items()
    )


COLUMNS = (
    ("TIME", when("at", seconds=True)),
    ("RESULT", "result"),
    ("ACTOR", "actor"),
    ("ADDRESS", "address"),
    ("ACTION", "action"),
    ("TARGET", "target"),
    ("DETAIL", _detail),
)


class Entries(Listing):
    """The list, with a word on what it leaves out."""

    def __call__(self, document: Any, values: Values) -> str:
        shown = super().__call__(document, values)
        return shown if document["next"] is None else f"{shown}\nthere is more: say a higher --limit"


def _count(text: str) -> int:
    count = int(text) if text.isdecimal() and len(text) < 10 else 0
    if count < 1:
        raise argparse.ArgumentTypeError(f"should be a number of entries, like 100, and is {text!r}")
    return count


def _limited(_api: Api, values: dict[str, Any], _parsed: argparse.Namespace) -> dict[str, Any]:
    return {"limit": SHOWN, **values}


MOMENT = checked(lambda text: parse_moment(text, time.time()))

ROW = Row(
    "audit",
    "read who did what, the newest first",
    "GET",
    "/audit",
    (
        option("--since", "since", "TIME", "like 1h (ago), 7d, or 2026-11-21T12:00:00Z", type=MOMENT),
        option("--until", "until", "TIME", "the same", type=MOMENT),
        option("--actor", "actor", "PRINCIPAL", "who did it, like user:alice"),
        option("--action", "action", "ACTION", "what was done, like grant.add"),
        option("--target", "target", "TARGET", "to what, like acme/app or user:alice"),
        option("--result", "result", "RESULT", "allowed, refused or failed",
               choices=("allowed", "refused", "failed")),
        option("--limit", "limit", "N", f"how many entries at most, {SHOWN} by default", type=_count),
    ),
    Entries("entries", "nothing is written down about this", COLUMNS, cursor="before"),
    prepare=_limited,
)  # fmt: skip
