"""`entrepot login`, `logout` and `whoami`: working with a running registry."""

import argparse
from pathlib import Path
from typing import Any

from registry.cli.client import passwords
from registry.cli.client.rows import Row, add_row
from registry.cli.client.tables import Values, facts, limits, table
from registry.cli.commands import Commands, UsageError, add_command


def add(commands: Commands, settings: argparse.ArgumentParser) -> None:
    """Add `login`, `logout` and `whoami`."""
    login = add_command(commands, "login", _login, "sign in at a running registry, to manage it from here")
    login.add_argument("--server", metavar="URL", required=True, help="like https://registry.example.com")
    login.add_argument("--user", metavar="NAME", required=True, help="a user or a robot")
    passwords.add_flag(login)
    login.add_argument("--ca-file", metavar="FILE", type=Path, help="certificates to trust there, PEM")
    login.add_argument(
        "--insecure-http", action="store_true", help="send the password without encryption over a network"
    )
    logout = add_command(commands, "logout", _logout, "sign out, and revoke what login got")
    logout.add_argument("--server", metavar="URL", required=True, help="as it was given to login")
    add_row(commands, WHOAMI)


def _login(parsed: argparse.Namespace) -> int:
    from registry.cli.client.http import server_url
    from registry.cli.client.remote import log_in

    server = server_url(parsed.server, insecure_http=parsed.insecure_http)
    if parsed.password_stdin:
        password = passwords.from_stdin()
    elif passwords.at_terminal():
        password = passwords.ask(f"Password of {parsed.user} at {server}")
    else:
        raise UsageError("nobody can be asked for the password here: give it with --password-stdin")
    ca_file = None if parsed.ca_file is None else str(parsed.ca_file.absolute())
    log_in(server, parsed.user, password, ca_file=ca_file, insecure_http=parsed.insecure_http)
    print(f"signed in at {server} as {parsed.user}; now try: entrepot whoami --server {server}")
    return 0


def _logout(parsed: argparse.Namespace) -> int:
    from registry.cli.client.remote import log_out

    sign_in, problem = log_out(parsed.server)
    if problem is None:
        print(f"signed out at {sign_in.server}")
        return 0
    print(f"what was kept for {sign_in.server} is forgotten here, but not revoked there: {problem}")
    return 1


def _account(document: Any, _values: Values) -> str:
    shown = facts(
        (
            ("PRINCIPAL", "principal"),
            ("ADMINISTRATOR", "administrator"),
            ("GROUPS", "groups"),
            ("LIMITS", lambda account: limits(account["limits"])),
        ),
        document,
    )
    columns = (("ROLE", "role"), ("PATTERN", "pattern"), ("GRANTED TO", "source"))
    grants = document["grants"]
    return f"{shown}\n\n{table(columns, grants)}" if grants else f"{shown}\nnothing is granted"


WHOAMI = Row("whoami", "say who is signed in, and what is granted", "GET", "/account", (), _account)
