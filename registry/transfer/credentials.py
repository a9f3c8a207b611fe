"""Who somebody is at a registry, and the files of engines that know it."""

import base64
import binascii
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from registry.transfer.errors import TransferError
from registry.transfer.references import DOCKER_HUB

_HUB_ENTRIES = ("https://index.docker.io/v1/", "index.docker.io", DOCKER_HUB)


class Credentials(NamedTuple):
    """A user with a password, or a refresh token (which docker calls identity token) in its place."""

    user: str
    password: str = ""
    refresh_token: str | None = None


def from_engines(host: str, file: Path | None = None) -> Credentials | None:
    """What `docker login` or `podman login` kept for a host; None if neither did.

    `file` is asked alone if it is given. Raises TransferError for a file that can't be read. What lies in
    a credential helper, which is a program, is not asked for.
    """
    for path in [file] if file is not None else _files():
        if file is None and not path.exists():
            continue
        found = _find(_read(path), host)
        if found is not None:
            return found
    return None


def _files() -> list[Path]:
    """Where engines keep it, podman's before docker's (containers-auth.json(5), docker login)."""
    home = Path(os.environ.get("HOME", "/"))
    named = os.environ.get("REGISTRY_AUTH_FILE")
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    docker = os.environ.get("DOCKER_CONFIG")
    return [
        *([Path(named)] if named else []),
        *([Path(runtime) / "containers" / "auth.json"] if runtime else []),
        home / ".config" / "containers" / "auth.json",
        (Path(docker) if docker else home / ".docker") / "config.json",
    ]


def _read(path: Path) -> Mapping[str, Any]:
    try:
        document = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise TransferError(f"{path} can't be read: {error.strerror}") from error
    except ValueError as error:
        raise TransferError(f"{path} is not JSON") from error
    auths = document.get("auths") if isinstance(document, dict) else None
    return auths if isinstance(auths, dict) else {}


def _find(auths: Mapping[str, Any], host: str) -> Credentials | None:
    names = _HUB_ENTRIES if host == DOCKER_HUB else (host, f"https://{host}", f"http://{host}")
    for name in names:
        for written in (name, f"{name}/"):
            entry = auths.get(written)
            if isinstance(entry, dict) and (found := _credentials(entry)) is not None:
                return found
    return None


def _credentials(entry: Mapping[str, Any]) -> Credentials | None:
    user, password = "", ""
    try:
        decoded = base64.b64decode(entry.get("auth") or "", validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError, TypeError):
        return None
    user, _, password = decoded.partition(":")
    token = entry.get("identitytoken")
    if isinstance(token, str) and token:
        return Credentials(user, "", token)
    return Credentials(user, password.rstrip("\x00")) if user else None
