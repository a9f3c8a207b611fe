"""Objects in the storage that hold rows of the index: backups, and the journal."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, func, select

from registry.index.blobs import DISCARD
from registry.index.statements import Statement
from registry.index.upkeep_tables import index_copies


class CopyRow(NamedTuple):
    """An object with what happened from `since` to `until`, or with a state: then both are its time.
    `size` is in bytes, `lines` are rows."""

    location: str
    kind: str
    since: float
    until: float
    size: int
    lines: int


COPY = (
    index_copies.c.location,
    index_copies.c.kind,
    index_copies.c.since,
    index_copies.c.until,
    index_copies.c.size,
    index_copies.c.lines,
)

ENTER = Statement(lambda insert: insert(index_copies).on_conflict_do_nothing())
OF_KIND = Statement(
    select(*COPY)
    .where(index_copies.c.kind == bindparam("wanted"))
    .order_by(index_copies.c.until, index_copies.c.location)
)
LAST = Statement(select(func.max(index_copies.c.until)).where(index_copies.c.kind == bindparam("wanted")))
FORGET = Statement(
    delete(index_copies).where(index_copies.c.location == bindparam("place")).returning(index_copies.c.size)
)


def enter(connection: Connection, row: CopyRow) -> None:
    """Note an object. Idempotent."""
    ENTER.run(connection, row._asdict())


def of_kind(connection: Connection, kind: str) -> Sequence[CopyRow]:
    """All of a kind, the oldest first."""
    return [CopyRow(*row) for row in OF_KIND.all(connection, {"wanted": kind})]


def last(connection: Connection, kind: str) -> float:
    """The end of the newest of a kind; 0 without any."""
    return float(LAST.scalar(connection, {"wanted": kind}) or 0)


def discard(connection: Connection, locations: Sequence[str], now: float) -> None:
    """Forget objects, and leave their bytes to the collector."""
    for location in locations:
        row = FORGET.first(connection, {"place": location})
        if row is not None:
            DISCARD.run(connection, {"location": location, "since": now, "size": row[0]})
