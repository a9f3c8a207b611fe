"""The route table: every path and method that is served, what it needs, and who handles it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from auth.roles import Action
from registry.api.blobs import BlobRoutes
from registry.api.health import HealthRoutes
from registry.api.lists import ListRoutes
from registry.api.management import ManagementRoutes
from registry.api.manifests import ManifestRoutes
from registry.api.replies import Reply, json_content
from registry.api.requests import Request
from registry.api.tokens import TokenRoutes
from registry.api.uploads import UploadRoutes

RouteHandler = Callable[[Request], Awaitable[Reply]]


class Needs(Enum):
    """What a route needs that is not about one repository."""

    NOTHING = "nothing"
    """It looks at credentials itself, or tells what all may know."""
    CREDENTIALS = "credentials"
    """Any that are good, also those of nobody in particular."""
    CATALOG = "catalog"
    """To see a list, which shows what the caller may see."""


@dataclass(frozen=True, slots=True)
class Route:
    """`kind` is what registry.api.paths calls the path; an action is needed on the repository in the path."""

    kind: str
    method: str
    needs: Action | Needs
    handler: RouteHandler


Routes = Mapping[str, Mapping[str, Route]]


def route_table(
    manifests: ManifestRoutes,
    blobs: BlobRoutes,
    uploads: UploadRoutes,
    lists: ListRoutes,
    tokens: TokenRoutes | None,
    management: ManagementRoutes,
    health: HealthRoutes,
) -> Routes:
    """Routes by kind of path, then by method. `tokens`: None where there are no accounts.

    Raises TypeError for a route that does not say what it needs.
    """
    pull, push, delete = Action.PULL, Action.PUSH, Action.DELETE
    routes = [
        Route("base", "GET", Needs.CREDENTIALS, base),
        Route("base", "HEAD", Needs.CREDENTIALS, base),
        Route("catalog", "GET", Needs.CATALOG, lists.catalog),
        Route("tags", "GET", pull, lists.tags),
        Route("referrers", "GET", pull, lists.referrers),
        Route("manifests", "GET", pull, manifests.get),
        Route("manifests", "HEAD", pull, manifests.get),
        Route("manifests", "PUT", push, manifests.put),
        Route("manifests", "DELETE", delete, manifests.delete),
        Route("blobs", "GET", pull, blobs.get),
        Route("blobs", "HEAD", pull, blobs.head),
        Route("blobs", "DELETE", delete, blobs.delete),
        Route("uploads", "POST", push, uploads.start),
        Route("upload", "GET", push, uploads.status),
        Route("upload", "HEAD", push, uploads.status),
        Route("upload", "PATCH", push, uploads.append),
        Route("upload", "PUT", push, uploads.finish),
        Route("upload", "DELETE", push, uploads.cancel),
        *(Route("api", method, Needs.NOTHING, management) for method in management.methods),
        Route("alive", "GET", Needs.NOTHING, health.alive),
        Route("alive", "HEAD", Needs.NOTHING, health.alive),
        Route("ready", "GET", Needs.NOTHING, health.ready),
        Route("ready", "HEAD", Needs.NOTHING, health.ready),
    ]
    if tokens is not None:
        routes += [
            Route("token", "GET", Needs.NOTHING, tokens.get),
            Route("token", "POST", Needs.NOTHING, tokens.post),
            Route("keys", "GET", Needs.NOTHING, tokens.keys),
        ]
    table: dict[str, dict[str, Route]] = {}
    for route in routes:
        if not isinstance(route.needs, Action | Needs):
            raise TypeError(f"the route {route.method} {route.kind} does not say what it needs")
        table.setdefault(route.kind, {})[route.method] = route
    return table


async def base(request: Request) -> Reply:
    """`/v2/`: this is a registry of that protocol (distribution-spec, end-1)."""
    return json_content(200, {}, {"Docker-Distribution-API-Version": "registry/2.0"})
