"""`/v2/<name>/blobs/uploads/` (distribution-spec, end-4, end-5, end-6, end-11, end-13, end-14).

The address of a session holds the offset at which its next byte belongs: `<id>.<offset>`. So a streamed
PATCH that is sent again after its answer was lost is known for what it is, and nothing is taken twice.
Its query stays empty: simple clients replace it by `?digest=`.
"""

import re
from typing import NamedTuple

from registry.api.bodies import runs
from registry.api.errors import reply_to
from registry.api.ranges import parse_content_range
from registry.api.replies import Reply, empty
from registry.api.requests import Request
from registry.oci.digest import Digest, parse_algorithm
from registry.oci.errors import DigestInvalid, NameInvalid, SizeInvalid, UploadUnknown, WrongOffset
from registry.oci.name import RepositoryName
from registry.services.access import Access, OpenAccess
from registry.services.blobs import Blobs
from registry.services.upload_sessions import Body, Session
from registry.services.uploads import Uploads

_SESSION = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:\.([0-9]{1,19}))?")


class Address(NamedTuple):
    """What the address of a session says; `offset` is None where a client left it out."""

    id: str
    offset: int | None


class UploadRoutes:
    """Handlers for upload sessions."""

    def __init__(self, uploads: Uploads, blobs: Blobs, access: Access | OpenAccess) -> None:
        self._uploads = uploads
        self._blobs = blobs
        self._access = access

    async def start(self, request: Request) -> Reply:
        """POST: mount a blob, take one whole, or open a session."""
        repository = request.repository
        if (mounted := request.parameter("mount")) is not None:
            reply = await self._mount(request, repository, mounted)
            if reply is not None:
                return reply
        elif (claimed := request.parameter("digest")) is not None:
            digest = Digest.parse(claimed)
            body = self._body(request, None, 0)
            await self._uploads.whole(repository, digest, body, request.http.content_length or 0)
            return created(request, repository, digest)
        algorithm = parse_algorithm(request.parameter("digest-algorithm") or "sha256")
        session = await self._uploads.start(repository, algorithm, request.caller.name)
        return accepted(202, request, repository, session)

    async def _mount(self, request: Request, repository: RepositoryName, mounted: str) -> Reply | None:
        """None where the blob can't be mounted: the client gets a session and sends it."""
        digest = Digest.parse(mounted)
        given = request.parameter("from")
        try:
            source = RepositoryName.parse(given) if given else None
        except NameInvalid:
            return None  # what can't exist is missing like anything else
        if source is not None and not await self._access.may_mount(request.caller, source, repository):
            return None  # as if it did not exist
        if not await self._blobs.mount(repository, digest, source, request.caller.may_see):
            return None
        return created(request, repository, digest)

    async def status(self, request: Request) -> Reply:
        """GET and HEAD: how much is kept."""
        repository = request.repository
        session = await self._uploads.status(repository, parse_address(request).id)
        return accepted(204, request, repository, session)

    async def append(self, request: Request) -> Reply:
        """PATCH: a chunk with Content-Range, or a stream without."""
        repository = request.repository
        address = parse_address(request)
        try:
            body = self._body(request, request.headers.get("Content-Range"), address.offset)
            session = await self._uploads.append(repository, address.id, body)
        except WrongOffset as error:
            return wrong_offset(request, repository, error)
        return accepted(202, request, repository, session)

    async def finish(self, request: Request) -> Reply:
        """PUT: the last bytes, or all, or none; then the digest decides."""
        repository = request.repository
        address = parse_address(request)
        claimed = request.parameter("digest")
        if claimed is None:
            raise DigestInvalid("PUT closes the upload and needs ?digest=<digest>; the upload is kept")
        digest = Digest.parse(claimed)
        content_range = request.headers.get("Content-Range")
        has_body = content_range is not None or request.http.body_exists
        try:
            # Without a body it does not matter which address the client uses: the digest decides.
            body = self._body(request, content_range, address.offset) if has_body else None
            coming = request.http.content_length or 0
            await self._uploads.finish(repository, address.id, digest, body, coming)
        except WrongOffset as error:
            return wrong_offset(request, repository, error)
        return created(request, repository, digest)

    async def cancel(self, request: Request) -> Reply:
        """DELETE: forget the session and its bytes."""
        await self._uploads.cancel(request.repository, parse_address(request).id)
        return empty(204)

    @staticmethod
    def _body(request: Request, content_range: str | None, offset: int | None) -> Body:
        """The body with where it belongs: by Content-Range or, without one, by the session's address.

        Raises RequestInvalid for a bad Content-Range, and SizeInvalid for one that contradicts
        Content-Length: nothing is read then.
        """
        if content_range is None:
            return Body(runs(request.http), start=offset)
        first, last = parse_content_range(content_range)
        length = last - first + 1
        declared = request.http.content_length
        if declared is not None and declared != length:
            raise SizeInvalid(
                f"Content-Range {first}-{last} is {length} bytes long, Content-Length says {declared}"
            )
        return Body(runs(request.http), start=first, length=length if declared is None else None)


def parse_address(request: Request) -> Address:
    """Raises UploadUnknown for what can't be the address of a session."""
    match = _SESSION.fullmatch(request.argument)
    if match is None:
        raise UploadUnknown(request.argument[:100])
    return Address(match[1], None if match[2] is None else int(match[2]))


def accepted(status: int, request: Request, repository: RepositoryName, session: Session) -> Reply:
    """Where a session stands. An empty one has the Range `0-0`, the only form that docker reads."""
    location = f"{request.origin.base}/v2/{repository}/blobs/uploads/{session.id}.{session.offset}"
    return empty(
        status,
        [
            ("Location", location),
            ("Range", f"0-{max(session.offset - 1, 0)}"),
            ("Docker-Upload-UUID", session.id),
        ],
    )


def wrong_offset(request: Request, repository: RepositoryName, error: WrongOffset) -> Reply:
    """416 with all that a client needs to go on from the right place."""
    told = accepted(416, request, repository, Session(error.upload_id, error.offset))
    reply = reply_to(error)
    reply.block += told.block.replace(b"Content-Length: 0\r\n", b"")
    return reply


def created(request: Request, repository: RepositoryName, digest: Digest) -> Reply:
    """201 with where the blob is, under the digest that the client used."""
    location = f"{request.origin.base}/v2/{repository}/blobs/{digest}"
    return empty(201, [("Location", location), ("Docker-Content-Digest", digest)])
