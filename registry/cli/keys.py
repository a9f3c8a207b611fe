"""`entrepot keys`: the keys that sign registry tokens."""

import argparse
from typing import Any

from registry.cli.client.arguments import switch
from registry.cli.client.rows import Row, add_rows
from registry.cli.client.tables import Listing, Values, plain, when
from registry.cli.commands import Commands

COLUMNS = (
    ("ID", "id"),
    ("ALGORITHM", "algorithm"),
    ("CREATED", when("created_at")),
    ("RETIRED", when("retired_at")),
)


def add(commands: Commands, settings: argparse.ArgumentParser) -> None:
    """Add `keys`."""
    add_rows(commands, "keys", "the keys that sign registry tokens", ROWS)


def _rotated(document: Any, values: Values) -> str:
    told = "it signs from now on, and all tokens of before are void"
    if not values.get("at_once"):
        told = "it signs within a minute, and tokens of before stay good until they end"
    return f"there is a new key, {plain(document['id'])}: {told}"


NO_KEYS = "there are no keys in the index: the first start makes one, unless they come from files"
NOW = switch("--now", "at_once", "void all tokens at once: for a key that somebody else may have")

ROWS = (
    Row("list", "list keys", "GET", "/keys", (),
        Listing("keys", NO_KEYS, COLUMNS, cursor="")),
    Row("rotate", "make a new key and retire the others", "POST", "/keys/rotate",
        (NOW,), _rotated),
)  # fmt: skip
