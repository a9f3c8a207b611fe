"""Rebuilding an index from the storage: `entrepot scrub --rebuild`.

Every object that no row knows is read and hashed, and entered as a blob; among them are the objects of the
journal, which is replayed then. For an index that is empty, or that was restored from a backup and lacks what
came since. Whoever is interrupted begins again, and reads only what is not entered yet.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

from registry.gc.archive import Archive, BadArchive, verify
from registry.gc.copies import FIRST_BYTES, beginning_of, fetch, scratch
from registry.gc.jobs import Job
from registry.gc.rebuild_gate import check_gate, postpone_others
from registry.gc.rebuild_lacking import Lacking
from registry.gc.replay import Replay, after
from registry.gc.scanning import scanned
from registry.index import Connection, Index, identity, index_copies, journal, rebuilding, scrub
from registry.index.index_copies import CopyRow
from registry.oci.digest import Digest
from registry.services.hashing import RunningHash
from registry.services.parallel import in_parallel
from registry.services.storage_errors import translated_errors
from storage_drivers import NotFound, Object, StorageDriver

OBJECTS_AT_ONCE = 200
READ_AT_ONCE = 8

LINES_AT_ONCE = 50
"""Of the journal, in a transaction."""

TAGS_AT_ONCE = 250

KEPT_SECONDS = 7 * 86400.0
"""How long a blob stays that no manifest needs: somebody may want to look."""

LISTED = 100
"""Of what could not be brought back."""


class Look(NamedTuple):
    """What an object is: a blob with a digest, or a copy of the index with its first line. `lost`: where the
    index has the digest's bytes, if these are not there."""

    found: Object
    digest: Digest
    beginning: Mapping[str, Any] | None
    lost: str | None


@dataclass(slots=True)
class Rebuilt:
    """How far it is. `bytes` were read; `surplus` are objects whose bytes are there in another one."""

    stage: str = "objects"
    objects: int = 0
    bytes: int = 0
    blobs: int = 0
    surplus: int = 0
    journal_objects: int = 0
    bad_journal_objects: int = 0
    repositories: int = 0
    manifests: int = 0
    removals: int = 0
    tags: int = 0
    lost_count: int = 0
    lost: list[dict[str, str]] = field(default_factory=list)

    def lose(self, what: str, reason: str) -> None:
        """Note what could not be brought back."""
        self.lost_count += 1
        if len(self.lost) < LISTED:
            self.lost.append({"what": what, "reason": reason})

    def report(self) -> dict[str, Any]:
        """A JSON object."""
        told = asdict(self)
        del told["stage"]
        return {**told, "all_right": not (self.lost_count or self.bad_journal_objects)}


class Rebuild:
    """Rebuilds the index of one registry. `window_seconds`: how long deletions can be undone; `watch` is told
    from time to time how far it is."""

    def __init__(
        self,
        index: Index,
        driver: StorageDriver,
        *,
        window_seconds: float,
        watch: Callable[[Rebuilt], object] = lambda _rebuilt: None,
    ) -> None:
        self._index = index
        self._driver = driver
        self._window_seconds = window_seconds
        self._watch = watch
        self._copies: list[tuple[Object, Mapping[str, Any]]] = []

    async def run(self, job: Job) -> dict[str, Any]:
        """Do it all; the report, a JSON object. Raises IndexInUse, LostJob, Unavailable and StorageFull."""
        await job.write(partial(_begin, job=job))
        told = Rebuilt()
        await self._read_objects(job, told)
        told.stage = "journal"
        await self._replay(job, told)
        told.stage = "done"
        self._watch(told)
        return told.report()

    async def _read_objects(self, job: Job, told: Rebuilt) -> None:
        with translated_errors():
            async for batch in scanned(self._driver, OBJECTS_AT_ONCE):
                unknown = await self._index.read(
                    partial(scrub.unknown, locations=[found.location for found in batch])
                )
                told.objects += len(batch)
                looks: list[Look] = []

                async def look(found: Object, looks: list[Look] = looks) -> None:
                    seen = await self._look(found, told)
                    if seen is not None:
                        looks.append(seen)

                await in_parallel(look, [found for found in batch if found.location in unknown], READ_AT_ONCE)
                await self._enter_blobs(job, looks, told)
                self._watch(told)

    async def _look(self, found: Object, told: Rebuilt) -> Look | None:
        """Read an object to its end; None if it went away. Raises a StorageError."""
        running = RunningHash("sha256")
        first = b""
        try:
            async for piece in self._driver.read(found.location):
                first += piece[: FIRST_BYTES - len(first)]
                await asyncio.to_thread(running.update, [piece])
                told.bytes += len(piece)
        except NotFound:
            return None
        digest = running.digest()
        beginning = beginning_of(first, found.location)
        lost = None if beginning is not None else await self._lost(digest, found.location)
        return Look(Object(found.location, running.count, found.modified), digest, beginning, lost)

    async def _lost(self, digest: Digest, location: str) -> str | None:
        row = await self._index.read(partial(rebuilding.find_blob, digest=digest))
        if row is None or row.location == location:
            return None
        try:
            await self._driver.stat(row.location)
        except NotFound:
            return row.location
        return None

    async def _enter_blobs(self, job: Job, looks: Sequence[Look], told: Rebuilt) -> None:
        blobs = [look for look in looks if look.beginning is None]
        self._copies += [(look.found, look.beginning) for look in looks if look.beginning is not None]

        def change(connection: Connection) -> int:
            now = time.time()
            until = now + KEPT_SECONDS
            return sum(
                rebuilding.enter_blob(
                    connection, look.digest, look.found.size, look.found.location, until, now, look.lost
                )
                for look in sorted(blobs, key=lambda look: look.digest)
            )

        if blobs:
            entered = await job.write(change)
            told.blobs += entered
            told.surplus += len(blobs) - entered

    async def _replay(self, job: Job, told: Rebuilt) -> None:
        """The journal, then where tags point, then the objects themselves."""
        replay = Replay(time.time() - self._window_seconds)
        done = await self._index.read(partial(index_copies.last, kind=journal.KIND))
        journals = [(found, line) for found, line in self._copies if line["entrepot"] == journal.KIND]
        rows = []
        name = None
        journals.sort(key=lambda one: (one[1]["since"], -one[1]["until"]))
        for found, beginning in journals:
            told.journal_objects += 1
            try:
                lines = await self._replay_object(job, replay, found, done, told)
            except BadArchive as error:
                told.bad_journal_objects += 1
                told.lose(found.location, error.message)
                continue
            rows.append(_copy(found, beginning, lines))
            name = beginning.get("index") or name
            done = max(done, float(beginning["until"]))
            self._watch(told)
        await self._set_tags(job, replay, told)
        backups = [_copy(found, line, 0) for found, line in self._copies if line["entrepot"] != journal.KIND]

        def enter(connection: Connection) -> None:
            if name is not None:  # this index goes on with that journal
                identity.take(connection, str(name))
            for row in (*rows, *backups):
                index_copies.enter(connection, row)

        await job.write(enter)
        told.repositories = len(set(replay.repositories.values()))
        for (uid, digest), reason in replay.lost.items():
            name = replay.names.get(replay.repositories.get(uid, 0), uid)
            told.lose(f"{name}@{digest}", reason)

    async def _replay_object(
        self, job: Job, replay: Replay, found: Object, done: float, told: Rebuilt
    ) -> int:
        """The number of lines in it. Nothing of one that is damaged is believed: raises BadArchive."""
        with ExitStack() as stack:
            file = stack.enter_context(scratch())
            with translated_errors():
                await fetch(self._driver, found.location, file)
            await asyncio.to_thread(verify, file, journal.KIND)
            archive = Archive(file, journal.KIND)
            lines = after(archive, done)
            lacking = Lacking(self._index, self._driver, KEPT_SECONDS)
            while some := await asyncio.to_thread(lambda: list(islice(lines, LINES_AT_ONCE))):
                told.blobs += await lacking.find(job, some)
                counts: Counter[str] = await job.write(partial(replay.apply, lines=some))
                told.manifests += counts["manifests"]
                told.removals += counts["removals"]
            return int(archive.end["lines"])

    async def _set_tags(self, job: Job, replay: Replay, told: Rebuilt) -> None:
        for repository_id in sorted(set(replay.repositories.values())):
            name = replay.names.get(repository_id, "")
            last: str | None = None
            while True:
                page = await job.write(partial(_set_page, repository_id=repository_id, last=last))
                if not page:
                    break
                for tag, digest, is_set in page:
                    told.tags += is_set and digest is not None
                    if not is_set:
                        told.lose(f"{name}:{tag}", f"it pointed to {digest}, which could not be brought back")
                last = page[-1][0]


def _begin(connection: Connection, job: Job) -> None:
    """What deletes waits. After a restore, or an interruption, there may be content."""
    if not job.state:
        check_gate(connection)
        job.save(connection, {"began": time.time()})
    postpone_others(connection)


def _set_page(
    connection: Connection, repository_id: int, last: str | None
) -> list[tuple[str, str | None, bool]]:
    rows = rebuilding.last_pointed(connection, repository_id, last, TAGS_AT_ONCE)
    return [(row.name, row.digest, rebuilding.set_tag(connection, repository_id, row)) for row in rows]


def _copy(found: Object, beginning: Mapping[str, Any], lines: int) -> CopyRow:
    since = float(beginning["since"] if "since" in beginning else beginning["at"])
    until = float(beginning["until"] if "until" in beginning else beginning["at"])
    return CopyRow(found.location, str(beginning["entrepot"]), since, until, found.size, lines)
