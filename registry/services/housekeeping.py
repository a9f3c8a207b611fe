"""Small work that has to be done from time to time, in every process: none of it minds the others."""

import asyncio
import logging

from registry.oci.errors import RegistryError
from registry.services.manifests import Manifests
from registry.services.uploads import Uploads

log = logging.getLogger(__name__)

PULLS_EVERY = 60
EXPIRY_EVERY = 600
"""Seconds."""


class Housekeeping:
    """Writes pull times down and drops expired uploads."""

    def __init__(self, uploads: Uploads, manifests: Manifests) -> None:
        self._uploads = uploads
        self._manifests = manifests

    async def run(self) -> None:
        """Work until cancelled. What fails is told and tried again the next time."""
        turn = 0
        while True:
            try:
                if turn % (EXPIRY_EVERY // PULLS_EVERY) == 0 and (count := await self._uploads.expire()):
                    log.info("dropped %d upload sessions that had expired", count)
                await self._manifests.save_pulls()
            except RegistryError as error:
                log.warning("housekeeping did not finish: %s", error.message)
            turn += 1
            await asyncio.sleep(PULLS_EVERY)

    async def finish(self) -> None:
        """Write down what would be lost at the end of the process."""
        try:
            await self._manifests.save_pulls()
        except RegistryError as error:
            log.warning("the last pull times were not saved: %s", error.message)
