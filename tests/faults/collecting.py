"""Collections that a test asks for, and what they may take of a client's things."""

import os
import signal
import sqlite3
from collections.abc import Iterable
from contextlib import ExitStack, closing
from pathlib import Path

from storage_drivers import failpoints
from tests.faults.journal import Journal, Key
from tests.faults.pusher import Pusher
from tests.support.forking import ROOT, run_entrepot

ENVIRONMENT = {
    "ENTREPOT_GC__EVERY_SECONDS": "0",
    "ENTREPOT_GC__DELAY_SECONDS": "0",
    "ENTREPOT_JOURNAL__EVERY_SECONDS": "0",
    "ENTREPOT_BLOBS__LEASE_SECONDS": "0.01",
}
"""Nothing is collected unless it is asked for; then it is as if all leases were over."""


def collect(data: Path, pushers: Iterable[Pusher], place: str, deaths: int) -> int:
    """Collect to the end, removed manifests included. What no manifest needs goes; nothing else does.

    Whoever collects is killed at a failpoint, up to `deaths` times; returns how often.
    """
    died = 0
    with ExitStack() as changes:
        for pusher in pushers:
            changes.enter_context(pusher.journal.changing(dict.fromkeys(needless(pusher.journal))))
        while not collected(data, f"{place}:{min(died + 1, 2)}" if died < deaths else ""):
            release_jobs(data)
            died += 1
    return died


def collected(data: Path, failpoint: str) -> bool:
    """Run a collection; whether it came to its end, and was not killed."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("ENTREPOT_")}
    code, printed = run_entrepot(
        ["gc", "run", "--purge-removed", "--data", str(data)],
        folder=ROOT,
        environment={**clean, **ENVIRONMENT, failpoints.VARIABLE: failpoint},
    )
    assert code in (0, -signal.SIGKILL), printed
    return code == 0


def needless(journal: Journal) -> list[Key]:
    """The blobs of repositories that no manifest there mentions."""
    values = journal.certain()
    manifests: dict[str, bytes] = {}
    for (kind, repository, _), value in values.items():
        if kind == "manifests" and value is not None:
            manifests[repository] = manifests.get(repository, b"") + value
    return [
        key
        for key, value in values.items()
        if key[0] == "blobs" and value is not None and key[2].encode() not in manifests.get(key[1], b"")
    ]


def release_jobs(data: Path) -> None:
    """Let the time of a process that died be over: others would wait for a minute."""
    with closing(sqlite3.connect(data / "index.sqlite", timeout=30)) as index, index:
        index.execute("UPDATE jobs SET held_until = 0")


def make_incomplete(data: Path) -> None:
    """Have all manifests look as the version before left them."""
    with closing(sqlite3.connect(data / "index.sqlite", timeout=30)) as index, index:
        index.execute("UPDATE manifests SET missing_recorded = 0")


def surplus(data: Path) -> list[str]:
    """Objects that no blob has."""
    with closing(sqlite3.connect(data / "index.sqlite", timeout=30)) as index:
        known = {location for (location,) in index.execute("SELECT location FROM blobs")}
    storage = data / "storage"
    found = {str(path.relative_to(storage)) for path in (storage / "blobs").rglob("*") if path.is_file()}
    return sorted(found - known)
