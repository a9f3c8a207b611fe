"""`entrepot version`."""

import argparse
from importlib.metadata import PackageNotFoundError, version

from registry.cli.commands import Commands, add_command


def add(commands: Commands, settings: argparse.ArgumentParser) -> None:
    """Add `version`."""
    add_command(commands, "version", _version, "print the version")


def _version(_parsed: argparse.Namespace) -> int:
    try:
        print(f"entrepot {version('entrepot')}")
    except PackageNotFoundError:
        print("entrepot, from a checkout that is not installed")
    return 0
