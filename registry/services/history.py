"""The past of a repository: where its tags pointed, and what was there at a time, deleted since or not."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

from registry.index import Connection, Index, access, manifests, removed, tag_history
from registry.index.access import RepositoryFacts
from registry.index.manifests import ManifestRow
from registry.index.tag_history import HistoryRow
from registry.oci.digest import Digest
from registry.oci.errors import ManifestUnknown, NotKept, RepositoryUnknown
from registry.oci.name import RepositoryName, Tag
from registry.services.manifests import Reference

__all__ = ["History", "HistoryRow", "PastManifest"]

ROUNDING = 1e-6
"""Seconds. Times are told with microseconds: what was done at the time that was told was done by then."""


class PastManifest(NamedTuple):
    """What a tag or a digest named at a time. `body` are its bytes if it was deleted since; None: it is still
    here."""

    row: ManifestRow
    body: bytes | None = None


class History:
    """The past of all repositories that exist; of others nobody reads anything."""

    def __init__(self, index: Index) -> None:
        self._index = index

    async def page(
        self, repository: RepositoryName, tag: Tag, last: int | None, limit: int
    ) -> tuple[Sequence[HistoryRow], bool]:
        """At most `limit` entries of a tag, the newest first, older than the one with the id `last`; and
        whether more follow. Raises RepositoryUnknown, and ManifestUnknown for a tag that never was."""

        def query(connection: Connection) -> Sequence[HistoryRow]:
            row = facts_or_raise(connection, repository)
            found = tag_history.page(connection, row.id, tag, last, limit + 1)
            if last is None and not found:
                raise ManifestUnknown(repository, tag)
            return found

        rows = await self._index.read(query)
        return rows[:limit], len(rows) > limit

    async def find(self, repository: RepositoryName, reference: Reference, at: float) -> PastManifest:
        """What a tag named at a time (seconds since the epoch), or a digest that is here or was then.

        Raises RepositoryUnknown, and ManifestUnknown or NotKept where there is nothing.
        """
        query = partial(_find, repository=repository, reference=reference, at=at)
        return await self._index.read(query)


def _find(connection: Connection, repository: str, reference: Reference, at: float) -> PastManifest:
    row = facts_or_raise(connection, repository)
    is_tag = not isinstance(reference, Digest)
    digest = tagged_at(connection, row, repository, reference, at) if is_tag else reference
    here = manifests.find_by_digest(connection, repository, digest)
    if here is not None:
        return PastManifest(here)
    found = removed.find(connection, row.uid, digest)
    if found is None:
        raise NotKept(f"{repository} holds no manifest {digest}, {PERHAPS}", reference)
    manifest, body = found
    if not is_tag and manifest.removed_at <= at:
        raise NotKept(f"{digest} was deleted from {repository} at {said(manifest.removed_at)}", reference)
    if Digest.of(body, Digest(digest).algorithm) != digest:
        raise NotKept(f"{digest} of {repository} is damaged: push it again", reference)
    return PastManifest(ManifestRow(manifest.id, digest, manifest.media_type, len(body)), body)


PERHAPS = "and if one was deleted, it is not kept any more (undo.window_seconds)"


def facts_or_raise(connection: Connection, repository: str) -> RepositoryFacts:
    """Raises RepositoryUnknown."""
    row = access.facts(connection, repository)
    if row is None:
        raise RepositoryUnknown(repository)
    return row


def tagged_at(connection: Connection, row: RepositoryFacts, repository: str, tag: str, at: float) -> str:
    """The digest that a tag pointed to at a time. Raises NotKept if there was no such tag then."""
    digest = tag_history.digest_at(connection, row.id, tag, at + ROUNDING)
    if digest is None:
        raise NotKept(f"{repository} had no tag {tag} at {said(at)}", tag)
    return digest


def said(at: float) -> str:
    """A time as people are told it."""
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")
