"""What every group of commands is made of."""

import argparse
from collections.abc import Callable
from typing import TypeAlias

Command = Callable[[argparse.Namespace], int]
"""Does what was asked and returns the exit code."""

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""What commands are added to: the command line itself, or a group. argparse has no public name for it."""


class CommandError(Exception):
    """Something outside did not do what was asked. The message is shown, and `code` is the exit code."""

    code = 1


class UsageError(CommandError):
    """The command line asks for what can't be meant, which argparse could not see."""

    code = 2


def add_command(
    to: Commands, name: str, run: Command, help: str, *parents: argparse.ArgumentParser
) -> argparse.ArgumentParser:
    """Add a command to `to`, with the flags of `parents`. More arguments may be added to what is returned."""
    added = to.add_parser(name, help=help, description=help, parents=parents, allow_abbrev=False)
    added.set_defaults(command=run)
    return added


def add_group(to: Commands, name: str, help: str, *aliases: str) -> Commands:
    """Add a command that has commands of its own, like `config show`. Returns what these are added to."""
    group = to.add_parser(name, aliases=aliases, help=help, description=help, allow_abbrev=False)
    return group.add_subparsers(required=True, metavar="COMMAND")
