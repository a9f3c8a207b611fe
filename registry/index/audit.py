"""The audit: who did what, from where, and how it ended."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, select, tuple_

from registry.index.statements import Row, Statement
from registry.index.tables import audit

LONGEST_TEXT = 512
"""Characters that are kept of each text: clients choose some of them."""


class AuditRow(NamedTuple):
    """An entry; `actor` is a principal as text, `result` is allowed, refused or failed, `detail` a JSON
    object. Before it is recorded its `id` means nothing."""

    id: int
    at: float
    request_id: str
    actor: str
    address: str
    action: str
    target: str | None
    result: str
    detail: Mapping[str, object]


ENTRY = (
    audit.c.id,
    audit.c.at,
    audit.c.request_id,
    audit.c.actor,
    audit.c.address,
    audit.c.action,
    audit.c.target,
    audit.c.result,
    audit.c.detail,
)

RECORD = Statement(insert(audit))

TIME_OF = Statement(select(audit.c.at).where(audit.c.id == bindparam("id")))

BEFORE = Statement(
    select(audit.c.id).where(audit.c.at < bindparam("time")).order_by(audit.c.at).limit(bindparam("limit"))
)

# Not by a subquery: PostgreSQL may read the whole table to delete a few of its rows.
REMOVE = delete(audit).where(audit.c.id.in_(bindparam("ids", expanding=True)))


def audit_row(row: Row) -> AuditRow:
    values = AuditRow(*row)
    return values._replace(detail=json.loads(str(values.detail or "{}")))


def record(connection: Connection, rows: Iterable[AuditRow]) -> None:
    """Enter rows; they get ids of their own. Texts are cut, and written so that any database takes them."""
    for row in rows:
        values = {
            "at": row.at,
            "request_id": storable(row.request_id),
            "actor": storable(row.actor),
            "address": storable(row.address),
            "action": storable(row.action),
            "target": None if row.target is None else storable(row.target),
            "result": row.result,
            "detail": json.dumps(dict(row.detail)) if row.detail else None,
        }
        RECORD.run(connection, values)


def storable(text: str) -> str:
    r"""A client's text as a database takes it: NUL and what is no Unicode are written as \x00, \udc80."""
    encodable = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return encodable.replace("\0", "\\x00")[:LONGEST_TEXT]


def page(
    connection: Connection,
    *,
    since: float | None = None,
    until: float | None = None,
    actor: str | None = None,
    action: str | None = None,
    target: str | None = None,
    result: str | None = None,
    before: int | None = None,
    limit: int,
) -> Sequence[AuditRow]:
    """At most `limit` entries, the newest first, those that come behind the entry with the id `before`.

    From `since` on, `until` not included; the others must be equal. What comes behind an entry that expired
    has expired as well.
    """
    statement = select(*ENTRY).order_by(audit.c.at.desc(), audit.c.id.desc()).limit(limit)
    equal = {audit.c.actor: actor, audit.c.action: action, audit.c.target: target, audit.c.result: result}
    for column, value in equal.items():
        if value is not None:
            statement = statement.where(column == storable(value))
    if since is not None:
        statement = statement.where(audit.c.at >= since)
    if until is not None:
        statement = statement.where(audit.c.at < until)
    if before is not None:
        at = TIME_OF.scalar(connection, {"id": before})
        if at is None:
            return []
        statement = statement.where(tuple_(audit.c.at, audit.c.id) < tuple_(at, before))
    return [audit_row(tuple(row)) for row in connection.execute(statement)]


def remove_before(connection: Connection, at: float, limit: int) -> int:
    """Delete up to `limit` entries from before then, the oldest first; how many."""
    ids = [id for (id,) in BEFORE.all(connection, {"time": at, "limit": limit})]
    return connection.execute(REMOVE, {"ids": ids}).rowcount if ids else 0
