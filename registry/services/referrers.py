"""Referrers: what was pushed about a manifest: signatures, attestations, bills of materials."""

from collections.abc import Collection
from functools import partial

from registry.index import Index, referrers
from registry.index.referrers import ReferrerRow
from registry.oci.descriptor import Descriptor
from registry.oci.digest import Digest
from registry.oci.name import RepositoryName

LARGEST_PAGE = 3_500_000
"""Bytes of descriptors in one list. Clients read 4 MiB of it, and some know no pages (containerd, crane)."""

ROWS_AT_ONCE = 1000


class Referrers:
    """The referrers of a digest, which need not exist."""

    def __init__(self, index: Index) -> None:
        self._index = index

    async def page(
        self,
        repository: RepositoryName,
        subject: Digest,
        artifact_types: Collection[str],
        last: str | None,
        limit: int | None,
    ) -> tuple[list[Descriptor], bool]:
        """Descriptors after the digest `last`, and whether more follow: at most `limit`, and at most what
        clients read at once."""
        descriptors: list[Descriptor] = []
        size = 0
        while True:
            query = partial(
                referrers.page,
                repository=repository,
                subject=subject,
                artifact_types=artifact_types,
                last=last,
                limit=ROWS_AT_ONCE,
            )
            rows = await self._index.read(query)
            for row in rows:
                descriptor = describe(row)
                size += estimated_size(row)
                if descriptors and (size > LARGEST_PAGE or len(descriptors) == limit):
                    return descriptors, True
                if limit == 0:
                    return [], False
                descriptors.append(descriptor)
                last = row.digest
            if len(rows) < ROWS_AT_ONCE:
                return descriptors, False


def describe(row: ReferrerRow) -> Descriptor:
    return Descriptor(
        media_type=row.media_type,
        digest=Digest(row.digest),
        size=row.size,
        artifact_type=row.artifact_type,
        annotations=row.annotations,
    )


def estimated_size(row: ReferrerRow) -> int:
    """Bytes of JSON, from above: a character takes up to 12 where it is escaped as two surrogates."""
    texts = [row.media_type, row.artifact_type or "", row.digest]
    for key, value in row.annotations.items():
        texts += [key, value]
    escaped = sum(len(text) if text.isascii() else 12 * len(text) for text in texts)
    return 200 + 8 * len(row.annotations) + escaped
