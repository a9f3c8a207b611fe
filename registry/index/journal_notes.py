"""What the journal has to be told of, because nothing of it is left: deletions.

In the transactions that delete; `registry.index.journal` reads it.
"""

from sqlalchemy import Connection, Double, String, bindparam, insert, null, select, update

from registry.index.statements import Statement
from registry.index.tables import manifests, repositories
from registry.index.upkeep_tables import removals_to_journal

REMOVED = ("repository_uid", "digest", "at", "by")
STAMP = (bindparam("moment", type_=Double), bindparam("who", type_=String))

NOTE_REMOVED_MANIFEST = Statement(
    insert(removals_to_journal).from_select(
        REMOVED,
        select(repositories.c.uid, manifests.c.digest, *STAMP)
        .join(manifests, manifests.c.repository_id == repositories.c.id)
        .where(manifests.c.id == bindparam("going")),
    )
)
NOTE_REMOVED_REPOSITORY = Statement(
    insert(removals_to_journal).from_select(
        REMOVED, select(repositories.c.uid, null(), *STAMP).where(repositories.c.id == bindparam("going"))
    )
)

AGAIN = Statement(update(manifests).where(manifests.c.id == bindparam("changed")).values(journaled=False))


def removed_manifest(connection: Connection, manifest_id: int, by: str | None, now: float) -> None:
    """A manifest is going to be deleted."""
    NOTE_REMOVED_MANIFEST.run(connection, {"going": manifest_id, "moment": now, "who": by})


def removed_repository(connection: Connection, repository_id: int, by: str | None, now: float) -> None:
    """A repository is going to be deleted, with all that is in it."""
    NOTE_REMOVED_REPOSITORY.run(connection, {"going": repository_id, "moment": now, "who": by})


def changed_manifest(connection: Connection, manifest_id: int) -> None:
    """What a manifest lacks is not what the journal says."""
    AGAIN.run(connection, {"changed": manifest_id})
