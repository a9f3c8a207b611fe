"""Entering what a rebuild finds in the storage: blobs that were read, and what the journal tells."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Double, bindparam, delete, exists, func, insert, select, union_all, update

from registry.index import access, manifests, repositories
from registry.index import blobs as blob_rows
from registry.index.adoption import IS_DISCARDED
from registry.index.blobs import BLOB, DISCARD, EXAMINE, HEAL, BlobRow
from registry.index.manifests import in_batches
from registry.index.missing import FORGET as CAME
from registry.index.statements import Statement
from registry.index.tables import blobs, repository_blobs, tag_history, tags
from registry.index.tables import manifests as manifest_rows
from registry.index.tables import repositories as repository_rows
from registry.index.upkeep_tables import removals_to_journal, removed_repositories


class LastPointed(NamedTuple):
    """Where a tag pointed last, since `at`; None: it was deleted."""

    name: str
    digest: str | None
    at: float


FIND = Statement(select(*BLOB).where(blobs.c.digest == bindparam("digest")))

UNLINKED = Statement(
    select(*BLOB).where(
        blobs.c.size == bindparam("wanted_size"),
        blobs.c.examine_at.is_not(None),
        ~exists().where(repository_blobs.c.blob_id == blobs.c.id),
    )
)

RENAME = Statement(update(blobs).where(blobs.c.id == bindparam("wanted")).values(digest=bindparam("other")))

IDS = select(blobs.c.digest, blobs.c.id).where(
    blobs.c.digest.in_(bindparam("digests", expanding=True)), blobs.c.quarantined_at.is_(None)
)

BY_UID = Statement(
    select(repository_rows.c.id, repository_rows.c.updated_at).where(
        repository_rows.c.uid == bindparam("uid")
    )
)

# What was deleted with it, tags and manifests, follows in the journal.
RESTORED = delete(removed_repositories).where(removed_repositories.c.uid == bindparam("uid"))

SETTINGS = ("public", "description", "immutable_tags", "updated_at")

MANIFEST = Statement(
    select(manifest_rows.c.id).where(
        manifest_rows.c.repository_id == bindparam("repository_id"),
        manifest_rows.c.digest == bindparam("digest"),
    )
)
JOURNALED = Statement(
    update(manifest_rows).where(manifest_rows.c.id == bindparam("entered")).values(journaled=True)
)

POINTED = Statement(
    select(tag_history.c.id).where(
        tag_history.c.repository_id == bindparam("repository_id"),
        tag_history.c.name == bindparam("name"),
        tag_history.c.at == bindparam("at", type_=Double),
        func.coalesce(tag_history.c.digest, "") == bindparam("digest"),
    )
)

FORGET_REMOVAL = Statement(
    delete(removals_to_journal).where(
        removals_to_journal.c.repository_uid == bindparam("uid"),
        removals_to_journal.c.at == bindparam("at", type_=Double),
    )
)


def has_content(connection: Connection) -> bool:
    """Whether there is anything that was pushed."""
    kinds = [select(table.c.id).limit(1).subquery() for table in (repository_rows, blobs, manifest_rows)]
    return connection.execute(union_all(*(select(kind.c.id) for kind in kinds))).first() is not None


def find_blob(connection: Connection, digest: str) -> BlobRow | None:
    """A blob, in quarantine or not."""
    row = FIND.first(connection, {"digest": digest})
    return None if row is None else BlobRow(*row)


def enter_blob(
    connection: Connection, digest: str, size: int, location: str, until: float, now: float, lost: str | None
) -> bool:
    """Enter an object that was read. Until then it is kept, though nothing needs it. False: the digest has
    another object. `lost`: that object is not there, so this one takes its place."""
    row = blob_rows.record(connection, digest, size, location, until, now)
    if row.location != location and row.location == lost:
        HEAL.run(connection, {"wanted": row.id, "healthy": location, "true_size": size})
        DISCARD.run(connection, {"location": lost, "since": now, "size": None})
        row = row._replace(location=location)
    if row.location != location:
        return False
    EXAMINE.run(connection, {"wanted": row.id, "time": until})
    return True


def unlinked_blobs(connection: Connection, size: int) -> Sequence[BlobRow]:
    """The blobs of so many bytes that no repository has."""
    return [BlobRow(*row) for row in UNLINKED.all(connection, {"wanted_size": size})]


def rename_blob(connection: Connection, blob_id: int, digest: str) -> None:
    """Have a blob that no repository has under another digest of the same bytes."""
    RENAME.run(connection, {"wanted": blob_id, "other": digest})


def is_discarded(connection: Connection, location: str) -> bool:
    """Whether an object is about to be deleted."""
    return IS_DISCARDED.scalar(connection, {"location": location}) is not None


def blob_ids(connection: Connection, digests: Iterable[str]) -> dict[str, int]:
    """The ids of those of these blobs that can be read."""
    found: dict[str, int] = {}
    for batch in in_batches(sorted(digests)):
        found.update((digest, id) for digest, id in connection.execute(IDS, {"digests": batch}))
    return found


def enter_repository(connection: Connection, line: Mapping[str, Any]) -> int:
    """Have a repository with these settings, unless its own were changed later; its id. If it was deleted, it
    was restored then. One that somebody made under the same name since is taken for it."""
    values = {"name": line["name"], "uid": line["repository"], "created_at": line["created_at"]}
    settings = {name: line[name] for name in SETTINGS}
    row = BY_UID.first(connection, {"uid": line["repository"]})
    if row is not None:
        if (line["updated_at"] or 0) > (row[1] or 0):
            change = update(repository_rows).where(repository_rows.c.id == row[0])
            connection.execute(change.values(settings))
            access.bump(connection)
        return int(row[0])
    taken = repositories.find(connection, line["name"])
    if taken is not None:
        return taken
    connection.execute(RESTORED, {"uid": line["repository"]})
    made = insert(repository_rows).values(**values, **settings, journaled=True)
    return int(connection.execute(made.returning(repository_rows.c.id)).scalar_one())


def repository_of(connection: Connection, uid: str) -> int | None:
    """The id of the repository with this uid."""
    found: int | None = BY_UID.scalar(connection, {"uid": uid})
    return found


def manifest_of(connection: Connection, repository_id: int, digest: str) -> int | None:
    """The id of a manifest."""
    found: int | None = MANIFEST.scalar(connection, {"repository_id": repository_id, "digest": digest})
    return found


def settle(connection: Connection, manifest_id: int, held: Iterable[str]) -> None:
    """A manifest came from the journal, so it need not be written there; and it lacks none of these blobs."""
    JOURNALED.run(connection, {"entered": manifest_id})
    CAME.run_each(connection, [{"manifest": manifest_id, "wanted": digest} for digest in sorted(held)])


def remove_manifest(
    connection: Connection, repository_id: int, uid: str, line: Mapping[str, Any], *, keep: bool
) -> bool:
    """Delete a manifest as it was deleted then; False if it isn't there. Tags come later."""
    manifest_id = manifest_of(connection, repository_id, line["digest"])
    if manifest_id is None:
        return False
    connection.execute(delete(tags).where(tags.c.manifest_id == manifest_id))
    manifests.remove(connection, manifest_id, line["by"], line["at"], keep=keep)
    FORGET_REMOVAL.run(connection, {"uid": uid, "at": line["at"]})
    return True


def remove_repository(connection: Connection, uid: str, line: Mapping[str, Any], *, keep: bool) -> bool:
    """Delete a repository as it was deleted then; False if it isn't there."""
    repository_id = repository_of(connection, uid)
    if repository_id is None:
        return False
    repositories.remove(connection, repository_id, line["by"], line["at"], keep=keep)
    FORGET_REMOVAL.run(connection, {"uid": uid, "at": line["at"]})
    return True


def enter_history(connection: Connection, repository_id: int, line: Mapping[str, Any]) -> bool:
    """Note where a tag pointed; False if that is noted."""
    here = {"repository_id": repository_id, "name": line["name"], "at": line["at"]}
    if POINTED.scalar(connection, {**here, "digest": line["digest"] or ""}) is not None:
        return False
    values = {**here, "digest": line["digest"], "by": line["by"], "journaled": True}
    connection.execute(insert(tag_history).values(values))
    return True


def last_pointed(
    connection: Connection, repository_id: int, last: str | None, limit: int
) -> Sequence[LastPointed]:
    """Where at most `limit` tags after `last` pointed last, in the order of their names."""
    newest_first = (tag_history.c.at.desc(), tag_history.c.id.desc())
    place = func.row_number().over(partition_by=tag_history.c.name, order_by=newest_first)
    ranked = (
        select(tag_history.c.name, tag_history.c.digest, tag_history.c.at, place.label("place"))
        .where(tag_history.c.repository_id == repository_id, tag_history.c.name > (last or ""))
        .subquery()
    )
    newest = (
        select(ranked.c.name, ranked.c.digest, ranked.c.at)
        .where(ranked.c.place == 1)
        .order_by(ranked.c.name)
        .limit(limit)
    )
    return [LastPointed(*row) for row in connection.execute(newest)]


def set_tag(connection: Connection, repository_id: int, last: LastPointed) -> bool:
    """Have a tag point where it pointed last. False: that manifest is not here, and so the tag isn't."""
    here = (tags.c.repository_id == repository_id, tags.c.name == last.name)
    wanted = None if last.digest is None else manifest_of(connection, repository_id, last.digest)
    now = connection.execute(select(tags.c.manifest_id).where(*here)).scalar()
    if wanted is not None and now == wanted:
        return True
    connection.execute(delete(tags).where(*here))
    if wanted is not None:
        row = {"repository_id": repository_id, "name": last.name, "manifest_id": wanted}
        connection.execute(insert(tags).values(**row, updated_at=last.at))
    return wanted is not None or last.digest is None
