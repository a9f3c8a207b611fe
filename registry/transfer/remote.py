"""A registry as the place where images come from."""

import json
import re
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

from yarl import URL

from registry.oci.descriptor import Descriptor, parse_descriptor
from registry.oci.digest import Digest
from registry.oci.errors import RegistryError
from registry.oci.media_types import MANIFEST_TYPES
from registry.transfer.client import Answer, Client, refusal
from registry.transfer.content import LARGEST_MANIFEST, Content, Pieces, content_of
from registry.transfer.errors import Interrupted, Missing, TransferError

PIECE_BYTES = 256 * 1024
MANIFESTS = {"Accept": ", ".join(sorted(MANIFEST_TYPES))}

COSIGN = ("sig", "att", "sbom")
"""Signatures, attestations and bills of materials: how their tags end (cosign, before it used referrers)."""

_NEXT = re.compile(r'<([^>]*)>\s*;\s*rel="?next"?')


class RemoteSource:
    """A registry, through `client`."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def digest(self, repository: str, reference: str) -> Digest | None:
        """See Source.digest."""
        if ":" in reference:
            return Digest.parse(reference)
        return await digest_of(self.client, repository, reference)

    async def manifest(self, repository: str, reference: str, media_type: str | None = None) -> Content:
        """See Source.manifest."""
        answer = await self._get(repository, f"manifests/{reference}", MANIFESTS)
        where = f"{self.client.name}/{repository}"
        if answer.status == 404:
            raise Missing(f"{where} holds no manifest {reference}")
        _must(answer, 200, self.client)
        if len(answer.body) > LARGEST_MANIFEST:
            raise TransferError(f"{where}: the manifest {reference} has {len(answer.body)} bytes")
        claimed = Digest.parse(reference) if ":" in reference else _claimed(answer)
        return content_of(answer.body, claimed, answer.headers.get("Content-Type") or media_type, where)

    async def blob(self, repository: str, blob: Descriptor, offset: int) -> Pieces:
        """See Source.blob. A connection that breaks is made again, and goes on where it was."""
        attempt = 0
        while True:
            attempt += 1
            try:
                async with aclosing(self._span(repository, blob, offset)) as span:
                    async for piece in span:
                        offset += len(piece)
                        attempt = 0
                        yield piece
            except Interrupted as problem:
                await self.client.patience.wait(max(attempt, 1), problem)
            else:
                return

    async def _span(self, repository: str, blob: Descriptor, offset: int) -> Pieces:
        url = self.client.url(f"/v2/{repository}/blobs/{blob.digest}")
        headers = {"Range": f"bytes={offset}-"} if offset else None
        async with self.client.open("GET", url, repository, headers) as response:
            skip = 0
            if response.status == 200:
                skip = offset  # it takes no ranges
            elif response.status == 404:
                raise Missing(f"{self.client.name}/{repository} holds no blob {blob.digest}")
            elif response.status != 206 or not offset:
                raise refusal(self.client.name, response.status, await response.content.read(64 * 1024))
            elif not response.headers.get("Content-Range", "").startswith(f"bytes {offset}-"):
                raise TransferError(f"{self.client.name} answers another range than it was asked for")
            async for piece in response.content.iter_chunked(PIECE_BYTES):
                if skip >= len(piece):
                    skip -= len(piece)
                    continue
                yield piece[skip:]
                skip = 0

    async def referrers(self, repository: str, digest: Digest) -> Sequence[Descriptor]:
        """See Source.referrers; from the fallback tag where a registry has no referrers API
        (distribution-spec, "Unavailable Referrers API")."""
        path = f"/v2/{repository}/referrers/{digest}"
        found: list[Any] = []
        url: URL | None = self.client.url(path)
        while url is not None:
            answer = await self.client.request("GET", url, repository)
            if answer.status != 200:
                return await self._fallback(repository, digest)
            found += _list(answer, "manifests", self.client)
            url = _following(answer, self.client)
        return _descriptors(found, self.client)

    async def _fallback(self, repository: str, digest: Digest) -> Sequence[Descriptor]:
        try:
            content = await self.manifest(repository, fallback_tag(digest))
        except Missing:
            return ()
        return content.manifest.children

    async def attached(self, repository: str, digest: Digest) -> Sequence[str]:
        """See Source.attached."""
        tags = [f"{fallback_tag(digest)}.{kind}" for kind in COSIGN]
        return [tag for tag in tags if await digest_of(self.client, repository, tag) is not None]

    async def tags(self, repository: str) -> list[str]:
        """All tags. Raises TransferError."""
        return await self._names(f"/v2/{repository}/tags/list", repository, "tags")

    async def repositories(self) -> list[str]:
        """All repositories that the catalog lists. Raises TransferError."""
        return await self._names("/v2/_catalog", "", "repositories")

    async def _names(self, path: str, repository: str, member: str) -> list[str]:
        found: list[str] = []
        url: URL | None = self.client.url(f"{path}?n=1000")
        while url is not None:
            answer = await self.client.request("GET", url, repository)
            if answer.status == 404:
                raise Missing(f"{self.client.name} holds no repository {repository}")
            _must(answer, 200, self.client)
            found += [name for name in _list(answer, member, self.client) if isinstance(name, str)]
            url = _following(answer, self.client)
        return found

    async def _get(self, repository: str, path: str, headers: dict[str, str]) -> Answer:
        return await self.client.request(
            "GET", self.client.url(f"/v2/{repository}/{path}"), repository, headers
        )


async def digest_of(client: Client, repository: str, tag: str) -> Digest | None:
    """What a tag points to; None if there is none, and if the registry does not say. Raises TransferError."""
    url = client.url(f"/v2/{repository}/manifests/{tag}")
    answer = await client.request("HEAD", url, repository, MANIFESTS)
    if answer.status == 404:
        return None
    _must(answer, 200, client)
    return _claimed(answer)


def fallback_tag(digest: Digest) -> str:
    """The tag whose index lists the referrers of `digest` (distribution-spec, "Referrers Tag Schema")."""
    return f"{digest.algorithm[:32]}-{digest.encoded[:64]}"


def _claimed(answer: Answer) -> Digest | None:
    field = answer.headers.get("Docker-Content-Digest")
    try:
        return None if field is None else Digest.parse(field)
    except RegistryError:
        return None


def _must(answer: Answer, status: int, client: Client) -> None:
    if answer.status != status:
        raise refusal(client.name, answer.status, answer.body)


def _list(answer: Answer, member: str, client: Client) -> list[Any]:
    try:
        values = json.loads(answer.body)[member]
    except (ValueError, KeyError, TypeError):
        values = ()
    if values is None:
        return []
    if not isinstance(values, list):
        raise TransferError(f"{client.name} does not answer as a registry does")
    return values


def _following(answer: Answer, client: Client) -> URL | None:
    """The next page, on the same registry."""
    found = _NEXT.search(answer.headers.get("Link", ""))
    if found is None:
        return None
    url = answer.url.join(URL(found[1], encoded=True))
    if url.origin() != answer.url.origin() or url == answer.url:
        raise TransferError(f"{client.name} has the next page of a list elsewhere")
    return url


def _descriptors(values: Sequence[Any], client: Client) -> list[Descriptor]:
    try:
        return [parse_descriptor(value, f"manifests[{number}]") for number, value in enumerate(values)]
    except RegistryError as error:
        raise TransferError(f"{client.name} lists referrers wrongly: {error.message}") from error
