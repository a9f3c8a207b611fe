"""`entrepot token`: personal access tokens, and what clients are signed in with."""

import argparse
from typing import Any

from registry.cli.client.arguments import DESCRIPTION, LIMITS, checked, name, option, positional
from registry.cli.client.rows import Row, add_rows
from registry.cli.client.tables import Facts, Listing, Values, limits, sentence, when
from registry.cli.commands import Commands

COLUMNS = (
    ("ID", "id"),
    ("KIND", "kind"),
    ("LIMITS", limits),
    ("CREATED", when("created_at")),
    ("EXPIRES", when("expires_at", never="never")),
    ("USED", when("used_at", never="never")),
    ("DESCRIPTION", "description"),
)


def add(commands: Commands, settings: argparse.ArgumentParser) -> None:
    """Add `token`."""
    add_rows(commands, "token", "personal tokens, to sign in with instead of a password", ROWS)


def _created(document: Any, values: Values) -> str:
    """The only time that the secret is shown."""
    columns = (
        ("TOKEN", lambda _: document["secret"]),
        ("ID", "id"),
        ("LIMITS", limits),
        ("EXPIRES", when("expires_at", never="never")),
    )
    shown = Facts(columns, "token")(document, values)
    return f"{shown}\nthe token is shown this once; it is the password to sign in as {values['name']}"


USER = option("--user", "name", "NAME", "whose", type=name, required=True)
ID = positional("id", "ID", checked(int), help="its number in `entrepot token list`")

ROWS = (
    Row("create", "make a personal token, and print it", "POST", "/users/{name}/tokens",
        (USER, DESCRIPTION, *LIMITS), _created),
    Row("list", "list what a user can sign in with beside the password", "GET", "/users/{name}/tokens",
        (USER,), Listing("tokens", "there are no tokens", COLUMNS, cursor="")),
    Row("revoke", "revoke a token", "DELETE", "/users/{name}/tokens/{id}", (USER, ID),
        sentence("the token {id} of {name} was revoked")),
)  # fmt: skip
