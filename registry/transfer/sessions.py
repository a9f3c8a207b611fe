"""Where uploads that were broken off can go on: a small file for each, which only its user may read."""

import hashlib
import json
import os
import tempfile
from pathlib import Path

from registry.transfer.errors import TransferError


class Sessions:
    """Addresses of upload sessions, by what is uploaded: (registry, repository, digest).

    They live in `$XDG_STATE_HOME/entrepot/uploads`, so that the same command goes on after it was killed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find(self, server: str, repository: str, digest: str) -> str | None:
        """The address that was kept last."""
        try:
            document = json.loads(self._file(server, repository, digest).read_text("utf-8"))
        except (OSError, ValueError):
            return None  # then the upload begins anew
        location = document.get("location") if isinstance(document, dict) else None
        return location if isinstance(location, str) else None

    def keep(self, server: str, repository: str, digest: str, location: str) -> None:
        """Keep an address, in place of the one before. Raises TransferError."""
        path = self._file(server, repository, digest)
        text = json.dumps(
            {"server": server, "repository": repository, "digest": digest, "location": location}
        )
        try:
            path.parent.mkdir(0o700, parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".")  # with mode 0600
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            Path(name).replace(path)
        except OSError as error:
            raise TransferError(f"{path} can't be written: {error.strerror}") from error

    def forget(self, server: str, repository: str, digest: str) -> None:
        """The upload has ended."""
        self._file(server, repository, digest).unlink(missing_ok=True)

    def _file(self, server: str, repository: str, digest: str) -> Path:
        key = hashlib.sha256("\0".join((server, repository, digest)).encode()).hexdigest()
        return self._folder / f"{key}.json"


def state_folder() -> Path:
    """Where `Sessions` of this user live. A relative XDG_STATE_HOME counts as none (XDG Base Directory
    Specification). Raises TransferError."""
    configured = Path(os.environ.get("XDG_STATE_HOME", ""))
    try:
        base = configured if configured.is_absolute() else Path.home() / ".local" / "state"
    except RuntimeError as error:
        raise TransferError("there is no home folder to keep state in: set XDG_STATE_HOME") from error
    return base / "entrepot" / "uploads"
