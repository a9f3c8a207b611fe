"""`entrepot scrub`: read all that is stored, and find what is wrong with it."""

import argparse
import asyncio
import json

from registry.cli.client.arguments import size
from registry.cli.client.connection import connect, connection_parent
from registry.cli.client.rows import Row, send
from registry.cli.client.tables import Listing, when
from registry.cli.client.tables import size as sized
from registry.cli.commands import Commands, UsageError, add_command
from registry.cli.serving import open_audit_file, prepare_index
from registry.cli.settings_flags import load_settings
from registry.config import Settings
from registry.management.units import parse_size

COLUMNS = (
    ("DIGEST", "digest"),
    ("SIZE", sized("bytes")),
    ("SINCE", when("quarantined_at")),
    ("REPOSITORY", "repository"),
    ("REPOSITORIES", "repositories"),
)
QUARANTINED = Row(
    "quarantined", "", "GET", "/scrub/quarantined", (), Listing("blobs", "no blob is in quarantine", COLUMNS)
)


def add(commands: Commands, settings: argparse.ArgumentParser) -> None:
    """Add `scrub`."""
    help = "read and hash all that is stored; take out of service what is wrong"
    parser = add_command(commands, "scrub", _scrub, help, connection_parent())
    asked = parser.add_mutually_exclusive_group()
    asked.add_argument(
        "--rebuild",
        action="store_true",
        help="rebuild an index that is empty, or was restored, from what is stored",
    )
    asked.add_argument(
        "--status", action="store_true", help="only tell how far it is, and what it found last"
    )
    asked.add_argument(
        "--quarantined",
        action="store_true",
        help="only list blobs that are wrong or gone, until they are pushed",
    )
    parser.add_argument("--list", metavar="FILE", help="write all that is found there, as JSON lines")
    parser.add_argument(
        "--bytes-per-second",
        metavar="SIZE",
        type=size,
        help="read no faster, like 50MB; 0: as fast as it goes. By default scrub.bytes_per_second",
    )
    parser.add_argument(
        "--quarantine-many", action="store_true", help="go on though most blobs are missing or wrong"
    )
    parser.add_argument(
        "--discard-unknown", action="store_true", help="discard unknown objects, however many there are"
    )


def _scrub(parsed: argparse.Namespace) -> int:
    if parsed.status:
        return _status(parsed)
    if parsed.quarantined:
        return _quarantined(parsed)
    if parsed.server is not None:
        raise UsageError(
            "a scrub runs where storage and index are: without --server; on a running registry --status and "
            "--quarantined tell what it does by itself"
        )
    from registry.cli.scrubbing import report_lines, scrub  # here, since the index takes a while to import

    settings = load_settings(parsed).settings
    prepare_index(settings)
    open_audit_file(settings)
    if parsed.rebuild:
        return _rebuild(settings, parsed)
    rate = None if parsed.bytes_per_second is None else parse_size(parsed.bytes_per_second)
    report = scrub(
        settings,
        rate,
        parsed.list,
        quarantine_many=parsed.quarantine_many,
        discard_unknown=parsed.discard_unknown,
    )
    print(json.dumps(report, indent=2) if parsed.json else "\n".join(report_lines(report)))
    return 0 if report["all_right"] else 1


def _rebuild(settings: Settings, parsed: argparse.Namespace) -> int:
    from registry.cli.rebuilding import rebuild, rebuilt_lines

    report = asyncio.run(rebuild(settings))
    print(json.dumps(report, indent=2) if parsed.json else "\n".join(rebuilt_lines(report)))
    return 0 if report["all_right"] else 1


def _status(parsed: argparse.Namespace) -> int:
    from registry.cli.scrubbing import status_lines

    with connect(parsed) as api:
        document = api.call("GET", "/scrub")
    print(json.dumps(document, indent=2) if parsed.json else "\n".join(status_lines(document)))
    return 0 if document["report"] is None or document["report"]["all_right"] else 1


def _quarantined(parsed: argparse.Namespace) -> int:
    with connect(parsed) as api:
        document = send(api, QUARANTINED, {})
    print(json.dumps(document, indent=2) if parsed.json else QUARANTINED.says(document, {}))
    return 1 if document["blobs"] else 0
