"""What the processes of a server have used, read from /proc (see proc(5))."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def _of(leader: int) -> Iterator[tuple[Path, list[str]]]:
    """Of a process, its session and its children: the folder below /proc, and in it the fields of `stat` from
    the third on (state).

    PostgreSQL's processes have a session each.
    """
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            text = Path(entry.path, "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while the folder was read
        fields = text.rpartition(")")[2].split()
        if leader in (int(entry.name), int(fields[1]), int(fields[3])):
            yield Path(entry.path), fields


def cpu_seconds(leader: int) -> float:
    """User and system time of a leader's processes and of their children that have ended.

    The kernel hands it out in ticks of 10 ms, but adds it up exactly: no sampling error.
    """
    return sum(sum(map(int, fields[11:15])) for _, fields in _of(leader)) / _TICKS


def resident_bytes(leader: int) -> int:
    """Resident memory of a leader's processes. A page that two of them share counts twice."""
    return sum(int(fields[21]) for _, fields in _of(leader)) * _PAGE


def peak_resident_bytes(leader: int) -> int:
    """The most that any one of a leader's processes ever had resident (VmHWM)."""
    peaks = []
    for folder, _ in _of(leader):
        found = re.search(r"^VmHWM:\s+(\d+) kB$", (folder / "status").read_text(), re.MULTILINE)
        if found is not None:  # a process that has ended has none
            peaks.append(int(found[1]) * 1024)
    return max(peaks)
