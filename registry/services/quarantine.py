"""Taking blobs out of service whose stored bytes are not what they should be, before anybody gets them.

Such a blob counts as not there: a HEAD says 404, so its next pusher sends the bytes, and they take the place
of the wrong ones (registry.index.blobs.record).
"""

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from enum import StrEnum
from functools import partial

from auth.actor import SYSTEM
from registry.index import Connection, Index, quarantine
from registry.index.blobs import BlobRow
from registry.index.quarantine import QuarantinedRow
from registry.oci.digest import Digest
from registry.oci.errors import RegistryError, Unavailable
from registry.services.audit import Audit, AuditRow
from registry.services.hashing import stored_digest
from storage_drivers import NotFound, StorageDriver, StorageError

__all__ = ["Fault", "Quarantine", "QuarantinedRow"]

log = logging.getLogger(__name__)

NEIGHBOURS = 8
"""Blobs of which one must be readable before another one counts as missing."""


class Fault(StrEnum):
    """What is wrong with an object."""

    MISSING = "missing"
    SIZE = "size"
    DIGEST = "digest"
    UNREADABLE = "unreadable"


SAID = {
    Fault.MISSING: "the object is not there",
    Fault.SIZE: "the object has another size",
    Fault.DIGEST: "the object has other bytes",
    Fault.UNREADABLE: "the object can't be read",
}


class Quarantine:
    """Looks at stored objects, and notes in the index what is found."""

    def __init__(self, index: Index, driver: StorageDriver, audit: Audit) -> None:
        self._index = index
        self._driver = driver
        self._audit = audit

    async def inspect(
        self, row: BlobRow, *, spend: Callable[[int], Awaitable[None]] | None = None, whole: bool = True
    ) -> Fault | None:
        """What is wrong with a blob's object, None if nothing is. One piece of it is in memory at a time.

        `spend` is told of each number of bytes read, and may wait. Without `whole` only the size is looked
        at. Raises a StorageError when the storage does not answer.
        """
        try:
            if (await self._driver.stat(row.location)).size != row.size:
                return Fault.SIZE
            if not whole:
                return None
            algorithm = Digest(row.digest).algorithm
            actual = await stored_digest(self._driver, row.location, row.size, algorithm, spend)
        except NotFound:
            return Fault.MISSING
        return None if actual == row.digest else Fault.DIGEST

    async def others_are_there(self, row: BlobRow) -> bool:
        """Whether another blob can be read. If not, an object that is missing says nothing: a volume that is
        not mounted, or another bucket, has none of them."""
        return bool(await others_can_be_read(self._index, self._driver, row.id))

    async def doubt(self, row: BlobRow, *, whole: bool) -> bool:
        """Look once more at a blob of which a client could not be given the right bytes. True: it is in
        quarantine now. False: nothing is wrong with it, or nobody can tell."""
        try:
            fault = await self.inspect(row, whole=whole)
            if fault is None or (fault is Fault.MISSING and not await self.others_are_there(row)):
                return False
            told = await self._index.write(partial(self.begin, row=row, fault=fault))
        except (StorageError, RegistryError) as error:
            log.warning("could not look at the object of %s once more: %s", row.digest, error)
            return False
        self.tell(row, fault, told)
        return True

    def begin(self, connection: Connection, row: BlobRow, fault: Fault) -> AuditRow | None:
        """Put a blob into quarantine, and enter that into the audit; None if its object is not this one any
        more. Give what is returned to `tell` when it is committed."""
        if not quarantine.begin(connection, row.id, row.location, time.time()):
            return None
        detail = {"fault": fault, "location": row.location}
        return self._audit.record(connection, SYSTEM, "blob.quarantine", row.digest, detail)

    def tell(self, row: BlobRow, fault: Fault, told: AuditRow | None) -> None:
        """Say in the log what `begin` did."""
        if told is None:
            return
        log.error(
            "%s is in quarantine until it is pushed again: %s: %s", row.digest, SAID[fault], row.location
        )
        self._audit.tell(told)

    async def page(self, last: int | None, limit: int) -> tuple[Sequence[QuarantinedRow], bool]:
        """At most `limit` blobs in quarantine after the id `last`, and whether more follow."""
        rows = await self._index.read(partial(quarantine.page, last=last, limit=limit + 1))
        return rows[:limit], len(rows) > limit

    async def count(self) -> int:
        """How many blobs are in quarantine."""
        return await self._index.read(quarantine.count)


async def check_storage(index: Index, driver: StorageDriver, told: str) -> None:
    """Raise Unavailable, saying what was `told` of it, if no blob can be read: then what is missing may only
    be out of reach, as on a volume that is not mounted or in another bucket, and come back with the rest."""
    if await others_can_be_read(index, driver) is False:
        raise Unavailable(f"{told}: is this the storage that the index was written for, and is it mounted?")


async def others_can_be_read(index: Index, driver: StorageDriver, blob_id: int = 0) -> bool | None:
    """Whether a blob can be read, of some that are not the one with this id; None: there are no others."""
    others = await index.read(partial(quarantine.others, blob_id=blob_id, limit=NEIGHBOURS))
    for other in others:
        try:
            async for _ in driver.read(other.location, 0, 1):
                return True
        except StorageError:
            continue
    return False if others else None
