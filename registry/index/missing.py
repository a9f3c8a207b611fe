"""Blobs that sparse manifests cite and nobody had pushed when they came: kept, should they come later."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, select, text, tuple_, update

from registry.index import journal_notes
from registry.index.key_rows import as_parameter, key_rows
from registry.index.statements import Statement
from registry.index.tables import blobs, manifest_blobs, manifests, repositories, repository_blobs
from registry.index.upkeep_tables import missing_blobs


class Incomplete(NamedTuple):
    """A manifest of which is not known yet what it cites beyond what was there when it came."""

    id: int
    repository_id: int
    repository: str
    digest: str
    media_type: str
    body: bytes


RECORD = Statement(lambda insert: insert(missing_blobs).on_conflict_do_nothing())

COMPLETE = Statement(
    update(manifests).where(manifests.c.id == bindparam("manifest")).values(missing_recorded=True)
)

INCOMPLETE = Statement(
    select(
        manifests.c.id,
        manifests.c.repository_id,
        repositories.c.name,
        manifests.c.digest,
        manifests.c.media_type,
        manifests.c.body,
    )
    .join(repositories, repositories.c.id == manifests.c.repository_id)
    .where(text("NOT manifests.missing_recorded"))  # as the index has it: SQLite compares the words
    .order_by(manifests.c.id)
    .limit(bindparam("limit"))
)

CAME = Statement(
    select(missing_blobs.c.manifest_id, missing_blobs.c.repository_id, missing_blobs.c.digest, blobs.c.id)
    .join(blobs, blobs.c.digest == missing_blobs.c.digest)
    .join(
        repository_blobs,
        (repository_blobs.c.blob_id == blobs.c.id)
        & (repository_blobs.c.repository_id == missing_blobs.c.repository_id),
    )
    .where(
        tuple_(repository_blobs.c.repository_id, repository_blobs.c.blob_id).in_(key_rows("links", 2)),
    )
)

HOLD = Statement(lambda insert: insert(manifest_blobs).on_conflict_do_nothing())

FORGET = Statement(
    delete(missing_blobs).where(
        missing_blobs.c.manifest_id == bindparam("manifest"), missing_blobs.c.digest == bindparam("wanted")
    )
)


def record(connection: Connection, manifest_id: int, repository_id: int, digests: Iterable[str]) -> None:
    """Enter what a manifest cites and its repository does not hold. Idempotent."""
    of_manifest = {"manifest_id": manifest_id, "repository_id": repository_id}
    RECORD.run_each(connection, [{**of_manifest, "digest": digest} for digest in sorted(digests)])


def incomplete(connection: Connection, limit: int) -> Sequence[Incomplete]:
    """Manifests that the version before entered: it did not note what they cite and was missing."""
    return [Incomplete(*row) for row in INCOMPLETE.all(connection, {"limit": limit})]


def complete(connection: Connection, manifest_id: int) -> bool:
    """All that a manifest cites is recorded, or will be in this transaction. False: it is gone."""
    return COMPLETE.run(connection, {"manifest": manifest_id}) > 0


def hold_what_came(connection: Connection, links: Iterable[tuple[int, int]]) -> None:
    """Have manifests need what was missing and came later, as they need the rest.

    `links` are pairs of the ids of a repository and of a blob.
    """
    for manifest_id, repository_id, digest, blob_id in CAME.all(connection, {"links": as_parameter(links)}):
        edge = {"manifest_id": manifest_id, "repository_id": repository_id, "blob_id": blob_id}
        HOLD.run(connection, edge)
        FORGET.run(connection, {"manifest": manifest_id, "wanted": digest})
        journal_notes.changed_manifest(connection, manifest_id)
