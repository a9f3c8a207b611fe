"""Where `entrepot login` keeps what it got: a file that only its user may read.

It is $XDG_CONFIG_HOME/entrepot/credentials.json, with an entry for each server.
"""

import json
import os
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from registry.cli.commands import CommandError


class SignIn(NamedTuple):
    """Who is signed in at a server. `ca_file` holds the certificates to trust there, and `insecure_http`
    says that its user wanted to go without encryption."""

    server: str
    user: str
    refresh_token: str
    ca_file: str | None = None
    insecure_http: bool = False


def find(server: str) -> SignIn | None:
    """The entry of a server, written as registry.cli.client.http.server_url does. Raises CommandError."""
    entry = _read().get(server)
    if entry is None:
        return None
    try:
        return SignIn(server, **entry)
    except TypeError as error:
        raise _damaged() from error


def keep(sign_in: SignIn) -> None:
    """Enter it, in place of the one before. Raises CommandError."""
    entry = sign_in._asdict()
    del entry["server"]
    _write({**_read(), sign_in.server: entry})


def forget(server: str) -> None:
    """Remove the entry of a server. Raises CommandError."""
    _write({name: entry for name, entry in _read().items() if name != server})


def _file() -> Path:
    """A relative XDG_CONFIG_HOME counts as none (XDG Base Directory Specification)."""
    configured = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    try:
        base = configured if configured.is_absolute() else Path.home() / ".config"
    except RuntimeError as error:
        raise CommandError("there is no home folder to keep sign-ins in: set XDG_CONFIG_HOME") from error
    return base / "entrepot" / "credentials.json"


def _read() -> dict[str, Any]:
    path = _file()
    try:
        servers = json.loads(path.read_text("utf-8"))["servers"]
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise CommandError(f"{path}: can't be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged() from error
    if not isinstance(servers, dict):
        raise _damaged()
    return servers


def _write(servers: dict[str, Any]) -> None:
    """In one step, so that nobody ever finds half of it."""
    path = _file()
    data = json.dumps({"servers": servers}, indent=2).encode()
    try:
        path.parent.mkdir(0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # with mode 0600
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink()
            raise
    except OSError as error:
        raise CommandError(f"{path}: can't be written: {error.strerror}") from error


def _damaged() -> CommandError:
    return CommandError(f"{_file()} is damaged: remove it and sign in again with `entrepot login`")
