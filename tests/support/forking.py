"""Starts `entrepot` in processes that need not import its modules first: that is most of what a start costs.

One process has imported them all and is forked for each start. What is forked then runs as
`python -m registry` does, in a session, a folder and an environment of its own, and is a child of who asked.
"""

import atexit
import ctypes
import functools
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile

from storage_drivers import failpoints

ROOT = Path(__file__).resolve().parents[2]

IMPORTED = (
    "registry.cli.serving",
    "registry.cli.client.local",
    "registry.app",
    "registry.server",
    "registry.index.migrations",
    "alembic.command",
    "jwt",
    "storage_drivers.filesystem",
    "storage_drivers.s3",
    "psycopg",
)
"""What servers and commands import at once or a little later."""

LONGEST = 1 << 17
"""Bytes of a request: above all those of an environment."""

PR_SET_CHILD_SUBREAPER = 36
"""prctl(2): descendants whose parent ends become children of this process, and not of init."""


class Forked:
    """A child that somebody else forked, with what tests use of `subprocess.Popen`."""

    def __init__(self, pid: int, args: Sequence[str]) -> None:
        self.pid = pid
        self.args = args
        self.returncode: int | None = None
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """The exit code, or the negative signal that it died of; None while it runs."""
        with self._lock:
            if self.returncode is None:
                ended, status = os.waitpid(self.pid, os.WNOHANG)
                if ended:
                    self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The same when it has ended. Raises subprocess.TimeoutExpired."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if timeout is not None and deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(self.args, timeout)
            time.sleep(0.01)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def fork_entrepot(
    arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str], output: int
) -> Forked:
    """Run `entrepot` with these arguments. `environment` is all that it has; `output` is the descriptor of
    the file that it prints into, on both streams. Standard input is empty."""
    return _forker().fork(arguments, folder, environment, output)


def run_entrepot(
    arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str], timeout: float = 60
) -> tuple[int, str]:
    """The same to its end: the exit code, and what it printed. Raises subprocess.TimeoutExpired."""
    with TemporaryFile() as output:
        forked = fork_entrepot(arguments, folder=folder, environment=environment, output=output.fileno())
        code = forked.wait(timeout)
        output.seek(0)
        return code, output.read().decode(errors="replace")


class Forker:
    """The process that is forked, as seen from the tests. It ends when they do."""

    def __init__(self) -> None:
        self._requests, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )

    def fork(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], output: int
    ) -> Forked:
        request = json.dumps([list(arguments), str(folder), dict(environment)]).encode()
        with self._lock:
            adopt_orphans(True)
            try:
                socket.send_fds(self._requests, [request], [output])
                pid = int(self._requests.recv(100) or b"0")
                assert pid, "the process that is to be forked has ended, and has said why on standard error"
                assert self._requests.recv(100) == b"orphaned"
            finally:
                adopt_orphans(False)
        return Forked(pid, arguments)

    def close(self) -> None:
        self._requests.close()
        self._process.wait(10)


@functools.cache
def _forker() -> Forker:
    forker = Forker()
    atexit.register(forker.close)
    return forker


def adopt_orphans(adopting: bool) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, int(adopting), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def serve(requests: socket.socket) -> None:
    """Fork for each request until the tests have gone."""
    for name in IMPORTED:
        importlib.import_module(name)
    gc.freeze()  # so that the children's collector leaves alone the pages that they share
    while True:
        request, outputs, _, _ = socket.recv_fds(requests, LONGEST, 1)
        if not request:
            return
        between = os.fork()
        if between == 0:
            if pid := os.fork():
                requests.send(str(pid).encode())
                os._exit(0)  # whereupon the child is an orphan
            requests.close()
            become(*json.loads(request), outputs[0])
        os.close(outputs[0])
        os.waitpid(between, 0)
        requests.send(b"orphaned")


def become(arguments: Sequence[str], folder: str, environment: Mapping[str, str], output: int) -> None:
    """Be `python -m registry`, to the end: raises its SystemExit."""
    os.setsid()
    for stream in (1, 2):
        os.dup2(output, stream)
    os.close(output)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    # The one thing that our modules read from the environment when they are imported.
    failpoints._target, failpoints._time = failpoints.parse(environment.get(failpoints.VARIABLE, ""))
    sys.argv = ["registry", *arguments]
    runpy.run_module("registry", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
