"""A command of the management API as a row of data: what it takes, which operation it calls, what it says."""

import argparse
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import quote

from registry.cli.client.arguments import NAME, Argument
from registry.cli.client.connection import Api, connect, connection_parent, read_all
from registry.cli.client.tables import Listing, Says, Values, sentence
from registry.cli.commands import Commands, add_command, add_group
from registry.management.paths import WITH_SLASHES


@dataclass(frozen=True, slots=True)
class Row:
    """`path` is that of the operation. Arguments that are not in it go to the query of a GET, and to the
    body of anything else, together with `fixed`.

    `prepare` turns the values of the command line into those of the API; `code` makes the exit code of the
    document that was answered.
    """

    name: str
    help: str
    method: str
    path: str
    arguments: tuple[Argument, ...]
    says: Says
    fixed: Mapping[str, object] = field(default_factory=dict)
    prepare: Callable[[Api, dict[str, Any], argparse.Namespace], dict[str, Any]] | None = None
    code: Callable[[Any], int] = lambda _document: 0
    flags: Callable[[argparse.ArgumentParser], object] | None = None
    """Adds arguments that are none of the API's fields, for `prepare` to read."""


def state_rows(kind: str, path: str) -> tuple[Row, Row]:
    """The commands that disable and enable something which has a name."""
    disable, enable = f"keep a {kind}, and let it count for nothing", f"let a {kind} count again"
    said = f"the {kind} {{name}} is "
    return (
        Row("disable", disable, "PATCH", path, (NAME,), sentence(f"{said}disabled"), {"disabled": True}),
        Row("enable", enable, "PATCH", path, (NAME,), sentence(f"{said}enabled"), {"disabled": False}),
    )


def add_rows(commands: Commands, group: str, help: str, rows: Iterable[Row], *aliases: str) -> None:
    """Add a group of commands; it has its other names, too."""
    inner = add_group(commands, group, help, *aliases)
    for row in rows:
        add_row(inner, row)


def add_row(commands: Commands, row: Row) -> None:
    """Add one command."""
    parser = add_command(commands, row.name, partial(run, row), row.help, connection_parent())
    for argument in row.arguments:
        argument.add_to(parser)
    if row.flags is not None:
        row.flags(parser)


def run(row: Row, parsed: argparse.Namespace) -> int:
    """Do what a row says, and print the answer. Raises CommandError and ConfigError."""
    fields = [argument.field for argument in row.arguments]
    values: dict[str, Any] = {name: getattr(parsed, name) for name in fields if hasattr(parsed, name)}
    with connect(parsed) as api:
        if row.prepare is not None:
            values = row.prepare(api, values, parsed)
        document = send(api, row, values)
        # Before anything else can fail: it may hold a secret that nobody can ask for again.
        if not parsed.json:
            print(row.says(document, values), flush=True)
        elif document is not None:
            print(json.dumps(document, indent=2, ensure_ascii=False), flush=True)
    return row.code(document)


def send(api: Api, row: Row, values: Values) -> Any:
    """The document that the API answers; of a list, with all its pages."""
    in_path = re.findall(r"\{(\w+)\}", row.path)
    path = row.path.format_map(
        {name: quote(str(values[name]), safe="/" if name in WITH_SLASHES else "") for name in in_path}
    )
    rest = {name: value for name, value in {**values, **row.fixed}.items() if name not in in_path}
    if row.method == "GET":
        limit = rest.pop("limit", None)
        query = [(name, str(value)) for name, value in rest.items()]
        if isinstance(row.says, Listing) and row.says.cursor:
            return read_all(api, path, query, row.says.entries, row.says.cursor, limit)
        return api.call("GET", path, query)
    with_body = bool(rest) or row.method in ("POST", "PATCH")
    return api.call(row.method, path, (), rest if with_body else None)
