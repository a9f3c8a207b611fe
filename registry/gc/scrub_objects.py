"""The scrub's third stage: objects that no row knows are listed and, when they are old, discarded."""

import json
import logging
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import IO

from registry.gc.copies import recognised
from registry.gc.jobs import Job
from registry.gc.scanning import scanned
from registry.gc.scrub_progress import Finding, Progress
from registry.index import Connection, Index, identity, scrub
from registry.services.parallel import in_parallel
from registry.services.quarantine import others_can_be_read
from storage_drivers import Defective, NotFound, Object, StorageDriver, StorageError

log = logging.getLogger(__name__)

AT_ONCE = 500

READ_AT_ONCE = 16
"""Unknown objects whose first bytes are looked at."""

SHARE = 0.1
"""Of all objects. If more are unknown, somebody else's may be among them."""

SHORTEST_AGE = 86400.0
"""Seconds; a blob that comes in one request has no session."""

IN_MEMORY = 4 * 1024 * 1024
"""Bytes of names of unknown objects that need no file."""

CLOCKS = 3600.0
"""Seconds by which the clock of the storage may differ from ours."""


class ObjectScrub:
    """`upload_seconds`: how long an upload session lives without a byte. `insist`: however many objects are
    unknown."""

    def __init__(self, index: Index, driver: StorageDriver, upload_seconds: float, *, insist: bool) -> None:
        self._index = index
        self._driver = driver
        self._upload_seconds = upload_seconds
        self._insist = insist

    async def step(
        self,
        job: Job,
        progress: Progress,
        tell: Callable[[Finding], object],
        watch: Callable[[Progress], object],
    ) -> Progress:
        """The whole stage: a scan has no place to go on from. Raises a StorageError.

        What to discard waits in a temporary file, until it is known how much of all that is.
        """
        before = await self._safe_age()
        seen = progress.copy()
        with tempfile.SpooledTemporaryFile(IN_MEMORY, "w+", encoding="utf-8") as waiting:
            async for batch in scanned(self._driver, AT_ONCE):
                known = partial(scrub.unknown, locations=[found.location for found in batch])
                strangers = await self._index.read(known)
                if seen.refused is None and not self._insist:
                    seen.refused = await self._others(found for found in batch if found.location in strangers)
                seen.objects += len(batch)
                for found in batch:
                    if found.location not in strangers:
                        continue
                    if found.modified >= before:
                        seen.young += 1
                        continue
                    seen.unknown += 1
                    seen.unknown_bytes += found.size
                    waiting.write(json.dumps([found.location, found.size]) + "\n")
                watch(seen)
            if seen.refused is None and seen.unknown > SHARE * seen.objects and not self._insist:
                seen.refused = (
                    f"{seen.unknown} of {seen.objects} objects are unknown to the index: none of them is "
                    "discarded, since they may belong to another registry on the same storage, or the index "
                    "may be the wrong one. If they are garbage, `entrepot scrub --discard-unknown` discards "
                    "them"
                )
            if seen.refused is not None:
                log.warning("%s", seen.refused)
            waiting.seek(0)
            for some in lines_at_once(waiting):
                found_old = [(str(location), int(size)) for location, size in map(json.loads, some)]
                for location, size in found_old:
                    finding = Finding("unknown", location=location, size=size)
                    seen.note(finding)
                    tell(finding)
                if seen.refused is None:
                    seen.discarded += await job.write(partial(discard, objects=found_old))
        seen.next_stage()
        await job.write(lambda connection: job.save(connection, seen.state()))
        return seen

    async def _others(self, strangers: Iterable[Object]) -> str | None:
        """Why nothing may be discarded if one of these objects is of another index: its journal, which is
        written all the time, and its backups name it."""
        own = await self._index.read(identity.name)
        theirs: list[str] = []

        async def look(found: Object) -> None:
            try:
                beginning = await recognised(self._driver, found.location, found.size)
            except (NotFound, Defective):
                return
            except StorageError:  # such as one that is archived: all of a journal never are
                if await others_can_be_read(self._index, self._driver) is False:
                    raise
                return
            if beginning is not None and beginning.get("index") not in (None, own):
                theirs.append(found.location)

        await in_parallel(look, strangers, READ_AT_ONCE)
        if not theirs:
            return None
        return (
            f"another registry keeps its journal or backups here, such as {theirs[0]}, so no unknown object "
            "is discarded: it may be that registry's. Give each a bucket, a prefix or a folder of its own. "
            "If the other one is no more, `entrepot scrub --discard-unknown` discards what it left"
        )

    async def _safe_age(self) -> float:
        """The time before which an object was made that no push can be about to enter.

        Between the commit of an object and the transaction that enters it, its session is there, and began
        before the object was made. After a crash the client may repeat the end of its upload for as long as
        the session lives. So what is older than every session, and than a session gets without a byte, is
        nobody's.
        """
        now = time.time()
        before = now - max(self._upload_seconds, SHORTEST_AGE)
        oldest = await self._index.read(scrub.oldest_upload)
        return before if oldest is None else min(before, oldest - CLOCKS)


def lines_at_once(file: IO[str]) -> Iterator[list[str]]:
    while lines := list(islice(file, AT_ONCE)):
        yield lines


def discard(connection: Connection, objects: Sequence[tuple[str, int]]) -> int:
    """Discard those of these objects that are unknown still; how many."""
    unknown = scrub.unknown(connection, [location for location, _ in objects])
    now = time.time()
    for location, size in objects:
        if location in unknown:
            scrub.discard(connection, location, size, now)
    return len(unknown)
