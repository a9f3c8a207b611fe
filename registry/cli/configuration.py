"""`entrepot config`: look at the configuration."""

import argparse
import asyncio
import json
import sys

from registry.cli.commands import Commands, add_command, add_group
from registry.cli.settings_flags import load_settings
from registry.config import ConfigError, Settings
from registry.config_sources import MASK, effective
from registry.drivers import check_delay, driver_class
from storage_drivers import StorageError


def add(commands: Commands, settings: argparse.ArgumentParser) -> None:
    """Add `config check` and `config show`."""
    group = add_group(commands, "config", "look at the configuration")
    add_command(group, "check", _check, "say whether the configuration is right", settings)
    show = add_command(group, "show", _show, "print every setting, its value and who set it", settings)
    show.add_argument("--json", action="store_true", help="for programs")


def _check(parsed: argparse.Namespace) -> int:
    check_storage(load_settings(parsed).settings)
    print("the configuration is right")
    return 0


def check_storage(settings: Settings, *, ask: bool = False) -> None:
    """Let the driver judge its own table; with `ask` also the medium. Raises ConfigError.

    A medium that does not answer may do so in a moment: that is told and no error.
    """

    async def try_it() -> None:
        driver = driver_class(settings.storage.driver).from_settings(settings.storage_settings())
        try:
            check_delay(settings.gc.delay_seconds, driver)
            if ask:
                await driver.check()
        except StorageError as error:
            print(f"the storage does not answer yet: {error}", file=sys.stderr)
        finally:
            await driver.aclose()

    try:
        asyncio.run(try_it())
    except ValueError as error:
        raise ConfigError([f"storage.{settings.storage.driver}: {error}"]) from error


def _show(parsed: argparse.Namespace) -> int:
    rows = effective(load_settings(parsed))
    if parsed.json:
        found = {key: {"value": value, "source": source} for key, value, source in rows}
        print(json.dumps(found, indent=2, default=str))
        return 0
    section = ""
    for key, value, source in rows:
        table, _, name = key.rpartition(".")
        if table != section:
            print(f"\n[{table}]")
            section = table
        if value is None:
            line = f"# {name} is not set"
        elif value == MASK:
            line = f"# {name} is set, and hidden"
        else:
            line = f"{name} = {_toml(value)}"
        print(f"{line:<44} # {source}")
    return 0


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{json.dumps(key)} = {_toml(inner)}' for key, inner in value.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(_toml(entry) for entry in value)}]"
    return json.dumps(value, default=str, ensure_ascii=False)
