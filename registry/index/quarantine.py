"""Quarantine: a blob whose stored bytes are wrong or gone counts as not there until somebody pushes it again.

It keeps its row, its links and its size: what needs it goes on needing it, and a push heals it everywhere.
"""

import secrets
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, ScalarSelect, bindparam, func, select, update

from registry.index.blobs import BLOB, BlobRow
from registry.index.statements import Statement
from registry.index.tables import blobs, repositories, repository_blobs


class QuarantinedRow(NamedTuple):
    """A blob in quarantine, and how many repositories hold it, of which `repository` is one."""

    id: int
    digest: str
    size: int
    location: str
    quarantined_at: float
    repositories: int
    repository: str | None


# By location: whoever pushed the blob meanwhile gave it another one.
OF_OBJECT = (blobs.c.id == bindparam("wanted"), blobs.c.location == bindparam("object"))

QUARANTINE = Statement(
    update(blobs)
    .where(*OF_OBJECT)
    .values(quarantined_at=func.coalesce(blobs.c.quarantined_at, bindparam("time")))
)
RELEASE = Statement(
    update(blobs).where(*OF_OBJECT, blobs.c.quarantined_at.is_not(None)).values(quarantined_at=None)
)

OTHERS = Statement(
    select(*BLOB)
    .where(
        blobs.c.id != bindparam("id"),
        blobs.c.quarantined_at.is_(None),
        blobs.c.size > 0,
        blobs.c.digest >= bindparam("first"),
    )
    .order_by(blobs.c.digest)
    .limit(bindparam("limit"))
)


def of_holders(column: ColumnElement[Any]) -> ScalarSelect[Any]:
    """Something of the repositories that hold a blob."""
    return (
        select(column)
        .select_from(repositories)
        .join(repository_blobs, repository_blobs.c.repository_id == repositories.c.id)
        .where(repository_blobs.c.blob_id == blobs.c.id)
        .scalar_subquery()
    )


PAGE = Statement(
    select(
        blobs.c.id,
        blobs.c.digest,
        blobs.c.size,
        blobs.c.location,
        blobs.c.quarantined_at,
        of_holders(func.count()),
        of_holders(func.min(repositories.c.name)),
    )
    .where(blobs.c.quarantined_at.is_not(None), blobs.c.id > bindparam("last"))
    .order_by(blobs.c.id)
    .limit(bindparam("limit"))
)

COUNT = Statement(select(func.count()).select_from(blobs).where(blobs.c.quarantined_at.is_not(None)))


def begin(connection: Connection, blob_id: int, location: str, now: float) -> bool:
    """Put a blob into quarantine, where it may be already. False: its bytes lie elsewhere by now, or it is
    gone."""
    return QUARANTINE.run(connection, {"wanted": blob_id, "object": location, "time": now}) > 0


def end(connection: Connection, blob_id: int, location: str) -> bool:
    """Let a blob count again whose bytes were found right. False: it counts, or is gone."""
    return RELEASE.run(connection, {"wanted": blob_id, "object": location}) > 0


def others(connection: Connection, blob_id: int, limit: int) -> Sequence[BlobRow]:
    """Some blobs that have bytes and count, without this one: others each time, and of any age, for those of
    one day may be lost together."""
    found: dict[str, BlobRow] = {}
    for first in (f"sha256:{secrets.token_hex(8)}", ""):
        rows = OTHERS.all(connection, {"id": blob_id, "limit": limit - len(found), "first": first})
        found |= {row.digest: row for row in (BlobRow(*values) for values in rows)}
        if len(found) == limit:
            break
    return list(found.values())


def page(connection: Connection, last: int | None, limit: int) -> Sequence[QuarantinedRow]:
    """At most `limit` blobs in quarantine after the id `last`."""
    return [QuarantinedRow(*row) for row in PAGE.all(connection, {"last": last or 0, "limit": limit})]


def count(connection: Connection) -> int:
    """How many blobs are in quarantine."""
    return int(COUNT.scalar(connection, {}))
