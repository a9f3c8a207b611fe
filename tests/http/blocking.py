"""A guard: the registry never does in the event loop what could block it.

It looks at what is done and not at how long it takes, so a loaded machine makes it neither fail nor pass:
opening, renaming, deleting or syncing files, using a database, locks of files, sleeping and connecting are
for threads. What the tests themselves do is not looked at, only calls that come from the registry's code.
"""

import linecache
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from types import FrameType
from typing import Any
from unittest.mock import patch

from sqlalchemy import Pool, event

ROOT = Path(__file__).resolve().parents[2]
WATCHED_CODE = tuple(f"{ROOT / package}{os.sep}" for package in ("registry", "storage_drivers", "auth"))

BLOCKING_EVENTS = frozenset(
    {
        *("open", "os.link", "os.listdir", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.scandir"),
        *("os.symlink", "os.truncate", "os.utime", "fcntl.flock", "fcntl.lockf", "glob.glob"),
        *("shutil.copyfile", "shutil.move", "shutil.rmtree", "socket.connect", "socket.getaddrinfo"),
        *("sqlite3.connect", "subprocess.Popen", "tempfile.mkdtemp", "tempfile.mkstemp"),
    }
)
"""Audit events of the interpreter (PEP 578)."""

BLOCKING_FUNCTIONS = [
    *(
        (os, name)
        for name in ("fsync", "fdatasync", "sync", "pread", "pwrite", "sendfile", "posix_fallocate")
    ),
    (time, "sleep"),
]
"""What raises no audit event."""


class _Guard:
    """`thread` is the one that must not block; None while nothing is guarded."""

    def __init__(self) -> None:
        self.thread: int | None = None
        self.found: list[str] = []

    def note(self, what: str) -> None:
        """Remember `what`, with its stack, if the registry's code does it in the guarded thread."""
        if threading.get_ident() != self.thread:
            return
        stack: list[str] = []
        frame: FrameType | None = sys._getframe(2)
        while frame is not None:
            if frame.f_code.co_filename == linecache.__file__:
                return  # source lines of a traceback that is logged
            if frame.f_code.co_filename.startswith(WATCHED_CODE):
                stack.append(f"  {frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}")
            frame = frame.f_back
        if stack:
            self.found.append("\n".join((what, *stack)))


_guard = _Guard()


def _audit(name: str, arguments: tuple[Any, ...]) -> None:
    if _guard.thread is None or name not in BLOCKING_EVENTS:
        return
    if name == "socket.connect" and arguments[0].gettimeout() == 0:
        return  # a socket that does not block only begins to connect
    _guard.note(name)


def _checkout(*_: object) -> None:
    _guard.note("the use of a database connection")


def _noted(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        _guard.note(function.__name__)
        return function(*arguments, **options)

    return call


sys.addaudithook(_audit)  # for the rest of the process: an audit hook can't be taken out
event.listen(Pool, "checkout", _checkout)


@contextmanager
def blocking_calls_fail() -> Iterator[None]:
    """While it is entered, what the registry does in this thread must not block; it fails at the end."""
    outer = _guard.thread
    _guard.thread = threading.get_ident()
    patches = [
        patch.object(module, name, _noted(getattr(module, name))) for module, name in BLOCKING_FUNCTIONS
    ]
    for one in patches:
        one.start()
    try:
        yield
    finally:
        for one in reversed(patches):
            one.stop()
        _guard.thread = outer
        found, _guard.found = _guard.found, []
    assert not found, "the event loop was blocked by\n" + "\n".join(found)


@contextmanager
def blocking_calls_pass() -> Iterator[None]:
    """Suspend the guard: when a process starts nobody waits for its event loop yet."""
    outer, _guard.thread = _guard.thread, None
    try:
        yield
    finally:
        _guard.thread = outer
