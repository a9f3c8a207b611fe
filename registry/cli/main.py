"""The command line as a whole: its groups of commands, exit codes, and how mistakes are said.

Exit codes: 0; 1 when something outside did not do what was asked; 2 for a wrong command line or
configuration. What a user can get wrong is answered by a few lines on standard error, never by a traceback.
"""

import argparse
import atexit
import gc
import importlib
import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from registry.cli.commands import Command, CommandError
from registry.cli.settings_flags import settings_parent

if TYPE_CHECKING:
    from registry.config import ConfigError

GROUPS = {
    "serving": ("serve", "migrate"),
    "configuration": ("config",),
    "session": ("login", "logout", "whoami"),
    "users": ("user",),
    "groups": ("group",),
    "robots": ("robot",),
    "tokens": ("token",),
    "grants": ("grant", "explain"),
    "trust": ("trust",),
    "repositories": ("repository", "repositories", "tag", "tags", "manifest", "manifests"),
    "quotas": ("quota",),
    "uploads": ("upload",),
    "retention": ("retention",),
    "in_use": ("in-use",),
    "collection": ("gc",),
    "why": ("why", "usage"),
    "adopt": ("adopt",),
    "moving": ("import", "export", "copy"),
    "scrub": ("scrub",),
    "backup": ("backup", "restore"),
    "keys": ("keys",),
    "audit": ("audit",),
    "version": ("version",),
}
"""The modules that add commands, and what they add, in the order in which `--help` lists it."""

COLLECT_AFTER = 50_000
"""Objects. Nearly all that imports make stays, and each look of Python's collector of cycles at it costs."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (by default sys.argv's) and return the exit code."""
    gc.set_threshold(COLLECT_AFTER)
    atexit.register(gc.freeze)  # at its end the process would look through all of it again
    given = sys.argv[1:] if arguments is None else arguments
    try:
        parsed = _parser(_wanted(given)).parse_args(given)
        command: Command = parsed.command
        code = command(parsed)
        sys.stdout.flush()
    except BrokenPipeError:  # `entrepot config show | head`: whoever read has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except SystemExit as ended:  # argparse: after --help, or a wrong command line
        return int(ended.code or 0)
    except KeyboardInterrupt:
        return 130
    except CommandError as error:
        print(f"entrepot: {error}", file=sys.stderr)
        return error.code
    except _config_error() as error:
        for problem in error.problems:
            print(f"entrepot: {problem}", file=sys.stderr)
        return 2
    else:
        return code


def _wanted(arguments: Sequence[str]) -> Iterable[str]:
    """The modules to import: one, for a command; all of them, to list the commands."""
    wanted = [group for group, commands in GROUPS.items() if arguments and arguments[0] in commands]
    return wanted or GROUPS


def _parser(groups: Iterable[str] = GROUPS) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="entrepot", description="A private container registry.", allow_abbrev=False
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    settings = settings_parent()
    for group in groups:
        importlib.import_module(f"registry.cli.{group}").add(commands, settings)
    return parser


def _config_error() -> "type[ConfigError]":
    """Asked for when something was raised: the settings take long to import, and not every command reads
    them."""
    from registry.config import ConfigError

    return ConfigError
