"""The flags that set settings, and the settings that a command runs with."""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry.config_sources import Loaded


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag that sets one key. `constant` is what a flag without an argument sets."""

    name: str
    key: str
    help: str
    metavar: str = ""
    constant: bool | None = None


FLAGS = (
    Flag("--listen", "server.listen", "where to listen, 127.0.0.1:5000 by default", "HOST:PORT"),
    Flag("--data", "data", "the folder for index and blobs, ./data by default", "DIR"),
    Flag("--workers", "server.workers", "processes, by default one per core and four at most", "N"),
    Flag("--external-url", "server.external_url", "how clients reach the registry", "URL"),
    Flag("--path-prefix", "server.path_prefix", "the path in front of /v2/", "/PREFIX"),
    Flag("--trusted-proxies", "server.trusted_proxies", "whose Forwarded headers count", "NETWORK,..."),
    Flag("--tls", "server.tls", "auto: HTTPS by a certificate of an authority of its own", "auto"),
    Flag("--log-level", "log.level", "debug, info, warning or error", "LEVEL"),
    Flag("--no-access-log", "log.access", "no line for each request", constant=False),
    Flag(
        "--insecure-open",
        "auth.insecure_open",
        "serve without accounts, on any address",
        constant=True,
    ),
)


def settings_parent(*names: str) -> argparse.ArgumentParser:
    """The parser to hand to `add_command` as a parent, for a command that reads the settings.

    It has all flags, or those that are named.
    """
    parent = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parent.add_argument(
        "--config", type=Path, metavar="FILE", help="a TOML file with settings, $ENTREPOT_CONFIG by default"
    )
    for flag in FLAGS:
        if names and flag.name not in names:
            continue
        if flag.constant is None:
            parent.add_argument(flag.name, dest=flag.key, metavar=flag.metavar, help=flag.help)
        else:
            parent.add_argument(
                flag.name, dest=flag.key, action="store_const", const=flag.constant, help=flag.help
            )
    return parent


def load_settings(parsed: argparse.Namespace) -> "Loaded":
    """The settings of this command line, file and environment. Raises ConfigError."""
    from registry.config_sources import Value, load  # here, so that `entrepot version` starts without them

    flags = {
        flag.key: Value(getattr(parsed, flag.key), f"flag {flag.name}")
        for flag in FLAGS
        if getattr(parsed, flag.key, None) is not None
    }
    return load(flags, parsed.config, os.environ)
