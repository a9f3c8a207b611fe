"""One writer at a time for an upload session, across processes and machines.

A request that adds to a session claims it in the index, for a short time that it renews as long as it
works. A process that dies lets go by itself when the time is over.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import NamedTuple

from registry.index import Index, uploads
from registry.index.uploads import UploadRow
from registry.oci.errors import RegistryError, UploadUnknown, WrongOffset

log = logging.getLogger(__name__)


class Claimed(NamedTuple):
    """A session that is held. `taken_over`: from somebody who let the claim run out, and who may yet wake
    up and write."""

    row: UploadRow
    taken_over: bool


class UploadClaims:
    """Claims of this process; `lease_seconds` is how long a claim holds without being renewed."""

    def __init__(self, index: Index, lease_seconds: float) -> None:
        self._index = index
        self._lease_seconds = lease_seconds
        self._held: set[str] = set()

    @asynccontextmanager
    async def claimed(self, repository: str, upload_id: str) -> AsyncIterator[Claimed]:
        """Hold a session for the length of the block. The block ends the claim in the index itself, with
        what it changes in the same transaction.

        For an ended session the row (with `finished`) is not claimed. Raises UploadUnknown, and
        WrongOffset when somebody else is adding to the session. A claim that is lost all the same (this
        process was paused, or the index was out of reach) cancels the task that runs the block.
        """
        claimed = await self._claim(repository, upload_id)
        if claimed.row.finished is not None:
            yield claimed
            return
        self._held.add(upload_id)
        renewing = asyncio.create_task(self._renew(upload_id, str(claimed.row.claim), asyncio.current_task()))
        try:
            yield claimed
        finally:
            self._held.discard(upload_id)
            renewing.cancel()

    async def _claim(self, repository: str, upload_id: str) -> Claimed:
        claimant = str(uuid.uuid4())
        seen: UploadRow | None = None
        while True:
            now = time.time()
            claim = partial(
                uploads.claim,
                repository=repository,
                upload_id=upload_id,
                claimant=claimant,
                now=now,
                until=now + self._lease_seconds,
            )
            # A power cut may undo a claim: whoever held it is gone then, too.
            row, taken_over = await self._index.write(claim, durable=False)
            if row is None:
                raise UploadUnknown(upload_id)
            if row.finished is not None or row.claim == claimant:
                return Claimed(row, taken_over)
            renewed = seen is not None and row.claim_until != seen.claim_until
            if renewed or upload_id in self._held:
                message = "another request is adding to this upload; ask for its offset with GET"
                raise WrongOffset(upload_id, row.offset, message)
            # Perhaps its holder died. A holder that lives renews within a third of the lease.
            seen = row
            await asyncio.sleep(min(0.2, self._lease_seconds / 10))

    async def _renew(self, upload_id: str, claimant: str, holder: "asyncio.Task[object] | None") -> None:
        while True:
            await asyncio.sleep(self._lease_seconds / 3)
            until = time.time() + self._lease_seconds
            renew = partial(uploads.renew_claim, upload_id=upload_id, claimant=claimant, until=until)
            try:
                held = await self._index.write(renew, durable=False)
            except RegistryError as error:  # the next turn may succeed
                log.warning("could not renew the claim on upload %s: %s", upload_id, error.message)
                continue
            if not held and holder is not None:
                log.warning("lost the claim on upload %s", upload_id)
                holder.cancel()
                return
