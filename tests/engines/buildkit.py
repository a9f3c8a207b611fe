"""BuildKit, as it is in the Docker Engine."""

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.engines.clients import Client

FIRST_WITHOUT = 23
"""From this version on the docker command needs its plugin buildx to speak with BuildKit."""


def with_buildkit(docker: Client) -> Client:
    """A docker command of this machine that builds with BuildKit; skips the test where there is none."""
    for program in programs(docker):
        client = replace(
            docker, program=str(program), environment={**docker.environment, "DOCKER_BUILDKIT": "1"}
        )
        found = re.search(r"version (\d+)\.", client("--version"))
        assert found is not None
        if int(found[1]) < FIRST_WITHOUT or client.run("buildx", "version").returncode == 0:
            return client
    pytest.skip(f"to use BuildKit, docker needs its plugin buildx from version {FIRST_WITHOUT} on")


def programs(docker: Client) -> Iterator[Path]:
    """Every docker on the PATH: a newer one may stand before Debian's."""
    for folder in docker.environment["PATH"].split(os.pathsep):
        program = Path(folder) / "docker"
        if program.is_file():
            yield program
