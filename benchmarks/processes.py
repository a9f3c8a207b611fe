"""What the processes of a server have used, read from /proc (see proc(5))."""

import os
from collections.abc import Iterator
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def _of_session(session: int) -> Iterator[list[str]]:
    """The fields of /proc/<pid>/stat, from the third on (state), of every process of a session."""
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            text = Path(entry.path, "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while the folder was read
        fields = text.rpartition(")")[2].split()
        if int(fields[3]) == session:
            yield fields


def cpu_seconds(session: int) -> float:
    """User and system time of a session's processes and of their children that have ended.

    The kernel hands it out in ticks of 10 ms, but adds it up exactly: no sampling error.
    """
    return sum(sum(map(int, fields[11:15])) for fields in _of_session(session)) / _TICKS


def resident_bytes(session: int) -> int:
    """Resident memory of a session's processes. A page that two of them share counts twice."""
    return sum(int(fields[21]) for fields in _of_session(session)) * _PAGE
