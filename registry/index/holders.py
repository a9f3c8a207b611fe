"""Who holds a digest: links, manifests, indexes, subjects, and what was deleted and can come back.

A digest can be that of a blob, of manifests of several repositories, or of both.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, bindparam, select, union

from registry.index.statements import Statement
from registry.index.tables import (
    blobs,
    manifest_blobs,
    manifest_children,
    manifests,
    repositories,
    repository_blobs,
    tags,
)
from registry.index.upkeep_tables import (
    digests_in_use,
    missing_blobs,
    removed_manifest_blobs,
    removed_manifests,
)


class StoredBlob(NamedTuple):
    """A blob; `size` in bytes, times in seconds since the epoch. At `examine_at` the collector looks whether
    any repository has it; None: one has."""

    id: int
    size: int
    location: str
    created_at: float
    lease_until: float
    quarantined_at: float | None
    examine_at: float | None


class HolderRepository(NamedTuple):
    """A repository that a digest has to do with."""

    id: int
    name: str
    public: bool


class HolderManifest(NamedTuple):
    """A manifest of a repository; `subject` is the digest that it refers to."""

    id: int
    digest: str
    media_type: str
    subject: str | None


class RemovedHolder(NamedTuple):
    """A deleted manifest that can be restored. `repository` is the name that its repository had."""

    repository: str
    digest: str
    removed_at: float
    removed_by: str | None


class Use(NamedTuple):
    """Somebody runs this digest, as `reporter` says until `until`."""

    repository: str
    digest: str
    reporter: str
    until: float


BLOB = Statement(
    select(*(blobs.c[name] for name in StoredBlob._fields)).where(blobs.c.digest == bindparam("digest"))
)

# Repositories first: what belongs to one is found by it.
_REPOSITORY = select(repositories.c.id, repositories.c.name, repositories.c.public)
REPOSITORIES = Statement(
    union(
        _REPOSITORY.join(repository_blobs, repository_blobs.c.repository_id == repositories.c.id)
        .join(blobs, blobs.c.id == repository_blobs.c.blob_id)
        .where(blobs.c.digest == bindparam("digest")),
        _REPOSITORY.join(manifests, manifests.c.repository_id == repositories.c.id).where(
            manifests.c.digest == bindparam("digest")
        ),
        _REPOSITORY.join(missing_blobs, missing_blobs.c.repository_id == repositories.c.id).where(
            missing_blobs.c.digest == bindparam("digest")
        ),
    ).order_by("name")
)

_MANIFEST = select(manifests.c.id, manifests.c.digest, manifests.c.media_type, manifests.c.subject)

WITH_DIGEST = Statement(
    _MANIFEST.where(
        manifests.c.repository_id == bindparam("repository_id"), manifests.c.digest == bindparam("digest")
    )
)

WITH_BLOB = Statement(
    _MANIFEST.join(manifest_blobs, manifest_blobs.c.manifest_id == manifests.c.id)
    .join(blobs, blobs.c.id == manifest_blobs.c.blob_id)
    .where(
        manifest_blobs.c.repository_id == bindparam("repository_id"), blobs.c.digest == bindparam("digest")
    )
    .order_by(manifests.c.id)
    .limit(bindparam("limit"))
)

AWAITING = Statement(
    _MANIFEST.join(missing_blobs, missing_blobs.c.manifest_id == manifests.c.id)
    .where(
        missing_blobs.c.repository_id == bindparam("repository_id"),
        missing_blobs.c.digest == bindparam("digest"),
    )
    .order_by(manifests.c.id)
    .limit(bindparam("limit"))
)

LISTING = (
    select(manifest_children.c.child_digest, *_MANIFEST.selected_columns)
    .join(manifests, manifests.c.id == manifest_children.c.manifest_id)
    .where(
        manifests.c.repository_id == bindparam("repository_id"),
        manifest_children.c.child_digest.in_(bindparam("digests", expanding=True)),
    )
    .order_by(manifests.c.id)
    .limit(bindparam("limit"))
)

TAGS = Statement(
    select(tags.c.name).where(tags.c.manifest_id == bindparam("manifest_id")).order_by(tags.c.name)
)

_REMOVED = select(
    removed_manifests.c.repository,
    removed_manifests.c.digest,
    removed_manifests.c.removed_at,
    removed_manifests.c.removed_by,
)
REMOVED = Statement(
    union(
        _REMOVED.where(removed_manifests.c.digest == bindparam("digest")),
        _REMOVED.join(
            removed_manifest_blobs, removed_manifest_blobs.c.removed_manifest_id == removed_manifests.c.id
        )
        .join(blobs, blobs.c.id == removed_manifest_blobs.c.blob_id)
        .where(blobs.c.digest == bindparam("digest")),
    ).order_by("repository", "digest")
)

IN_USE = (
    select(
        digests_in_use.c.repository,
        digests_in_use.c.digest,
        digests_in_use.c.reporter,
        digests_in_use.c.until,
    )
    .where(
        digests_in_use.c.digest.in_(bindparam("digests", expanding=True)),
        digests_in_use.c.until > bindparam("now"),
    )
    .order_by(digests_in_use.c.repository, digests_in_use.c.digest, digests_in_use.c.reporter)
)


def blob(connection: Connection, digest: str) -> StoredBlob | None:
    """The blob with this digest."""
    row = BLOB.first(connection, {"digest": digest})
    return None if row is None else StoredBlob(*row)


def repositories_of(connection: Connection, digest: str) -> Iterator[HolderRepository]:
    """The repositories that may read such a blob, have such a manifest, or wait for such a blob, by name."""
    for id, name, public in REPOSITORIES.all(connection, {"digest": digest}):
        yield HolderRepository(id, name, bool(public))


def manifest(connection: Connection, repository_id: int, digest: str) -> HolderManifest | None:
    """The manifest with this digest in a repository."""
    row = WITH_DIGEST.first(connection, {"repository_id": repository_id, "digest": digest})
    return None if row is None else HolderManifest(*row)


def manifests_with_blob(
    connection: Connection, repository_id: int, digest: str, limit: int
) -> list[HolderManifest]:
    """Manifests of a repository that need a blob."""
    values = {"repository_id": repository_id, "digest": digest, "limit": limit}
    return [HolderManifest(*row) for row in WITH_BLOB.all(connection, values)]


def manifests_awaiting(
    connection: Connection, repository_id: int, digest: str, limit: int
) -> list[HolderManifest]:
    """Sparse manifests of a repository that cite a digest which was not there."""
    values = {"repository_id": repository_id, "digest": digest, "limit": limit}
    return [HolderManifest(*row) for row in AWAITING.all(connection, values)]


def indexes_with(
    connection: Connection, repository_id: int, digests: Collection[str], limit: int
) -> list[tuple[str, HolderManifest]]:
    """Indexes of a repository that list one of these digests: that digest, and the index."""
    values = {"repository_id": repository_id, "digests": list(digests), "limit": limit}
    return [(child, HolderManifest(*row)) for child, *row in _rows(connection, LISTING, values)]


def tags_of(connection: Connection, manifest_id: int) -> list[str]:
    """The tags on a manifest."""
    return [name for (name,) in TAGS.all(connection, {"manifest_id": manifest_id})]


def removed(connection: Connection, digest: str) -> list[RemovedHolder]:
    """Deleted manifests that have this digest, or need such a blob."""
    return [RemovedHolder(*row) for row in REMOVED.all(connection, {"digest": digest})]


def in_use(connection: Connection, digests: Collection[str], now: float) -> list[Use]:
    """Who runs one of these digests."""
    return [Use(*row) for row in _rows(connection, IN_USE, {"digests": list(digests), "now": now})]


def _rows(connection: Connection, statement: Select[Any], values: dict[str, Any]) -> Sequence[Any]:
    return connection.execute(statement, values).all()
