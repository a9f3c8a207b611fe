"""`entrepot serve` and `entrepot migrate`."""

import argparse
import asyncio
import os
from pathlib import Path

from auth.addresses import is_loopback
from registry.cli.certificates import prepare_certificate, trust_lines
from registry.cli.commands import CommandError, Commands, add_command
from registry.cli.configuration import check_storage
from registry.cli.settings_flags import load_settings
from registry.config import ConfigError, Settings
from registry.oci.errors import RegistryError
from registry.telemetry import direct_audit


def add(commands: Commands, settings: argparse.ArgumentParser) -> None:
    """Add `serve` and `migrate`."""
    add_command(commands, "serve", _serve, "serve the registry", settings)
    migrate = "create the index, or bring it to this version's form"
    add_command(commands, "migrate", _migrate, migrate, settings)


def _serve(parsed: argparse.Namespace) -> int:
    from registry.server import listen, serve  # here, so that `entrepot config` starts without a web server

    settings = load_settings(parsed).settings
    check_storage(settings, ask=True)
    prepare_index(settings)
    prepare_certificate(settings)
    open_audit_file(settings)
    password = None if settings.open else asyncio.run(prepare_accounts(settings))
    sockets = listen(settings)
    print("\n".join(welcome(settings, password)), flush=True)
    return serve(settings, sockets)


def _migrate(parsed: argparse.Namespace) -> int:
    prepare_index(load_settings(parsed).settings)
    print("the index is up to date")
    return 0


def prepare_index(settings: Settings) -> None:
    """Create or migrate the index. Raises CommandError."""
    from registry.index.migrations import MigrationError, upgrade  # SQLAlchemy takes a while to import

    try:
        if settings.index.url is None:
            make_folder(settings.data.absolute())
        upgrade(settings.index_url())
    except OSError as error:
        raise CommandError(f"data: {settings.data}: {error.strerror}") from error
    except MigrationError as error:
        raise CommandError(str(error)) from error


async def prepare_accounts(settings: Settings) -> str | None:
    """Make the first administrator and the first key, where they are missing; the password to show.

    Raises CommandError and ConfigError.
    """
    from registry.composition import Composition
    from registry.services.accounts.first_start import ensure_administrator

    given = settings.auth.admin_password
    try:
        services = Composition(settings, pool_size=1)
        try:
            await services.accounts.keys.signing()
            password = None if given is None else given.get_secret_value()
            return await ensure_administrator(services.index, services.audit, password)
        finally:
            await services.close()
    except ValueError as error:
        raise ConfigError([str(error)]) from error
    except RegistryError as error:
        raise CommandError(error.message) from error


def open_audit_file(settings: Settings) -> None:
    """Send what this process enters into the audit to the file for it, if one is set. Raises ConfigError."""
    if settings.audit.file is None:
        return
    try:
        direct_audit(settings.audit.file)
    except OSError as error:
        raise ConfigError([f"audit.file: can't write {settings.audit.file}: {error.strerror}"]) from error


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


def welcome(settings: Settings, password: str | None = None) -> list[str]:
    """What `serve` says first: where it listens, where data lies, the first administrator's password if it
    was made now, and commands to try."""
    server = settings.server
    if server.external_url:
        name = server.external_url.partition("://")[2]
    elif is_loopback(server.host):
        name = server.listen
    else:
        name = f"localhost:{server.port}"
    address = f"{server.scheme}://{server.listen}{server.path_prefix or '/'}"
    lines = [f"Entrepot listens on {address}, {_workers(settings)}"]
    if settings.index.url is None:
        lines.append(f"data lies in {settings.data.absolute()}")
    else:
        lines.append("the index lies in the database that index.url names")
    if settings.storage.driver != "filesystem":
        lines.append(f"blobs are kept by the storage driver {settings.storage.driver}")
    elif settings.index.url is not None or (settings.storage.model_extra or {}).get("filesystem"):
        lines.append(f"blobs lie in {settings.storage_settings()['root']}")
    if settings.open:
        lines.append("there are no accounts: whoever can connect may read, push and delete")
    elif password is not None:
        lines += [f"sign in as admin with the password {password}", "(it is shown this once)"]
    if server.tls == "auto":
        lines += trust_lines(settings)
    return [
        *lines,
        "to try it:",
        *([] if settings.open else [f"    docker login {name} --username admin"]),
        "    docker pull alpine",
        f"    docker tag alpine {name}/alpine",
        f"    docker push {name}/alpine",
    ]


def _workers(settings: Settings) -> str:
    return "1 worker" if settings.server.workers == 1 else f"{settings.server.workers} workers"
