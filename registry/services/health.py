"""Whether what the registry stands on can be reached: the index and the storage."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping

from registry.index import Index, access
from registry.oci.errors import RegistryError
from registry.services.storage_errors import translated_errors
from storage_drivers import NotFound, StorageDriver

log = logging.getLogger(__name__)

FRESH_SECONDS = 1.0
"""An answer is given again for so long, however many ask."""

PATIENCE = 3.0
"""Seconds that a part may take to answer."""

NOWHERE = "blobs/none"
"""Where no object is: a medium that says so answers. Reading, unlike asking for the size, has an S3 server
tell a missing object from a missing bucket."""


class Health:
    """Asks each part for something small, at most once a second."""

    def __init__(self, index: Index, driver: StorageDriver) -> None:
        self._index = index
        self._driver = driver
        self._asks: dict[str, Callable[[], Awaitable[object]]] = {
            "index": self._ask_index,
            "storage": self._ask_storage,
        }
        self._asked: dict[str, asyncio.Task[object]] = {}
        self._one_at_a_time = asyncio.Lock()
        self._problems: dict[str, str] = {}
        self._looked_at = float("-inf")

    async def problems(self) -> Mapping[str, str]:
        """What is wrong with each part that can't be used, in words that are fit for everybody."""
        async with self._one_at_a_time:
            if time.monotonic() - self._looked_at > FRESH_SECONDS:
                found = await asyncio.gather(*map(self._problem_of, self._asks))
                problems = {part: problem for part, problem in zip(self._asks, found, strict=True) if problem}
                self._tell(problems)
                self._problems, self._looked_at = problems, time.monotonic()
            return self._problems

    async def _problem_of(self, part: str) -> str:
        """Empty if there is none. Who did not answer yet is not asked again: a thread waits for it."""
        task = self._asked.get(part)
        if task is None:
            task = self._asked[part] = asyncio.ensure_future(self._asks[part]())
        await asyncio.wait((task,), timeout=PATIENCE)
        if not task.done():
            return f"the {part} does not answer"
        del self._asked[part]
        try:
            task.result()
        except RegistryError as error:
            return error.message
        except Exception:
            log.exception("asking the %s for a sign of life failed", part)
            return f"the {part} fails; the log tells why"
        return ""

    async def _ask_index(self) -> None:
        await self._index.read(access.epoch)

    async def _ask_storage(self) -> None:
        with translated_errors():
            try:
                async for _ in self._driver.read(NOWHERE):
                    break
            except NotFound:
                return

    def _tell(self, problems: Mapping[str, str]) -> None:
        """Log what has changed, and not each look."""
        for part, problem in problems.items():
            if self._problems.get(part) != problem:
                log.error("not ready: %s", problem)
        for part in self._problems.keys() - problems.keys():
            log.warning("the %s can be used again", part)

    def close(self) -> None:
        """Ask no more."""
        for task in self._asked.values():
            task.cancel()
