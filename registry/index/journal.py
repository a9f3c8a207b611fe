"""What the journal takes out of the index: rows that are in no object of the storage yet.

Lines are JSON objects. A repository is named by its uid, which no other one gets.

    {"removed": uid, "digest", "at", "by"}          a manifest was deleted; without a digest, the repository
    {"repository": uid, "name", ...}                its settings
    {"manifest": uid, "digest", "media_type", "body", "pushed_by", "pushed_at", "missing"}
    {"tag": uid, "name", "digest", "at", "by"}      from then on it pointed there; null: it was deleted
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Double, bindparam, delete, func, select, text, update

from registry.index import index_copies
from registry.index.index_copies import CopyRow
from registry.index.statements import Row, Statement
from registry.index.tables import manifests, repositories, tag_history
from registry.index.upkeep_tables import (
    missing_blobs,
    removals_to_journal,
    removed_manifests,
    removed_repositories,
)

KIND = "journal"

ROWS = 500
"""Of each kind in a batch."""

BODY_BYTES = 8 * 1024 * 1024
"""Of manifests in a batch."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows that are not in the storage yet, of one state of the index. `at` is later than what is there.

    `lines` are in the order in which they are to be replayed; the rest is what `note` needs. `more`: it is
    not all.
    """

    at: float
    lines: Sequence[dict[str, Any]]
    removals: Sequence[int] = ()
    repositories: Sequence[tuple[int, float | None]] = ()
    manifests: Sequence[int] = ()
    tags: Sequence[int] = ()
    more: bool = False


REMOVALS = Statement(
    select(
        removals_to_journal.c.id,
        removals_to_journal.c.repository_uid,
        removals_to_journal.c.digest,
        removals_to_journal.c.at,
        removals_to_journal.c.by,
    )
    .order_by(removals_to_journal.c.id)
    .limit(bindparam("limit"))
)

# As text: SQLite does not see otherwise that the partial indexes are meant.
NEW_REPOSITORIES = Statement(
    select(
        repositories.c.id,
        repositories.c.uid,
        repositories.c.name,
        repositories.c.created_at,
        repositories.c.public,
        repositories.c.description,
        repositories.c.immutable_tags,
        repositories.c.updated_at,
    )
    .where(text("NOT repositories.journaled"))
    .order_by(repositories.c.id)
    .limit(bindparam("limit"))
)

NEW_MANIFESTS = Statement(
    select(manifests.c.id, manifests.c.size)
    .where(text("NOT manifests.journaled"))
    .order_by(manifests.c.id)
    .limit(bindparam("limit"))
)

MANIFEST = Statement(
    select(
        repositories.c.uid,
        manifests.c.digest,
        manifests.c.media_type,
        manifests.c.body,
        manifests.c.pushed_by,
        manifests.c.pushed_at,
    )
    .join(repositories, repositories.c.id == manifests.c.repository_id)
    .where(manifests.c.id == bindparam("wanted"))
)

MISSING = Statement(
    select(missing_blobs.c.digest)
    .where(missing_blobs.c.manifest_id == bindparam("wanted"))
    .order_by(missing_blobs.c.digest)
)

NEW_TAGS = Statement(
    select(
        tag_history.c.id,
        repositories.c.uid,
        tag_history.c.name,
        tag_history.c.digest,
        tag_history.c.at,
        tag_history.c.by,
    )
    .join(repositories, repositories.c.id == tag_history.c.repository_id)
    .where(text("NOT tag_history.journaled"))
    .order_by(tag_history.c.id)
    .limit(bindparam("limit"))
)

FORGET_REMOVAL = Statement(delete(removals_to_journal).where(removals_to_journal.c.id == bindparam("noted")))

# Not if it was changed since it was read.
NOTE_REPOSITORY = Statement(
    update(repositories)
    .where(
        repositories.c.id == bindparam("noted"),
        func.coalesce(repositories.c.updated_at, 0.0) == bindparam("seen", type_=Double),
    )
    .values(journaled=True)
)
NOTE_MANIFEST = Statement(
    update(manifests).where(manifests.c.id == bindparam("noted")).values(journaled=True)
)
NOTE_TAG = Statement(update(tag_history).where(tag_history.c.id == bindparam("noted")).values(journaled=True))

# By id, whatever table it is of: the ranges end with the largest of all.
AGAIN = tuple(
    Statement(
        update(table)
        .where(table.c.id > bindparam("after"), table.c.id <= bindparam("last"))
        .values(journaled=False)
    )
    for table in (repositories, manifests, tag_history)
)
LAST_ID = tuple(Statement(select(func.max(table.c.id))) for table in (repositories, manifests, tag_history))

KNOWN_REPOSITORY = Statement(
    select(repositories.c.uid)
    .where(repositories.c.uid == bindparam("uid"))
    .union_all(select(removed_repositories.c.uid).where(removed_repositories.c.uid == bindparam("uid")))
    .limit(1)
)
KNOWN_MANIFEST = Statement(
    select(manifests.c.digest)
    .join(repositories, repositories.c.id == manifests.c.repository_id)
    .where(repositories.c.uid == bindparam("uid"), manifests.c.digest == bindparam("wanted"))
    .union_all(
        select(removed_manifests.c.digest).where(
            removed_manifests.c.repository_uid == bindparam("uid"),
            removed_manifests.c.digest == bindparam("wanted"),
        )
    )
    .limit(1)
)


def next_batch(connection: Connection, now: float) -> Batch:
    """What is to be written next. Its statements must see one state.

    Within a state what was removed was removed before what is there came. So a kind of rows waits until
    those before it are all there.
    """
    at = max(now, index_copies.last(connection, KIND) + 0.001)
    limit = {"limit": ROWS}
    lines: list[dict[str, Any]] = []
    removals = REMOVALS.all(connection, limit)
    for _, uid, digest, removed_at, by in removals:
        lines.append({"removed": uid, "digest": digest, "at": removed_at, "by": by})
    ids = [row[0] for row in removals]
    if len(removals) == ROWS:
        return Batch(at, lines, ids, more=True)
    settings = NEW_REPOSITORIES.all(connection, limit)
    lines += map(_repository_line, settings)
    seen = [(row[0], row[-1]) for row in settings]
    if len(settings) == ROWS:
        return Batch(at, lines, ids, seen, more=True)
    manifest_ids, more = _manifests_to_read(connection)
    lines += (_manifest_line(connection, manifest_id) for manifest_id in manifest_ids)
    tags = NEW_TAGS.all(connection, limit)
    for _, uid, name, digest, pointed_at, by in tags:
        lines.append({"tag": uid, "name": name, "digest": digest, "at": pointed_at, "by": by})
    more = more or len(tags) == ROWS
    return Batch(at, lines, ids, seen, manifest_ids, [row[0] for row in tags], more)


def note(connection: Connection, batch: Batch, row: CopyRow) -> None:
    """The batch is in the storage, in this object."""
    index_copies.enter(connection, row)
    FORGET_REMOVAL.run_each(connection, [{"noted": id} for id in batch.removals])
    seen = [{"noted": id, "seen": updated_at or 0.0} for id, updated_at in batch.repositories]
    NOTE_REPOSITORY.run_each(connection, seen)
    NOTE_MANIFEST.run_each(connection, [{"noted": id} for id in batch.manifests])
    NOTE_TAG.run_each(connection, [{"noted": id} for id in batch.tags])


def write_again(connection: Connection, after: int, limit: int) -> int:
    """Have rows be written once more, those with the ids up to `limit` behind one; up to which id that is."""
    last = min(after + limit, max(statement.scalar(connection, {}) or 0 for statement in LAST_ID))
    for statement in AGAIN:
        statement.run(connection, {"after": after, "last": last})
    return last


def is_known(connection: Connection, line: Mapping[str, Any]) -> bool:
    """Whether what a line tells of is here, or was deleted and can be restored."""
    if "manifest" in line or ("removed" in line and line["digest"] is not None):
        uid = line["manifest"] if "manifest" in line else line["removed"]
        return KNOWN_MANIFEST.first(connection, {"uid": uid, "wanted": line["digest"]}) is not None
    uid = next(line[kind] for kind in ("removed", "repository", "tag") if kind in line)
    return KNOWN_REPOSITORY.first(connection, {"uid": uid}) is not None


def _repository_line(row: Row) -> dict[str, Any]:
    _, uid, name, created_at, public, description, immutable_tags, updated_at = row
    return {
        "repository": uid,
        "name": name,
        "created_at": created_at,
        "public": bool(public),
        "description": description,
        "immutable_tags": immutable_tags,
        "updated_at": updated_at,
    }


def _manifests_to_read(connection: Connection) -> tuple[Sequence[int], bool]:
    """Their ids, and whether there are more."""
    rows = NEW_MANIFESTS.all(connection, {"limit": ROWS})
    size = 0
    for number, (_, own) in enumerate(rows):
        size += own
        if size > BODY_BYTES and number:
            return [id for id, _ in rows[:number]], True
    return [id for id, _ in rows], len(rows) == ROWS


def _manifest_line(connection: Connection, manifest_id: int) -> dict[str, Any]:
    row = MANIFEST.first(connection, {"wanted": manifest_id})
    assert row is not None, "all is read of one state"
    uid, digest, media_type, body, pushed_by, pushed_at = row
    return {
        "manifest": uid,
        "digest": digest,
        "media_type": media_type,
        "body": base64.b64encode(body).decode(),
        "pushed_by": pushed_by,
        "pushed_at": pushed_at,
        "missing": [missing for (missing,) in MISSING.all(connection, {"wanted": manifest_id})],
    }
