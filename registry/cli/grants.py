"""`entrepot grant`: roles on repositories; `entrepot explain`: who may do what, and why."""

import argparse
from typing import Any

from registry.cli.client.arguments import (
    ACTION,
    PRINCIPAL,
    REPOSITORY,
    option,
    pattern,
    positional,
    principal,
    role,
)
from registry.cli.client.connection import Api, read_all
from registry.cli.client.rows import Row, add_row, add_rows
from registry.cli.client.tables import Listing, Values, plain, sentence, when
from registry.cli.commands import CommandError, Commands, UsageError

COLUMNS = (
    ("ID", "id"),
    ("PRINCIPAL", "principal"),
    ("ROLE", "role"),
    ("PATTERN", "pattern"),
    ("CREATED", when("created_at")),
    ("BY", "created_by"),
)


def add(commands: Commands, settings: argparse.ArgumentParser) -> None:
    """Add `grant` and `explain`."""
    add_rows(commands, "grant", "roles of users, robots and groups on repositories", ROWS)
    add_row(commands, EXPLAIN)


def _find(api: Api, values: dict[str, Any], _parsed: argparse.Namespace) -> dict[str, Any]:
    """The grant that was meant, by its number or by all that it says."""
    meant = values["grant"]
    if len(meant) == 1 and meant[0].isdecimal():
        return {"id": meant[0]}
    if len(meant) != 3:
        raise UsageError(
            "say which grant: by its ID (see `entrepot grant list`), or by PRINCIPAL ROLE PATTERN"
        )
    query = [("principal", meant[0])]
    document = read_all(api, "/grants", query, "grants", "last")
    for row in document["grants"]:
        if [row["principal"], row["role"], row["pattern"]] == meant:
            return {"id": str(row["id"])}
    raise CommandError(f"{' '.join(meant)} is not granted; `entrepot grant list` tells what is")


def _decision(document: Any, _values: Values) -> str:
    verdict = "allowed" if document["allowed"] else "refused"
    return f"{verdict}: {plain(document['reason'])}"


ROLE = positional("role", "ROLE", role, help="reader, writer, maintainer or administrator")
PATTERN = positional(
    "pattern", "PATTERN", pattern, help="repositories: acme/app, 'acme/*', 'acme/**' or '**'"
)

ROWS = (
    Row("add", "grant a role on repositories", "POST", "/grants", (PRINCIPAL, ROLE, PATTERN),
        sentence("{principal} is {role} on {pattern}")),
    Row("list", "list grants", "GET", "/grants", (
        option("--principal", "principal", "PRINCIPAL", "only those to this one itself", type=principal),
        option("--repository", "repository", "NAME", "only those that count for this repository"),
    ), Listing("grants", "nothing is granted", COLUMNS)),
    Row("remove", "take a grant back", "DELETE", "/grants/{id}", (
        positional("grant", "ID | PRINCIPAL ROLE PATTERN", str, nargs="+", help="which one"),
    ), sentence("the grant {id} was taken back"), prepare=_find),
)  # fmt: skip

EXPLAIN = Row(
    "explain",
    "say whether somebody may do something, and why; the exit code is 1 when refused",
    "GET",
    "/explain",
    (PRINCIPAL, ACTION, REPOSITORY),
    _decision,
    code=lambda document: 0 if document["allowed"] else 1,
)
