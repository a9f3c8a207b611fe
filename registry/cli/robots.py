"""`entrepot robot`: programs that sign in with a secret of their own."""

import argparse
from typing import Any

from registry.cli.client.arguments import DESCRIPTION, LIMITS, NAME, SEARCH, duration, option
from registry.cli.client.rows import Row, add_rows, state_rows
from registry.cli.client.tables import Facts, Listing, Values, facts, sentence, state, table, when
from registry.cli.commands import Commands
from registry.cli.tokens import COLUMNS as SECRET_COLUMNS

COLUMNS = (
    ("NAME", "name"),
    ("STATE", state),
    ("CREATED", when("created_at")),
    ("DESCRIPTION", "description"),
)


def add(commands: Commands, settings: argparse.ArgumentParser) -> None:
    """Add `robot`."""
    add_rows(commands, "robot", "programs that sign in with a secret of their own", ROWS)


def _secret(document: Any, values: Values) -> str:
    """The only time that it is shown."""
    columns = (("ROBOT", lambda _: values["name"]), ("SECRET", "secret"))
    return f"{facts(columns, document)}\nthe secret is shown this once; it signs in as {values['name']}"


def _with_secrets(document: Any, values: Values) -> str:
    shown = Facts((*COLUMNS, ("GROUPS", "groups")))(document, values)
    secrets = document["secrets"]
    return f"{shown}\n\n{table(SECRET_COLUMNS, secrets)}" if secrets else f"{shown}\nit has no secret"


KEEP_OLD = option(
    "--keep-old", "keep_old", "TIME", "how long the old secrets still count, like 1h", type=duration
)
EXPIRES = option(
    "--expires", "expires", "TIME", "how long it lives, like 30d; by default as the one before", type=duration
)
PATH = "/robots/{name}"

ROWS = (
    Row("create", "make a robot, and print its secret", "POST", "/robots",
        (NAME, DESCRIPTION, *LIMITS), _secret),
    Row("list", "list robots", "GET", "/robots", (SEARCH,),
        Listing("robots", "there are no robots", COLUMNS)),
    Row("show", "show a robot and what is known of its secrets", "GET", PATH, (NAME,), _with_secrets),
    *state_rows("robot", PATH),
    Row("rotate", "give a robot a new secret, limited as the one before, and print it", "POST",
        f"{PATH}/secret", (NAME, KEEP_OLD, EXPIRES), _secret),
    Row("remove", "remove a robot with its grants and secrets", "DELETE", PATH, (NAME,),
        sentence("the robot {name} was removed")),
)  # fmt: skip
