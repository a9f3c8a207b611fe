"""Manifests: taking them whole and checked, serving them as they came, deleting them."""

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from auth.actor import Actor
from registry.index import Connection, Index, manifests, quotas, repositories, tags
from registry.index.manifests import ManifestRow
from registry.oci.digest import Digest
from registry.oci.errors import (
    DeletionDisabled,
    DigestMismatch,
    ManifestUnknown,
    PreconditionFailed,
    RepositoryUnknown,
)
from registry.oci.manifest import parse_manifest
from registry.oci.name import RepositoryName, Tag
from registry.services.audit import Audit, AuditRow
from registry.services.caches import ByteCache, FactCache
from registry.services.manifest_entries import NewManifest, enter
from registry.services.policies import check_may_go, check_may_move, check_quota
from storage_drivers.failpoints import declare, failpoint

__all__ = ["ManifestRow", "Manifests", "Pushed", "Reference"]

log = logging.getLogger(__name__)

CHECKED = declare("manifests.put.checked")
RECORDED = declare("manifests.put.recorded")
DELETED = declare("manifests.delete.recorded")

Reference = Tag | Digest

BODIES_CAPACITY = 64 * 1024 * 1024
LARGEST_CACHED_BODY = 1024 * 1024

LARGE_BODY = 64 * 1024
"""Bytes from which parsing, some 5 ms then, is kept out of the event loop."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push did. `missing` is content that the manifest cites and nobody pushed (sparse manifests)."""

    digest: Digest
    subject: Digest | None
    tags: tuple[Tag, ...]
    missing: tuple[Digest, ...]


class Manifests:
    """Manifests of all repositories. Bytes live in the index; what is immutable is kept in memory.
    `keep_deleted`: whether what is deleted can be restored for a while."""

    def __init__(
        self,
        index: Index,
        audit: Audit,
        *,
        sparse: bool,
        deletion: bool,
        tag_deletion: bool,
        keep_deleted: bool = True,
    ) -> None:
        self._index = index
        self._audit = audit
        self._sparse = sparse
        self._deletion = deletion
        self._tag_deletion = tag_deletion
        self._keep_deleted = keep_deleted
        self._rows: FactCache[tuple[str, str], ManifestRow] = FactCache(index.generation, limit=50_000)
        self._bodies = ByteCache(BODIES_CAPACITY, largest=LARGEST_CACHED_BODY)
        self._pulls: dict[int, float] = {}

    async def find(self, repository: RepositoryName, reference: Reference) -> ManifestRow:
        """What a tag or a digest names. Raises ManifestUnknown and RepositoryUnknown."""
        key = (repository, reference)
        generation = await self._rows.current()
        row = self._rows.get(key)
        if row is None:
            row = await self._index.read(partial(_find, repository=repository, reference=reference))
            self._rows.put(key, row, generation)
        return row

    async def body(self, repository: RepositoryName, row: ManifestRow) -> bytes:
        """The bytes of a manifest, exactly as pushed. Raises ManifestUnknown if it was deleted since, or if
        what the index holds is not what was pushed: then a push heals it."""
        body = self._bodies.get(row.digest)
        if body is None:
            body = await self._index.read(partial(_body, repository=repository, row=row))
            self._bodies.put(row.digest, body)
        return body

    def note_pull(self, row: ManifestRow) -> None:
        """Remember that a manifest was pulled now; `save_pulls` writes it down."""
        self._pulls[row.id] = time.time()

    async def save_pulls(self) -> None:
        """Write down the pulls since the last time, all in one transaction.

        When that fails or is cancelled they are kept for the next time. Raises StorageFull and Unavailable.
        """
        pulls, self._pulls = self._pulls, {}
        if not pulls:
            return
        try:
            await self._index.write(partial(manifests.note_pulls, pulls=pulls), durable=False)
        except BaseException:
            self._pulls = pulls | self._pulls  # what was pulled again meanwhile has the newer time
            raise

    async def put(
        self,
        repository: RepositoryName,
        reference: Reference,
        body: bytes,
        content_type: str | None,
        actor: Actor,
        extra_tags: Sequence[Tag] = (),
        expected: Iterable[str] | None = None,
    ) -> Pushed:
        """Take a manifest under its digest, and point tags to it.

        `expected`: unless the tag points to one of these digests now, nothing is done (If-Match).
        Raises ManifestInvalid, DigestMismatch, ManifestBlobsUnknown with all that is missing,
        PreconditionFailed, TagImmutable and QuotaExceeded.
        """
        algorithm = reference.algorithm if isinstance(reference, Digest) else "sha256"
        digest = Digest.of(body, algorithm)
        if isinstance(reference, Digest) and digest != reference:
            raise DigestMismatch(reference, digest)
        if len(body) < LARGE_BODY:
            manifest = parse_manifest(body, content_type)
        else:
            manifest = await asyncio.to_thread(parse_manifest, body, content_type)
        pointing = (reference,) if isinstance(reference, Tag) else tuple(dict.fromkeys(extra_tags))
        now = time.time()
        failpoint(CHECKED)

        def change(connection: Connection) -> tuple[tuple[Digest, ...], AuditRow]:
            limited = quotas.lock_of_repository(connection, repository)
            check_may_move(connection, repository, pointing, digest)
            if expected is not None:
                check_precondition(connection, repository, reference, expected)
            repository_id = repositories.ensure(connection, repository, now)
            new = NewManifest(digest, body, manifest, actor.principal, now)
            manifest_id, missing = enter(connection, repository_id, new, sparse=self._sparse)
            for tag in pointing:
                tags.point(connection, repository_id, tag, manifest_id, digest, actor.principal, now)
            if limited:
                check_quota(connection, repository)
            detail = {"digest": digest, "tags": pointing}
            return missing, self._audit.record(connection, actor, "push", repository, detail)

        missing, row = await self._index.write(change)
        self._audit.tell(row)
        failpoint(RECORDED)
        subject = None if manifest.subject is None else manifest.subject.digest
        return Pushed(digest, subject, pointing, missing)

    async def delete(self, repository: RepositoryName, reference: Reference, actor: Actor) -> None:
        """Delete a tag, or a manifest with every tag on it. Raises DeletionDisabled, ManifestUnknown,
        RepositoryUnknown and TagImmutable."""
        if isinstance(reference, Tag):
            if not self._tag_deletion:
                raise DeletionDisabled("deleting tags is switched off on this registry (deletion.tags)")
        elif not self._deletion:
            raise DeletionDisabled("deleting manifests is switched off on this registry (deletion.manifests)")
        now = time.time()

        def change(connection: Connection) -> AuditRow:
            quotas.lock_of_repository(connection, repository)
            row = _find(connection, repository, reference)
            repository_id = repositories.find(connection, repository)
            assert repository_id is not None
            by = actor.principal
            if isinstance(reference, Tag):
                gone: Sequence[str] = (reference,)
                tags.remove(connection, repository_id, reference, by, now)
            else:
                gone = tags.remove_of_manifest(connection, repository_id, row.id, by, now)
                manifests.remove(connection, row.id, by, now, keep=self._keep_deleted)
            check_may_go(connection, repository, gone)
            detail = {"tags": gone} if isinstance(reference, Tag) else {"digest": reference, "tags": gone}
            return self._audit.record(connection, actor, "delete", repository, detail)

        self._audit.tell(await self._index.write(change))
        failpoint(DELETED)


def _find(connection: Connection, repository: str, reference: Reference) -> ManifestRow:
    if isinstance(reference, Digest):
        row = manifests.find_by_digest(connection, repository, reference)
    else:
        row = manifests.find_by_tag(connection, repository, reference)
    if row is not None:
        return row
    if repositories.find(connection, repository) is None:
        raise RepositoryUnknown(repository)
    raise ManifestUnknown(repository, reference)


def _body(connection: Connection, repository: str, row: ManifestRow) -> bytes:
    body = manifests.body(connection, row.id)
    if body is None:
        raise ManifestUnknown(repository, row.digest)
    if Digest.of(body, Digest(row.digest).algorithm) != row.digest:
        log.error("%s@%s is not served: the index holds other bytes for it", repository, row.digest)
        raise ManifestUnknown(repository, row.digest)
    return body


def check_precondition(
    connection: Connection, repository: str, reference: Reference, expected: Iterable[str]
) -> None:
    """If-Match: the tag must point to one of these digests, or exist at all for `*` (RFC 9110 13.1.1)."""
    if isinstance(reference, Tag):
        current = tags.digest_of(connection, repository, reference)
    else:
        row = manifests.find_by_digest(connection, repository, reference)
        current = None if row is None else row.digest
    if current is None or not {"*", current} & set(expected):
        raise PreconditionFailed(
            f"If-Match does not name what {reference} is now: {current or 'nothing'}", {"current": current}
        )
