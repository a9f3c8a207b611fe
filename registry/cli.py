"""The command `entrepot`: serve, look at the configuration, migrate the index.

Exit codes: 0; 1 when something outside did not do what was asked; 2 for a wrong command line or
configuration. What a user can get wrong is answered by a few lines on standard error, never by a traceback.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from registry.config import ConfigError, Settings, is_loopback
from registry.config_sources import Loaded, Value, effective, load
from registry.drivers import driver_class

Command = Callable[[argparse.Namespace], int]


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
    Flag("--log-level", "log.level", "debug, info, warning or error", "LEVEL"),
    Flag("--no-access-log", "log.access", "no line for each request", constant=False),
    Flag(
        "--insecure-open",
        "server.insecure_open",
        "serve strangers too: there are no accounts yet",
        constant=True,
    ),
)


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
    except ConfigError as error:
        for problem in error.problems:
            print(f"entrepot: {problem}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    else:
        return code


def _parser() -> argparse.ArgumentParser:
    settings = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    settings.add_argument(
        "--config", type=Path, metavar="FILE", help="a TOML file with settings, $ENTREPOT_CONFIG by default"
    )
    for flag in FLAGS:
        if flag.constant is None:
            settings.add_argument(flag.name, dest=flag.key, metavar=flag.metavar, help=flag.help)
        else:
            settings.add_argument(
                flag.name, dest=flag.key, action="store_const", const=flag.constant, help=flag.help
            )

    parser = argparse.ArgumentParser(prog="entrepot", description="A private container registry.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(
        to: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, run: Command, help: str
    ) -> argparse.ArgumentParser:
        added = to.add_parser(name, help=help, description=help, parents=[settings], allow_abbrev=False)
        added.set_defaults(command=run)
        return added

    add(commands, "serve", _serve, "serve the registry")
    config = commands.add_parser("config", help="look at the configuration")
    about = config.add_subparsers(required=True, metavar="COMMAND")
    add(about, "check", _check, "say whether the configuration is right")
    show = add(about, "show", _show, "print every setting, its value and who set it")
    show.add_argument("--json", action="store_true", help="for programs")
    add(commands, "migrate", _migrate, "create the index, or bring it to this version's form")
    commands.add_parser("version", help="print the version").set_defaults(command=_version)
    return parser


def _load(parsed: argparse.Namespace) -> Loaded:
    flags = {
        flag.key: Value(getattr(parsed, flag.key), f"flag {flag.name}")
        for flag in FLAGS
        if getattr(parsed, flag.key) is not None
    }
    return load(flags, parsed.config, os.environ)


def _serve(parsed: argparse.Namespace) -> int:
    from registry.server import listen, serve  # here, so that `entrepot config` starts without a web server

    settings = _load(parsed).settings
    _check_storage(settings)
    failed = _prepare(settings)
    if failed:
        return failed
    sockets = listen(settings)
    print("\n".join(welcome(settings)), flush=True)
    return serve(settings, sockets)


def _migrate(parsed: argparse.Namespace) -> int:
    failed = _prepare(_load(parsed).settings)
    if not failed:
        print("the index is up to date")
    return failed


def _prepare(settings: Settings) -> int:
    """Create or migrate the index. Returns an exit code."""
    from registry.index.migrations import MigrationError, upgrade  # SQLAlchemy takes a while to import

    try:
        if settings.index.url is None:
            make_folder(settings.data.absolute())
        upgrade(settings.index_url())
    except OSError as error:
        print(f"entrepot: data: {settings.data}: {error.strerror}", file=sys.stderr)
        return 1
    except MigrationError as error:
        print(f"entrepot: {error}", file=sys.stderr)
        return 1
    return 0


def make_folder(folder: Path) -> None:
    """Make a folder with those above it, so that a power cut takes none of them away. Raises OSError.

    Also for one that is there: whoever made it may have died before the sync.
    """
    if not folder.parent.is_dir():
        make_folder(folder.parent)
    folder.mkdir(0o750, exist_ok=True)  # what is private here is private on this machine, too
    descriptor = os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check(parsed: argparse.Namespace) -> int:
    _check_storage(_load(parsed).settings)
    print("the configuration is right")
    return 0


def _check_storage(settings: Settings) -> None:
    """Let the driver judge its own table. Raises ConfigError."""

    async def try_it() -> None:
        driver = driver_class(settings.storage.driver).from_settings(settings.storage_settings())
        await driver.aclose()

    try:
        asyncio.run(try_it())
    except ValueError as error:
        raise ConfigError([f"storage.{settings.storage.driver}: {error}"]) from error


def _show(parsed: argparse.Namespace) -> int:
    rows = effective(_load(parsed))
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
        line = f"# {name} is not set" if value is None else f"{name} = {_toml(value)}"
        print(f"{line:<44} # {source}")
    return 0


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{json.dumps(key)} = {_toml(inner)}' for key, inner in value.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(_toml(entry) for entry in value)}]"
    return json.dumps(value, default=str, ensure_ascii=False)


def _version(_parsed: argparse.Namespace) -> int:
    try:
        print(f"entrepot {version('entrepot')}")
    except PackageNotFoundError:
        print("entrepot, from a checkout that is not installed")
    return 0


def welcome(settings: Settings) -> list[str]:
    """What `serve` says first: where it listens, where data lies, and three commands to try."""
    server = settings.server
    if server.external_url:
        name = server.external_url.partition("://")[2]
    elif is_loopback(server.host):
        name = server.listen
    else:
        name = f"localhost:{server.port}"
    lines = [f"Entrepot listens on http://{server.listen}{server.path_prefix or '/'}, {_workers(settings)}"]
    if settings.index.url is None:
        lines.append(f"data lies in {settings.data.absolute()}")
    else:
        lines.append("the index lies in the database that index.url names")
    if settings.storage.driver != "filesystem":
        lines.append(f"blobs are kept by the storage driver {settings.storage.driver}")
    elif settings.index.url is not None or (settings.storage.model_extra or {}).get("filesystem"):
        lines.append(f"blobs lie in {settings.storage_settings()['root']}")
    return [
        *lines,
        "to try it:",
        "    docker pull alpine",
        f"    docker tag alpine {name}/alpine",
        f"    docker push {name}/alpine",
    ]


def _workers(settings: Settings) -> str:
    return "1 worker" if settings.server.workers == 1 else f"{settings.server.workers} workers"
