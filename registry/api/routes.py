"""The route table: every path and method that is served, and who handles it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from registry.api.blobs import BlobRoutes
from registry.api.lists import ListRoutes
from registry.api.manifests import ManifestRoutes
from registry.api.replies import Reply, json_content
from registry.api.requests import Request
from registry.api.uploads import UploadRoutes

Handler = Callable[[Request], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Route:
    """`kind` is what registry.api.paths calls the path."""

    kind: str
    method: str
    handler: Handler


Routes = dict[str, dict[str, Handler]]


def route_table(
    manifests: ManifestRoutes, blobs: BlobRoutes, uploads: UploadRoutes, lists: ListRoutes
) -> Routes:
    """Handlers by kind of path, then by method."""
    routes = [
        Route("base", "GET", base),
        Route("base", "HEAD", base),
        Route("catalog", "GET", lists.catalog),
        Route("tags", "GET", lists.tags),
        Route("referrers", "GET", lists.referrers),
        Route("manifests", "GET", manifests.get),
        Route("manifests", "HEAD", manifests.get),
        Route("manifests", "PUT", manifests.put),
        Route("manifests", "DELETE", manifests.delete),
        Route("blobs", "GET", blobs.get),
        Route("blobs", "HEAD", blobs.head),
        Route("blobs", "DELETE", blobs.delete),
        Route("uploads", "POST", uploads.start),
        Route("upload", "GET", uploads.status),
        Route("upload", "HEAD", uploads.status),
        Route("upload", "PATCH", uploads.append),
        Route("upload", "PUT", uploads.finish),
        Route("upload", "DELETE", uploads.cancel),
    ]
    table: Routes = {}
    for route in routes:
        table.setdefault(route.kind, {})[route.method] = route.handler
    return table


async def base(request: Request) -> Reply:
    """`/v2/`: this is a registry of that protocol (distribution-spec, end-1)."""
    return json_content(200, {}, {"Docker-Distribution-API-Version": "registry/2.0"})
