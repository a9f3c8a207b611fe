"""`/v2/<name>/manifests/<reference>` (distribution-spec, end-2, end-7, end-7b, end-9)."""

import asyncio
from collections.abc import Sequence
from functools import lru_cache

from registry.api.bodies import whole
from registry.api.conditions import etag_matches
from registry.api.past import Past
from registry.api.replies import Reply, empty, head_block
from registry.api.requests import Request
from registry.oci.digest import Digest
from registry.oci.errors import ManifestTooLarge, RequestInvalid, TooManyTags
from registry.oci.manifest import parse_manifest
from registry.oci.media_types import INDEX_TYPES
from registry.oci.name import Tag
from registry.oci.negotiation import platform_child
from registry.services.manifests import ManifestRow, Manifests

WARNING_LIMIT = 4096
"""Bytes of all warnings of an answer (distribution-spec, "Warnings")."""


CHILDREN_KEPT = 1024
"""Answers of the negotiation that are remembered: an index never changes."""


class ManifestRoutes:
    """Handlers for manifests. `max_tags` counts the `tag=` parameters of a push."""

    def __init__(self, manifests: Manifests, past: Past, *, max_bytes: int, max_tags: int) -> None:
        self._manifests = manifests
        self._past = past
        self._max_bytes = max_bytes
        self._max_tags = max_tags
        self._children: dict[tuple[str, ...], Digest | None] = {}

    async def get(self, request: Request) -> Reply:
        """GET and HEAD. By tag, an old client that takes no index may get the image for linux/amd64."""
        if request.query and (at := request.parameter("at")) is not None:
            return await self._past.get(request, at)
        repository = request.repository
        reference = request.reference
        row = await self._manifests.find(repository, reference)
        is_tag = not isinstance(reference, Digest)
        if is_tag and row.media_type in INDEX_TYPES:
            row = await self._negotiated(request, row)
        if "If-None-Match" in request.headers and etag_matches(
            request.headers.getall("If-None-Match"), f'"{row.digest}"'
        ):
            return Reply(304, not_modified(row.digest, is_tag))
        block = fields_of_manifest(row.digest, row.media_type, row.size, is_tag)
        body = await self._manifests.body(repository, row)  # for a HEAD, too: what is damaged is not there
        if request.method == "GET":
            self._manifests.note_pull(row)
        return Reply(200, block, body)

    async def _negotiated(self, request: Request, row: ManifestRow) -> ManifestRow:
        accept = request.headers.getall("Accept", [])
        if not accept or any(takes_plainly(line, row.media_type) for line in accept):
            return row
        repository = request.repository
        key = (row.digest, *accept)
        if key not in self._children:
            body = await self._manifests.body(repository, row)
            if len(self._children) >= CHILDREN_KEPT:
                self._children.clear()
            self._children[key] = await asyncio.to_thread(child_digest, body, row.media_type, accept)
        digest = self._children[key]
        return row if digest is None else await self._manifests.find(repository, digest)

    async def put(self, request: Request) -> Reply:
        repository = request.repository
        reference = request.reference
        extra_tags = self._tags(request, reference)
        body = await whole(request.http, self._max_bytes, "a manifest", ManifestTooLarge)
        pushed = await self._manifests.put(
            repository,
            reference,
            body,
            request.headers.get("Content-Type"),
            request.actor,
            extra_tags,
            expected_digests(request),
        )
        fields = [
            ("Location", f"{request.origin.base}/v2/{repository}/manifests/{reference}"),
            ("Docker-Content-Digest", pushed.digest),
        ]
        if pushed.subject is not None:
            fields.append(("OCI-Subject", pushed.subject))
        fields += [("OCI-Tag", tag) for tag in pushed.tags if extra_tags]
        if pushed.missing:
            fields.append(("Warning", warning_of_missing(pushed.missing)))
        return empty(201, fields)

    def _tags(self, request: Request, reference: object) -> Sequence[Tag]:
        """The `tag=` parameters, each validated. Raises RequestInvalid beside a tag, and TooManyTags."""
        given = request.parameters("tag")
        if not given:
            return ()
        if not isinstance(reference, Digest):
            raise RequestInvalid("tag= goes with a push by digest: PUT .../manifests/<digest>?tag=<tag>")
        if len(given) > self._max_tags:
            raise TooManyTags(f"one request may set {self._max_tags} tags at most, not {len(given)}")
        return [Tag.parse(tag) for tag in given]

    async def delete(self, request: Request) -> Reply:
        await self._manifests.delete(request.repository, request.reference, request.actor)
        return empty(202)


def child_digest(index: bytes, media_type: str, accept: Sequence[str]) -> Digest | None:
    """The image of an index that a client which takes no indexes gets, if it has one for it."""
    child = platform_child(parse_manifest(index, media_type), accept)
    return None if child is None else child.digest


def takes_plainly(accept: str, media_type: str) -> bool:
    """Whether a line of Accept takes a type, as far as can be told without reading it closely: most do."""
    return (media_type in accept or "*/*" in accept) and "q=0" not in accept


@lru_cache(maxsize=8192)
def fields_of_manifest(digest: str, media_type: str, size: int, is_tag: bool) -> bytes:
    """The header fields of a manifest. They depend on nothing else, so they are made once."""
    return head_block(
        [("Content-Type", media_type), ("Content-Length", str(size)), *validators(digest, is_tag)]
    )


@lru_cache(maxsize=1024)
def not_modified(digest: str, is_tag: bool) -> bytes:
    return head_block(validators(digest, is_tag))


def validators(digest: str, is_tag: bool) -> list[tuple[str, str]]:
    """A tag may move at any time; what has a digest never changes (RFC 9111 section 5.2)."""
    return [
        ("Docker-Content-Digest", digest),
        ("ETag", f'"{digest}"'),
        ("Cache-Control", "no-cache" if is_tag else "max-age=31536000, immutable"),
        *([("Vary", "Accept")] if is_tag else []),
    ]


def expected_digests(request: Request) -> list[str] | None:
    """The digests of If-Match, or `*`; None without the field."""
    if "If-Match" not in request.headers:
        return None
    tags = ",".join(request.headers.getall("If-Match")).split(",")
    return [tag.strip().removeprefix("W/").strip('"') for tag in tags]


def warning_of_missing(missing: Sequence[Digest]) -> str:
    """A Warning field in the only form that clients show: `299 - "text"`."""
    text = f"this repository does not hold {len(missing)} of the digests that the manifest cites: "
    text += ", ".join(missing[: WARNING_LIMIT // 200])
    return f'299 - "{text}"'
