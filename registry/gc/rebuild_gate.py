"""When an index may be rebuilt from the storage, and what has to wait for that."""

import time

from registry.index import Connection, jobs, rebuilding
from registry.oci.errors import Conflict

JOB = "rebuild"

WAITING = ("gc", "retention", "scrub")
"""Jobs that would take for garbage what a rebuild brings back."""

WAIT_SECONDS = 86400.0
"""How long they don't run by themselves after a restore, or the beginning of a rebuild."""


class IndexInUse(Conflict):
    """The index has content of its own."""

    def __init__(self) -> None:
        super().__init__(
            "this index has content, and an index is rebuilt from the storage only when it has none, or when "
            "a backup was restored into it: see docs/backup.md"
        )


def open_gate(connection: Connection, restored_to: float) -> None:
    """After a restore: the index may be brought up to date from the storage, once."""
    jobs.leave(connection, JOB, {"restored_to": restored_to})
    postpone_others(connection)


def postpone_others(connection: Connection) -> None:
    """Let what deletes wait for the operator."""
    for name in WAITING:
        jobs.postpone(connection, name, time.time() + WAIT_SECONDS)


def check_gate(connection: Connection) -> None:
    """Raise IndexInUse for an index with content."""
    if rebuilding.has_content(connection):
        raise IndexInUse
