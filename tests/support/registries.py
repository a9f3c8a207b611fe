"""Other registries: programs that are run as `program serve FILE`, docker-registry, distribution and zot."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.server import RunningRegistry, free_port

FOREIGN = ("REGISTRY_", "AWS_")
"""Variables that docker-registry would take for settings."""


@contextmanager
def running_program(
    program: str, folder: Path, configuration: Callable[[str], Mapping[str, object]]
) -> Iterator[str]:
    """Yields the `host:port` where a registry runs inside the block. `configuration` makes what its file says
    for an address; file and log come into `folder`.

    Raises AssertionError, with what it printed, when it does not begin to answer.
    """
    address = f"127.0.0.1:{free_port()}"
    file = folder / "configuration.json"
    file.write_text(json.dumps(configuration(address)))  # JSON is YAML
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, "serve", str(file)],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)},
            start_new_session=True,
        )
    running = RunningRegistry(process, address, folder, log)
    try:
        running.wait_until_ready()
        yield address
    finally:
        running.kill()
