"""Run a client program as a user would, with a home of its own and no way out to the network."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from tests.support.tools import tool

DEAD_PROXY = "http://127.0.0.1:9"
"""Nobody listens on the discard port: a client that calls out fails at once."""


class ClientFailed(AssertionError):
    """A client ended as it should not have. `said` is all that it printed."""

    def __init__(self, command: object, said: str) -> None:
        super().__init__(f"{command} failed\n{said}")
        self.said = said


def environment(home: Path) -> dict[str, str]:
    """All that a client gets to know of this machine: a PATH, and empty folders below `home`."""
    home.mkdir(parents=True, exist_ok=True)
    scratch = home / "tmp"
    scratch.mkdir(exist_ok=True)
    authentication = home / "auth.json"
    authentication.write_text("{}")
    loopback = "127.0.0.1,localhost,::1"
    return {
        "PATH": os.environ["PATH"] + ":/usr/local/sbin:/usr/sbin:/sbin",
        "HOME": str(home),
        "TMPDIR": str(scratch),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_CACHE_HOME": str(home / "cache"),
        "XDG_DATA_HOME": str(home / "data"),
        "DOCKER_CONFIG": str(home / "docker"),
        "REGISTRY_AUTH_FILE": str(authentication),
        **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), DEAD_PROXY),
        **dict.fromkeys(("NO_PROXY", "no_proxy"), loopback),
    }


@dataclass(frozen=True)
class Client:
    """A program with its environment; calling it runs it. `options` go before the arguments of every call."""

    program: str
    environment: Mapping[str, str]
    options: Sequence[str] = ()
    folder: Path | None = None

    @classmethod
    def found(cls, name: str, home: Path, options: Sequence[str] = (), **variables: str) -> Self:
        """The program from the PATH (else the test is skipped) with `variables` in its environment."""
        return cls(tool(name), {**environment(home), **variables}, options, home)

    def within(self, folder: Path) -> Self:
        """The same client, working in another folder."""
        return replace(self, folder=folder)

    def run(
        self, *arguments: str | Path, standard_input: bytes | None = None
    ) -> subprocess.CompletedProcess[str]:
        command = [self.program, *self.options, *(str(argument) for argument in arguments)]
        done = subprocess.run(
            command,
            env=dict(self.environment),
            cwd=self.folder,
            input=standard_input,
            stdin=subprocess.DEVNULL if standard_input is None else None,
            capture_output=True,
            timeout=110,
            check=False,
        )
        return subprocess.CompletedProcess(
            command,
            done.returncode,
            done.stdout.decode(errors="replace"),
            done.stderr.decode(errors="replace"),
        )

    def __call__(self, *arguments: str | Path, standard_input: bytes | None = None) -> str:
        """What the program printed. Raises ClientFailed for any exit code but 0."""
        done = self.run(*arguments, standard_input=standard_input)
        if done.returncode != 0:
            raise ClientFailed(done.args, f"{done.stdout}\n{done.stderr}")
        return done.stdout

    def refused(self, *arguments: str | Path, standard_input: bytes | None = None) -> str:
        """All the program said when it failed, which it has to."""
        done = self.run(*arguments, standard_input=standard_input)
        assert done.returncode != 0, f"{done.args} should have failed\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr
