"""`entrepot quota`: how much may lie below a prefix."""

import argparse
from typing import Any

from registry.cli.client.arguments import positional, size
from registry.cli.client.rows import Row, add_rows
from registry.cli.client.tables import Facts, Listing, sentence
from registry.cli.client.tables import size as sized
from registry.cli.commands import Commands


def _share(quota: Any) -> str:
    return f"{100 * quota['used'] / quota['bytes']:.0f} %" if quota["bytes"] else "-"


COLUMNS = (("PREFIX", "prefix"), ("QUOTA", sized("bytes")), ("USED", sized("used")), ("SHARE", _share))


def add(commands: Commands, settings: argparse.ArgumentParser) -> None:
    """Add `quota`."""
    add_rows(commands, "quota", "how much may lie in a repository and below it", ROWS)


PREFIX = positional("prefix", "PREFIX", help="a repository and all below it, like acme")
PATH = "/quotas/{prefix}"

ROWS = (
    Row("list", "list quotas and what is used of them", "GET", "/quotas", (),
        Listing("quotas", "there are no quotas", COLUMNS)),
    Row("set", "limit a repository and all below it", "PUT", PATH,
        (PREFIX, positional("bytes", "SIZE", size, help="like 10GiB")), Facts(COLUMNS)),
    Row("remove", "lift a limit", "DELETE", PATH, (PREFIX,), sentence("the quota of {prefix} was removed")),
)  # fmt: skip
