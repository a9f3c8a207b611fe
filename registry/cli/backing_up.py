"""What `entrepot backup` and `entrepot restore` do, and what they tell."""

import asyncio
import json
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO

from auth.actor import Actor
from registry.cli.client.tables import table
from registry.cli.commands import CommandError, UsageError
from registry.cli.progress import progress
from registry.cli.services import open_services, this_operator
from registry.cli.version import product_version
from registry.config import Settings
from registry.gc.backup import Taken
from registry.gc.backups import Backups
from registry.oci.sizes import said_size
from registry.services.history import said as rfc3339
from storage_drivers.durable_files import sync_directory

STREAM = "-"


class Progress:
    """The number of rows that are done."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._count = 0

    def __call__(self, count: int) -> None:
        self._count = count

    def line(self) -> str:
        return f"{self._count} {self._what}"


@asynccontextmanager
async def backups(settings: Settings, done: Progress) -> AsyncIterator[tuple[Backups, Actor]]:
    """Backups with what the settings name, and who asks for one. Raises ConfigError and CommandError."""
    async with open_services(settings) as services, progress(done.line):
        yield Backups(services.index, services.driver, services.audit, product_version()), this_operator()


def to_file(settings: Settings, name: str) -> None:
    """Write a backup to a file that only its owner may read, or to standard output. Raises CommandError."""
    if name == STREAM:
        if sys.stdout.isatty():
            raise UsageError("a backup is nothing to look at: send standard output to a file or a program")
        taken = asyncio.run(_write(settings, sys.stdout.buffer, "standard output"))
        print(said(taken), file=sys.stderr)
        return
    path = Path(name)
    try:
        # Under its name only when it is whole.
        descriptor, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                taken = asyncio.run(_write(settings, file, str(path)))
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, path)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(draft)
            raise
        sync_directory(str(path.parent))
    except OSError as error:
        raise CommandError(f"{name}: {error.strerror}") from error
    size = said_size(path.stat().st_size)
    print(f"{said(taken)} {size} in {name}; secrets are in it: keep it as you keep keys")


async def _write(settings: Settings, file: IO[bytes], target: str) -> Taken:
    done = Progress("rows")
    async with backups(settings, done) as (own, actor):
        return await own.to_file(file, actor, target, done)


async def to_storage(settings: Settings, keep: int | None) -> None:
    """Store a backup beside the blobs. Raises CommandError."""
    done = Progress("rows")
    async with backups(settings, done) as (own, actor):
        row, discarded = await own.to_storage(actor, keep, done)
    print(f"{row.lines} rows, {said_size(row.size)}: {row.location}")
    if discarded:
        print(f"{discarded} older ones were discarded")


async def list_stored(settings: Settings, *, as_json: bool) -> None:
    """Print the backups in the storage. Raises CommandError."""
    done = Progress("objects were looked at")
    async with backups(settings, done) as (own, _):
        rows = await own.stored(done)
    if as_json:
        found = [{"at": rfc3339(row.until), "size": row.size, "location": row.location} for row in rows]
        print(json.dumps({"backups": found}, indent=2))
        return
    columns = (
        ("STATE OF", lambda row: clock(row.until)),
        ("SIZE", lambda row: said_size(row.size)),
        ("LOCATION", lambda row: row.location),
    )
    print(table(columns, rows) if rows else "there is no backup in the storage")


def from_file(settings: Settings, name: str) -> None:
    """Enter a backup from a file or standard input. Raises CommandError."""
    try:
        if name == STREAM:
            with tempfile.TemporaryFile() as file:  # it is read twice
                shutil.copyfileobj(sys.stdin.buffer, file)
                file.seek(0)
                taken = asyncio.run(_read(settings, file, "standard input"))
        else:
            with open(name, "rb") as file:
                taken = asyncio.run(_read(settings, file, name))
    except OSError as error:
        raise CommandError(f"{name}: {error.strerror}") from error
    print(restored(taken))


async def _read(settings: Settings, file: IO[bytes], target: str) -> Taken:
    done = Progress("rows")
    async with backups(settings, done) as (own, actor):
        return await own.restore_file(file, actor, target, done)


async def from_storage(settings: Settings, location: str) -> None:
    """Enter a backup from the storage. Raises CommandError."""
    done = Progress("rows")
    async with backups(settings, done) as (own, actor):
        taken = await own.restore_stored(location, actor, done)
    print(restored(taken))


def said(taken: Taken) -> str:
    return f"{taken.rows} rows, the state of {clock(taken.at)}."


def restored(taken: Taken) -> str:
    return (
        f"{said(taken)} For what was pushed since, `entrepot scrub --rebuild` before anybody else uses this "
        "index; it deletes nothing by itself for a day"
    )


def clock(at: float) -> str:
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")
