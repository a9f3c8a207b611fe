"""Lists: the catalog, the tags of a repository, and referrers (distribution-spec, end-8, end-12)."""

from collections.abc import Sequence

from registry.api.pagination import next_link, page_size
from registry.api.replies import Reply, content, json_content
from registry.api.requests import Request
from registry.oci.media_types import OCI_INDEX
from registry.oci.referrers import referrers_index
from registry.services.referrers import Referrers
from registry.services.repositories import Repositories
from registry.services.tags import Tags


class ListRoutes:
    """Handlers for lists. `default` and `maximum` count the entries of a page."""

    def __init__(
        self,
        repositories: Repositories,
        tags: Tags,
        referrers: Referrers,
        *,
        default: int,
        maximum: int,
    ) -> None:
        self._repositories = repositories
        self._tags = tags
        self._referrers = referrers
        self._default = default
        self._maximum = maximum

    async def catalog(self, request: Request) -> Reply:
        size = page_size(request.parameter("n"), self._default, self._maximum)
        rows, more = await self._repositories.page(request.caller.sees, last_of(request), size)
        names = [row.name for row in rows]
        path = f"{request.origin.prefix}/v2/_catalog"
        return json_content(200, {"repositories": list(names)}, link(path, names, more, size))

    async def tags(self, request: Request) -> Reply:
        """All tags at once, up to the maximum, unless the client asks for fewer."""
        repository = request.repository
        size = page_size(request.parameter("n"), self._maximum, self._maximum)
        names, more = await self._tags.page(repository, last_of(request), size)
        path = f"{request.origin.prefix}/v2/{repository}/tags/list"
        return json_content(200, {"name": repository, "tags": list(names)}, link(path, names, more, size))

    async def referrers(self, request: Request) -> Reply:
        """Never 404: clients that look for referrers take that for a registry without the API."""
        repository = request.repository
        subject = request.digest
        wanted = request.parameter("n")
        size = None if wanted is None else page_size(wanted, self._maximum, self._maximum)
        # A `+` that was not percent-encoded arrives as a space, which no media type has.
        # Nor does one have a NUL, which no text of PostgreSQL can hold.
        types = [
            value.replace(" ", "+").replace("\0", "\N{REPLACEMENT CHARACTER}")
            for value in request.parameters("artifactType")
            if value
        ]
        last = last_of(request)
        descriptors, more = await self._referrers.page(repository, subject, types, last, size)
        fields = {"OCI-Filters-Applied": "artifactType"} if types else {}
        if more:
            path = f"{request.origin.prefix}/v2/{repository}/referrers/{subject}"
            extra = [("artifactType", value) for value in types]
            fields["Link"] = next_link(path, descriptors[-1].digest, size or self._maximum, extra)
        return content(200, OCI_INDEX, referrers_index(descriptors), fields)


def last_of(request: Request) -> str | None:
    """The parameter `last`, which can be anything. Where a NUL begins, the next name in order is the same
    as without it, and PostgreSQL takes none."""
    last = request.parameter("last")
    return None if last is None else last.partition("\0")[0]


def link(path: str, names: Sequence[str], more: bool, size: int) -> dict[str, str]:
    """The Link to the next page, if there is one. An empty page (n=0) has none."""
    return {"Link": next_link(path, names[-1], size)} if more and names else {}
