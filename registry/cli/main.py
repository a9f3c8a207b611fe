"""The command line as a whole: its groups of commands, exit codes, and how mistakes are said.

Exit codes: 0; 1 when something outside did not do what was asked; 2 for a wrong command line or
configuration. What a user can get wrong is answered by a few lines on standard error, never by a traceback.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from registry.cli import (
    adopt,
    audit,
    backup,
    collection,
    configuration,
    grants,
    groups,
    in_use,
    keys,
    moving,
    quotas,
    repositories,
    retention,
    robots,
    scrub,
    serving,
    session,
    tokens,
    trust,
    uploads,
    users,
    version,
    why,
)
from registry.cli.commands import Command, CommandError
from registry.cli.settings_flags import settings_parent
from registry.config import ConfigError

GROUPS = (
    serving,
    configuration,
    session,
    users,
    groups,
    robots,
    tokens,
    grants,
    trust,
    repositories,
    quotas,
    uploads,
    retention,
    in_use,
    collection,
    why,
    adopt,
    moving,
    scrub,
    backup,
    keys,
    audit,
    version,
)
"""In the order in which `--help` lists them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (by default sys.argv's) and return the exit code."""
    try:
        parsed = _parser().parse_args(arguments)
        command: Command = parsed.command
        code = command(parsed)
        sys.stdout.flush()
    except BrokenPipeError:  # `entrepot config show | head`: whoever read has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except SystemExit as ended:  # argparse: after --help, or a wrong command line
        return int(ended.code or 0)
    except CommandError as error:
        print(f"entrepot: {error}", file=sys.stderr)
        return error.code
    except ConfigError as error:
        for problem in error.problems:
            print(f"entrepot: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    else:
        return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="entrepot", description="A private container registry.", allow_abbrev=False
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    settings = settings_parent()
    for group in GROUPS:
        group.add(commands, settings)
    return parser
