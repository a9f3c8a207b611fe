"""The way of every request: checked, routed, handled, and its error rendered."""

import asyncio
import logging

from aiohttp import web

from auth.roles import Action
from auth.scopes import CATALOG
from registry.api.access_log import REQUEST_ID
from registry.api.challenges import Challenges
from registry.api.connection import Connection
from registry.api.errors import refuse, reply_to
from registry.api.origin import Origins
from registry.api.paths import parse_path
from registry.api.replies import Reply, Unheard
from registry.api.requests import Request
from registry.api.routes import Needs, Routes
from registry.oci.errors import (
    DeletionDisabled,
    MethodNotAllowed,
    NoSuchPath,
    RegistryError,
    RequestInvalid,
    StillReferenced,
    StorageFull,
    Unauthenticated,
    Unavailable,
)
from registry.services.access import Access, OpenAccess
from registry.services.callers import Caller

log = logging.getLogger(__name__)

SINGLE_FIELDS = ("Host", "Authorization", "Content-Range", "Range")
"""Header fields that mean two things when they come twice: proxies and servers pick different ones."""


class Handler:
    """Answers the requests of a registry. `path_prefix` is one that a proxy may leave in the path; `running`
    are the tasks that are at it, those whose clients have left included."""

    def __init__(
        self,
        routes: Routes,
        access: Access | OpenAccess,
        challenges: Challenges,
        origins: Origins,
        path_prefix: str,
    ) -> None:
        self._routes = routes
        self._access = access
        self._challenges = challenges
        self._origins = origins
        self._prefix = path_prefix
        self.running: set[asyncio.Task[object]] = set()

    async def __call__(self, http: web.BaseRequest) -> Reply:
        """What aiohttp's low-level server calls for each request."""
        if isinstance(http.protocol, Connection):
            http.protocol.request_began()
        task = asyncio.current_task()
        assert task is not None
        self.running.add(task)
        try:
            return traced(http, await self._handle(http))
        except RegistryError as error:
            if isinstance(error, StorageFull | Unavailable):  # the others are the client's own fault
                log.error("%s %s: %s%s", http.method, http.raw_path, error.message, told_cause(error))
            return traced(http, reply_to(error))
        except ConnectionError:
            return Unheard()
        except Exception:
            log.exception("%s %s failed", http.method, http.raw_path)
            return refuse(500, None)
        finally:
            self.running.discard(task)

    async def _handle(self, http: web.BaseRequest) -> Reply:
        check_fields(http)
        path, _, query = http.raw_path.partition("?")
        if not path.startswith("/"):
            path = path_of_absolute(path)
        if self._prefix and path.startswith(f"{self._prefix}/"):
            path = path.removeprefix(self._prefix)
        kind, name, argument = parse_path(path)
        methods = self._routes.get(kind)
        if methods is None:  # only the routes of tokens and keys may be missing
            raise NoSuchPath("this registry has no accounts, and so neither tokens nor keys")
        route = methods.get(http.method)
        if route is None:
            raise MethodNotAllowed(http.method, tuple(methods))
        request = Request(http, self._origins, name, argument, query)
        try:
            if route.needs is not Needs.NOTHING:
                request.caller = await self._admitted(request, route.needs)
            return await route.handler(request)
        except Unauthenticated as error:
            if not error.challenge:
                error.challenge = self._challenges.of(request, error)
            raise
        except (DeletionDisabled, StillReferenced) as error:
            error.allowed = tuple(method for method in methods if method != http.method)
            raise

    async def _admitted(self, request: Request, needs: Action | Needs) -> Caller:
        """Who sends this, if he may. Raises Unauthenticated, Denied and TooManyRequests."""
        authorization = request.headers.get("Authorization")
        if isinstance(needs, Action):
            return await self._access.admit(authorization, request, needs, request.repository)
        return await self._access.enter(authorization, request, CATALOG if needs is Needs.CATALOG else None)


def traced(http: web.BaseRequest, reply: Reply) -> Reply:
    """The answer with the id of its request, where the audit or the log knows that."""
    if REQUEST_ID in http:
        reply.block += f"X-Request-Id: {http[REQUEST_ID]}\r\n".encode()
    return reply


def told_cause(error: RegistryError) -> str:
    """What the index or the storage said itself, in one line: while either is out of reach, each request
    brings one."""
    cause = error.__cause__
    return "" if cause is None else f" ({type(cause).__name__}: {' '.join(str(cause).split())})"


def path_of_absolute(target: str) -> str:
    """The path of a target in absolute form, which every server must accept (RFC 9112 section 3.2.2)."""
    scheme, separator, rest = target.partition("://")
    if not separator or scheme.lower() not in ("http", "https"):
        raise RequestInvalid("the request target must be a path or an absolute URL")
    return "/" + rest.partition("/")[2]


def check_fields(http: web.BaseRequest) -> None:
    """Raise RequestInvalid for a header that could be read in two ways (RFC 9112 section 3.2)."""
    headers = http.headers
    if "Host" not in headers and http.version >= (1, 1):
        raise RequestInvalid("the header field Host is missing")
    for field in SINGLE_FIELDS:
        if field in headers and len(headers.getall(field)) > 1:
            raise RequestInvalid(f"the header field {field} may come once only")
