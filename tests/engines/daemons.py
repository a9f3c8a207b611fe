"""Daemons of the tests' own: dockerd and containerd, each in a folder of its own and with nothing shared."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest


def needs_root(what: str) -> None:
    """Skip the test of an ordinary user: `what` mounts, and makes namespaces, as root."""
    if os.geteuid() != 0:
        pytest.skip(f"{what} needs root: run the tests as root to have it")


@contextmanager
def daemon(
    command: Sequence[str], environment: Mapping[str, str], log_file: Path, ready: Callable[[], bool]
) -> Iterator[None]:
    """Run a daemon until the block ends. It has to be `ready` within 30 seconds, and to stop when told to."""
    with log_file.open("ab") as log:
        process = subprocess.Popen(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 30
        while not ready():
            gone = process.poll() is not None
            if gone or time.monotonic() > deadline:
                pytest.fail(f"{command[0]} did not start:\n{log_file.read_text(errors='replace')}")
            time.sleep(0.05)
        yield
        process.terminate()
        process.wait(30)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
