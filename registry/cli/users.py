"""`entrepot user`: people, and how they sign in."""

import argparse
from typing import Any

from registry.cli.client import passwords
from registry.cli.client.arguments import DESCRIPTION, NAME, SEARCH, positional, text_file
from registry.cli.client.connection import Api
from registry.cli.client.rows import Row, add_rows, state_rows
from registry.cli.client.tables import Facts, Listing, Values, facts, sentence, state, when
from registry.cli.commands import Commands, UsageError

COLUMNS = (
    ("NAME", "name"),
    ("STATE", state),
    ("SOURCE", "source"),
    ("CREATED", when("created_at")),
    ("SIGNED IN", when("signed_in_at", never="never")),
    ("DESCRIPTION", "description"),
)


def add(commands: Commands, settings: argparse.ArgumentParser) -> None:
    """Add `user`."""
    add_rows(commands, "user", "people, and how they sign in", ROWS)


def _for_new(_api: Api, values: dict[str, Any], parsed: argparse.Namespace) -> dict[str, Any]:
    """Without any password given, the registry thinks one up."""
    if parsed.password_stdin:
        return {**values, "password": passwords.from_stdin()}
    return {**values, "password": passwords.ask_twice()} if passwords.at_terminal() else values


def _for_password(api: Api, values: dict[str, Any], parsed: argparse.Namespace) -> dict[str, Any]:
    """One's own is changed only by who knows the one of now."""
    own = api.user == values["name"]
    if parsed.password_stdin:
        current = {"current": passwords.from_stdin("current password")} if own else {}
        return {**values, **current, "password": passwords.from_stdin()}
    if not passwords.at_terminal():
        raise UsageError("nobody can be asked for the password here: give it with --password-stdin")
    current = {"current": passwords.ask("Current password")} if own else {}
    return {**values, **current, "password": passwords.ask_twice()}


def _password_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--password-stdin",
        action="store_true",
        help="read the password from standard input; your own on a server: a line with the current one first",
    )


def _created(document: Any, _values: Values) -> str:
    name, password = document["user"]["name"], document["password"]
    if password is None:
        return f"the user {name} was made"
    shown = facts((("USER", lambda _: name), ("PASSWORD", lambda _: password)), document)
    return f"{shown}\nthe password is shown this once"


def _imported(document: Any, _values: Values) -> str:
    created, present = document["created"], document["present"]
    lines = [f"{name} was made" for name in created]
    lines += [f"{name} was there already and stays as it was" for name in present]
    return "\n".join(lines) or "the file names no users"


PATH = "/users/{name}"

ROWS = (
    Row("add", "make a user; without a password given, one is thought up and printed", "POST", "/users",
        (NAME, DESCRIPTION), _created, prepare=_for_new, flags=passwords.add_flag),
    Row("list", "list users", "GET", "/users", (SEARCH,), Listing("users", "there are no users", COLUMNS)),
    Row("show", "show a user", "GET", PATH, (NAME,),
        Facts((*COLUMNS, ("GROUPS", "groups")))),
    *state_rows("user", PATH),
    Row("remove", "remove a user with all grants and tokens", "DELETE", PATH, (NAME,),
        sentence("the user {name} was removed")),
    Row("password", "set the password of a user", "PUT", "/users/{name}/password", (NAME,),
        sentence("{name} has a new password, and what was signed in with the old one is signed out"),
        prepare=_for_password, flags=_password_flag),
    Row("import", "make a user of each line of an htpasswd file (bcrypt)", "POST", "/import/htpasswd",
        (positional("text", "FILE", text_file),), _imported),
)  # fmt: skip
