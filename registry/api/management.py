"""The management API over HTTP: everything below /api/v1, handed to `registry.management`."""

from auth.scopes import API
from registry.api.bodies import whole
from registry.api.replies import Reply, empty, json_content
from registry.api.requests import Request
from registry.management.management import Management
from registry.oci.errors import BodyTooLarge, Unauthenticated
from registry.services.access import Access, OpenAccess
from registry.services.access_cache import Epoch

LARGEST_BODY = 1024 * 1024
LARGEST_OF_NOBODY = 16 * 1024
"""Bytes that are held for somebody who may not change anything anyway."""

NOT_KEPT = {"Cache-Control": "no-store"}
"""Answers may hold secrets, and depend on who asks."""


class ManagementRoutes:
    """One handler for all paths: the operations know their own paths, methods and needs."""

    methods = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")

    def __init__(self, management: Management, access: Access | OpenAccess, epoch: Epoch) -> None:
        self._management = management
        self._access = access
        self._epoch = epoch

    async def __call__(self, request: Request) -> Reply:
        """Raises what Access.enter and Management.call raise."""
        authorization = request.headers.get("Authorization")
        if authorization is not None or isinstance(self._access, OpenAccess):
            request.caller = await self._access.enter(authorization, request, API)
        body = await self._body(request)
        method = "GET" if request.method == "HEAD" else request.method
        result = await self._management.call(
            request.caller.identity, request.actor, method, request.argument, request.query, body
        )
        if method != "GET":
            self._epoch.outdate()  # this process need not wait to see what it changed itself
        if result.document is None:
            return empty(result.status, NOT_KEPT)
        return json_content(result.status, result.document, NOT_KEPT)

    async def _body(self, request: Request) -> bytes:
        if isinstance(self._access, OpenAccess) or not request.caller.identity.is_anonymous:
            return await whole(request.http, LARGEST_BODY)
        try:
            return await whole(request.http, LARGEST_OF_NOBODY)
        except BodyTooLarge:
            raise Unauthenticated("sign in to do this", (str(API),)) from None
