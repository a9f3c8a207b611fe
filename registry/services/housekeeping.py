"""Small work that has to be done from time to time, in every process: none of it minds the others."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from registry.oci.errors import RegistryError
from registry.services.audit import Audit
from registry.services.manifests import Manifests
from registry.services.sign_in import SignIn
from registry.services.uploads import Uploads

log = logging.getLogger(__name__)

PULLS_EVERY = 60
EXPIRY_EVERY = 600
"""Seconds."""


class Housekeeping:
    """Writes down pulls and uses of tokens; drops expired uploads and tokens, and what the audit need not
    keep."""

    def __init__(self, uploads: Uploads, manifests: Manifests, sign_in: SignIn, audit: Audit) -> None:
        self._uploads = uploads
        self._manifests = manifests
        self._sign_in = sign_in
        self._audit = audit

    async def run(self) -> None:
        """Work until cancelled. What fails is told and tried again the next time."""
        turn = 0
        while True:
            if turn % (EXPIRY_EVERY // PULLS_EVERY) == 0:
                await attempt("dropping expired uploads", self._expire)
                await attempt("dropping expired tokens", self._sign_in.expire)
                await attempt("dropping old rows of the audit", self._audit.expire)
            await attempt("saving pull times", self._manifests.save_pulls)
            await attempt("saving when tokens were used", self._sign_in.save_uses)
            turn += 1
            await asyncio.sleep(PULLS_EVERY)

    async def finish(self) -> None:
        """Write down what would be lost at the end of the process."""
        await attempt("saving the last pull times", self._manifests.save_pulls)
        await attempt("saving when tokens were used", self._sign_in.save_uses)
        await attempt("writing the last rows of the audit", self._audit.flush)

    async def _expire(self) -> None:
        if count := await self._uploads.expire():
            log.info("dropped %d upload sessions that had expired", count)


async def attempt(name: str, work: Callable[[], Awaitable[object]]) -> None:
    """Do one piece of work; when it fails, say so, with a traceback where that is a defect."""
    try:
        await work()
    except RegistryError as error:
        log.warning("%s did not finish: %s", name, error.message)
    except Exception:
        log.exception("%s failed", name)
