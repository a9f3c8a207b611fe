"""`/healthz` and `/readyz`, for whoever watches the process: a supervisor, a load balancer.

A process that is not ready is alive: to start it anew would help neither the index nor the storage.
"""

from collections.abc import Callable

from registry.api.errors import RETRY_AFTER_SECONDS, entry
from registry.api.replies import Reply, json_content
from registry.api.requests import Request
from registry.services.health import Health

FRESH = {"Cache-Control": "no-store"}


class HealthRoutes:
    """`ending` tells whether the process has been told to end."""

    def __init__(self, health: Health, ending: Callable[[], bool]) -> None:
        self._health = health
        self._ending = ending

    async def alive(self, request: Request) -> Reply:
        """The event loop turns, and a request comes through."""
        return json_content(200, {"alive": True}, FRESH)

    async def ready(self, request: Request) -> Reply:
        """Requests should be sent here. If not, an entry for each part that stands in the way."""
        problems = dict(await self._health.problems())
        if self._ending():
            problems["server"] = "the server is ending"
        if not problems:
            return json_content(200, {"ready": True}, FRESH)
        entries = [entry("UNAVAILABLE", problem, {"part": part}) for part, problem in problems.items()]
        return json_content(503, {"errors": entries}, FRESH | {"Retry-After": str(RETRY_AFTER_SECONDS)})
