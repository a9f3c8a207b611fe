"""`entrepot backup` and `entrepot restore`: the whole index in a file, or in the storage."""

import argparse
import asyncio

from registry.cli.commands import Commands, UsageError, add_command
from registry.cli.serving import open_audit_file, prepare_index
from registry.cli.settings_flags import load_settings, settings_parent
from registry.config import Settings

LIST = "list"


def add(commands: Commands, settings: argparse.ArgumentParser) -> None:
    """Add `backup` and `restore`."""
    help = "write the whole index into a file, beside a running registry; `backup list`: those in the storage"
    parser = add_command(commands, "backup", _backup, help, settings_parent("--data"))
    parser.add_argument("file", metavar="FILE", nargs="?", help="-: standard output; list: see above")
    parser.add_argument("--to-storage", action="store_true", help="into the storage, beside the blobs")
    parser.add_argument(
        "--keep", metavar="N", type=positive, help="with --to-storage: discard all but the newest N there"
    )
    parser.add_argument("--json", action="store_true", help="with list: for programs")
    help = "enter a backup into an empty index"
    parser = add_command(commands, "restore", _restore, help, settings_parent("--data"))
    parser.add_argument("file", metavar="FILE", nargs="?", help="-: standard input")
    parser.add_argument("--from-storage", metavar="LOCATION", help="one that `entrepot backup list` tells")


def positive(text: str) -> int:
    """A number from 1 up."""
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} should be a number from 1 up")
    return int(text)


def _backup(parsed: argparse.Namespace) -> int:
    from registry.cli.backing_up import list_stored, to_file, to_storage  # the index takes long to import

    if parsed.to_storage == (parsed.file is not None):
        raise UsageError("say where to: either a FILE, or --to-storage")
    if parsed.keep is not None and not parsed.to_storage:
        raise UsageError("--keep is for backups in the storage: with --to-storage")
    if parsed.json and parsed.file != LIST:
        raise UsageError("--json is for the list: entrepot backup list --json")
    settings = _prepared(parsed)
    if parsed.to_storage:
        asyncio.run(to_storage(settings, parsed.keep))
    elif parsed.file == LIST:
        asyncio.run(list_stored(settings, as_json=parsed.json))
    else:
        to_file(settings, parsed.file)
    return 0


def _restore(parsed: argparse.Namespace) -> int:
    from registry.cli.backing_up import from_file, from_storage

    if (parsed.from_storage is None) == (parsed.file is None):
        raise UsageError("say where from: either a FILE, or --from-storage LOCATION")
    settings = _prepared(parsed)
    if parsed.file is None:
        asyncio.run(from_storage(settings, parsed.from_storage))
    else:
        from_file(settings, parsed.file)
    return 0


def _prepared(parsed: argparse.Namespace) -> Settings:
    settings = load_settings(parsed).settings
    prepare_index(settings)
    open_audit_file(settings)
    return settings
