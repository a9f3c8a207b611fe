"""`entrepot adopt`: index what `distribution` (docker-registry) stored, where it lies."""

import argparse
import asyncio
import json
from dataclasses import asdict

from auth.patterns import EVERYTHING, RepositoryPattern
from registry.cli.client.arguments import pattern
from registry.cli.commands import Commands, add_command
from registry.cli.serving import open_audit_file, prepare_index
from registry.cli.settings_flags import load_settings, settings_parent


def add(commands: Commands, settings: argparse.ArgumentParser) -> None:
    """Add `adopt`."""
    help = "index what docker-registry stored, where it lies; again to add what came since"
    parser = add_command(commands, "adopt", _adopt, help, settings_parent("--data"))
    parser.add_argument("--dry-run", action="store_true", help="tell what would come, and change nothing")
    parser.add_argument(
        "--repository", metavar="PATTERN", type=pattern, help="only these, like acme/app or acme/**"
    )
    parser.add_argument("--json", action="store_true", help="the report, for programs")


def _adopt(parsed: argparse.Namespace) -> int:
    from registry.cli.adopting import adopt, said  # here, since the index takes a while to import

    settings = load_settings(parsed).settings
    prepare_index(settings)
    open_audit_file(settings)
    wanted = EVERYTHING if parsed.repository is None else RepositoryPattern.parse(parsed.repository)
    report = asyncio.run(adopt(settings, wanted, dry=parsed.dry_run))
    if parsed.json:
        document = asdict(report) | {"problems": [problem._asdict() for problem in report.problems]}
        print(json.dumps(document, indent=2))
    else:
        print("\n".join(said(report, dry=parsed.dry_run)))
    return 1 if report.problems else 0
