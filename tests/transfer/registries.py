"""Other registries, as they run elsewhere: behind htpasswd."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bcrypt

from tests.adoption.old_registry import OldRegistry
from tests.engines.images import sha256
from tests.support.registries import running_program
from tests.support.tools import tool

USER, PASSWORD = "mover", "of-the-other-registry"


class Other(OldRegistry):
    """zot's uploads have addresses without a query."""

    def push_blob(self, repository: str, data: bytes) -> None:
        begun = self.request("POST", f"/v2/{repository}/blobs/uploads/")
        target = begun.headers["Location"].removeprefix(f"http://{self.address}")
        mark = "&" if "?" in target else "?"
        headers = {"Content-Type": "application/octet-stream"}
        answer = self.request("PUT", f"{target}{mark}digest={sha256(data)}", headers, data)
        assert answer.status == 201, answer


@contextmanager
def other_registry(program: str, folder: Path) -> Iterator[OldRegistry]:
    """docker-registry or zot. Yields what speaks to it with the right password."""
    folder.mkdir()
    found = tool(program, "apt-get install docker-registry" if program == "docker-registry" else "make tools")
    passwords = folder / "htpasswd"
    passwords.write_text(f"{USER}:{bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(5, b'2a')).decode()}\n")
    with running_program(
        found, folder, lambda address: _configuration(program, address, folder, passwords)
    ) as address:
        yield Other(address, f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}")


def _configuration(program: str, address: str, folder: Path, passwords: Path) -> dict[str, Any]:
    if program == "docker-registry":
        return {
            "version": 0.1,
            "log": {"level": "error"},
            "storage": {"filesystem": {"rootdirectory": str(folder / "storage")}},
            "http": {"addr": address, "secret": "of the tests"},
            "auth": {"htpasswd": {"realm": "other", "path": str(passwords)}},
        }
    host, port = address.split(":")
    return {
        "storage": {"rootDirectory": str(folder / "storage"), "gc": False},
        "http": {"address": host, "port": port, "auth": {"htpasswd": {"path": str(passwords)}}},
        "log": {"level": "error"},
    }
