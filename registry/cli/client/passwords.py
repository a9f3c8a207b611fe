"""Reading passwords: from standard input, or from whoever sits at the terminal. Never from the command line,
where other users of the machine and the shell's history see it."""

import argparse
import getpass
import sys

from registry.cli.commands import CommandError


def add_flag(parser: argparse.ArgumentParser) -> None:
    """Add `--password-stdin`."""
    parser.add_argument(
        "--password-stdin", action="store_true", help="read the password from standard input, a line"
    )


def from_stdin(what: str = "password") -> str:
    """The next line of standard input, without its end. Raises CommandError."""
    try:
        line = sys.stdin.readline()
    except UnicodeDecodeError as error:
        raise CommandError(f"the {what} on standard input is not text in the system's encoding") from error
    password = line.removesuffix("\n").removesuffix("\r")
    if not password:
        raise CommandError(f"standard input holds no {what}")
    return password


def at_terminal() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin is not None and sys.stdin.isatty()


def ask(what: str = "Password") -> str:
    """Ask whoever sits at the terminal. Raises CommandError."""
    try:
        password = getpass.getpass(f"{what}: ")
    except EOFError:
        raise CommandError("no password was given") from None
    if not password:
        raise CommandError("no password was given")
    return password


def ask_twice() -> str:
    """Ask for a new password. Raises CommandError when what is typed differs."""
    password = ask("New password")
    if ask("Again") != password:
        raise CommandError("the two passwords differ; nothing was changed")
    return password
