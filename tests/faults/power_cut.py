"""What a power cut would leave of a folder, told from the system calls of the processes that write there.

`trace_of` reads what `strace -f -y` wrote; `Disk` is the model of a file system that keeps no promise but
those of POSIX: bytes of a file are safe once fsync or fdatasync of that file returned, and a name (new,
renamed or removed) once fsync of its directory did. `answers` replays a trace and notes, at each answer that
a server gives to a client, what would be lost if the power failed at this moment.
"""

import os.path
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

WRITES = {"write", "writev", "pwrite64", "pwritev", "pwritev2", "ftruncate", "fallocate", "sendto", "sendmsg"}
SYNCS = {"fsync", "fdatasync"}
NAMES = {"open", "openat", "creat", "mkdir", "mkdirat", "rename", "renameat", "renameat2"}
NAMES |= {"link", "linkat", "unlink", "unlinkat", "rmdir"}

STRACE = ("strace", "-f", "-D", "-y", "-s", "256", "-e", "trace=" + ",".join(sorted(WRITES | SYNCS | NAMES)))
"""To be followed by `-o` and the name of the trace. With -D a signal reaches the program and not strace."""


class Call(NamedTuple):
    """A system call as it begins (`result` None) or ends, in the order in which that happened."""

    thread: str
    name: str
    arguments: str
    result: str | None


_LINE = re.compile(r"(?P<thread>\d+) +(?:(?P<name>\w+)\(|<\.\.\. (?P<resumed>\w+) resumed>)(?P<rest>.*)")
_END = re.compile(r"\)\s+= (-?\w+)[^=]*$")


def trace_of(lines: Iterable[str]) -> Iterator[Call]:
    """The calls of a trace. One that other threads interrupted stands in two lines."""
    begun: dict[str, tuple[str, str]] = {}
    for line in lines:
        if (found := _LINE.match(line)) is None:
            continue  # a signal, the end of a process
        thread, name, rest = found["thread"], found["name"], found["rest"]
        if name is not None:
            begun[thread] = name, rest
            yield Call(thread, name, rest, None)
        if (end := _END.search(rest)) is not None:
            name, arguments = begun.pop(thread)
            yield Call(thread, name, arguments, end[1])


@dataclass(eq=False)
class Node:
    """A file or directory, whatever its name. Of its `changes` (writes) the first `synced` are safe."""

    changes: int = 0
    synced: int = 0


@dataclass
class Disk:
    """The folder `root`, empty at first. Paths are absolute; `ignored` are those that may always be lost."""

    root: str
    ignored: Callable[[str], bool] = lambda _path: False
    now: dict[str, Node] = field(default_factory=dict)
    safe: dict[str, Node] = field(default_factory=dict)
    _syncing: dict[str, tuple[int, dict[str, Node]]] = field(default_factory=dict)

    def apply(self, call: Call) -> None:
        if call.name in WRITES:
            # At the begin and at the end: a sync that began in between covers it or does not.
            if (node := self.now.get(path_of_descriptor(call.arguments))) is not None:
                node.changes += 1
        elif call.name in SYNCS:
            self._sync(call)
        elif call.result is not None and not call.result.startswith("-"):
            self._rename(call, [path for path in paths_of(call.arguments) if self._is_inside(path)])

    def _is_inside(self, path: str) -> bool:
        return path.startswith(f"{self.root}/")

    def _sync(self, call: Call) -> None:
        """Safe is what was there when the sync began, as soon as it has ended."""
        path = path_of_descriptor(call.arguments)
        node = self.now.get(path)
        if call.result is None:
            self._syncing[call.thread] = (0 if node is None else node.changes, self._entries(self.now, path))
            return
        changes, entries = self._syncing.pop(call.thread)
        if call.result != "0":
            return
        if node is not None:
            node.synced = max(node.synced, changes)
        for gone in self._entries(self.safe, path).keys() - entries.keys():
            del self.safe[gone]
        self.safe.update(entries)

    @staticmethod
    def _entries(names: dict[str, Node], directory: str) -> dict[str, Node]:
        return {path: node for path, node in names.items() if os.path.dirname(path) == directory}

    def _rename(self, call: Call, paths: list[str]) -> None:
        match call.name, paths:
            case "open" | "openat" | "creat", [path] if "O_CREAT" in call.arguments or call.name == "creat":
                node = self.now.setdefault(path, Node())
                node.changes += "O_TRUNC" in call.arguments
            case "mkdir" | "mkdirat", [path]:
                self.now[path] = Node()
            case "rename" | "renameat" | "renameat2", [old, new]:
                self.now[new] = self.now.pop(old)
            case "link" | "linkat", [old, new]:
                self.now[new] = self.now[old]
            case "unlink" | "unlinkat" | "rmdir", [path]:
                del self.now[path]

    def lost(self) -> set[str]:
        """What a power cut would undo: `name PATH`, `bytes PATH`, and `return of PATH` after a removal."""
        lost = {f"name {path}" for path, node in self.now.items() if self.safe.get(path) is not node}
        lost |= {f"bytes {path}" for path, node in self.now.items() if node.synced < node.changes}
        lost |= {f"return of {path}" for path in self.safe.keys() - self.now.keys()}
        return {loss.replace(f"{self.root}/", "") for loss in lost if not self.ignored(loss)}


_DESCRIPTOR = re.compile(r"\d+<([^>]*)>")
_PATH = re.compile(r'(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"([^"]*)"')


def path_of_descriptor(arguments: str) -> str:
    """The path of the file that a call works on; of a socket what strace calls it."""
    found = _DESCRIPTOR.match(arguments)
    return "" if found is None else found[1]


def paths_of(arguments: str) -> list[str]:
    """The paths that a call names, those of the *at() calls joined with their directory."""
    return [os.path.join(directory or "", path) for directory, path in _PATH.findall(arguments)]


class Answer(NamedTuple):
    """An answer to a client: what a power cut would undo at this moment, and how many writes to each file
    it would not undo."""

    status: int
    lost: set[str]
    kept: dict[str, int]


_ANSWER = re.compile(r"HTTP/1\.1 (\d{3})")


def answers(calls: Iterable[Call], disk: Disk) -> Iterator[Answer]:
    """Replay a trace: the answers in order, each with the state of the disk when it began to go out."""
    for call in calls:
        disk.apply(call)
        to_client = call.name in WRITES and call.result is None
        to_client = to_client and path_of_descriptor(call.arguments).startswith(("socket:", "TCP"))
        if to_client and (status := _ANSWER.search(call.arguments)) is not None:
            kept = {path: node.synced for path, node in disk.safe.items()}
            yield Answer(int(status[1]), disk.lost(), kept)
