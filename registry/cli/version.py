"""`entrepot version`."""

import argparse
from importlib.metadata import PackageNotFoundError, version

from registry.cli.commands import Commands, add_command


def add(commands: Commands, settings: argparse.ArgumentParser) -> None:
    """Add `version`."""
    add_command(commands, "version", _version, "print the version")


def _version(_parsed: argparse.Namespace) -> int:
    print(f"entrepot {product_version()}")
    return 0


def product_version() -> str:
    """What is installed."""
    try:
        return version("entrepot")
    except PackageNotFoundError:
        return "from a checkout that is not installed"
