"""Small work that has to be done from time to time, in every process: none of it minds the others."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from registry.oci.errors import RegistryError

log = logging.getLogger(__name__)

SAVE_EVERY = 60
EXPIRE_EVERY = 600
"""Seconds."""

Work = Callable[[], Awaitable[object]]


class Housekeeping:
    """Does pieces of work, each with a name for the log: `saving` writes down what only this process knows,
    `expiring` removes what has had its time."""

    def __init__(self, saving: Mapping[str, Work], expiring: Mapping[str, Work]) -> None:
        self._saving = saving
        self._expiring = expiring

    async def run(self) -> None:
        """Work until cancelled. What fails is told and tried again the next time."""
        turn = 0
        while True:
            if turn % (EXPIRE_EVERY // SAVE_EVERY) == 0:
                await attempt_all(self._expiring)
            await attempt_all(self._saving)
            turn += 1
            await asyncio.sleep(SAVE_EVERY)

    async def finish(self) -> None:
        """Write down what would be lost at the end of the process."""
        await attempt_all(self._saving)


async def attempt_all(works: Mapping[str, Work]) -> None:
    """Do pieces of work; when one fails, say so, with a traceback where that is a defect, and go on."""
    for name, work in works.items():
        try:
            await work()
        except RegistryError as error:
            log.warning("%s did not finish: %s", name, error.message)
        except Exception:
            log.exception("%s failed", name)
