"""Upload sessions: what came so far, where it waits, and who is adding to it."""

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from registry.index.statements import Row, Statement
from registry.index.tables import uploads


class UploadRow(NamedTuple):
    """A session. `offset` is in bytes; `state` is the storage driver's; `finished` is a digest."""

    id: str
    repository: str
    algorithm: str
    offset: int
    state: Mapping[str, str | int | None]
    prefix_digest: str | None
    claim: str | None
    claim_until: float
    finished: str | None


UPLOAD = (
    uploads.c.id,
    uploads.c.repository,
    uploads.c.algorithm,
    uploads.c.offset,
    uploads.c.state,
    uploads.c.prefix_digest,
    uploads.c.claim,
    uploads.c.claim_until,
    uploads.c.finished,
)


class UploadSummary(NamedTuple):
    """A running session as administrators see it. `offset` is in bytes, `created_by` a principal as text."""

    id: str
    repository: str
    offset: int
    created_by: str | None
    created_at: float
    expires_at: float


NOWHERE = ""
"""The repository of sessions whose own was removed: nobody finds them there, and they have expired."""

CREATE = Statement(insert(uploads))

FIND = Statement(
    select(*UPLOAD).where(
        uploads.c.id == bindparam("upload"), uploads.c.repository == bindparam("of_repository")
    )
)

CLAIM = Statement(
    update(uploads)
    .where(
        uploads.c.id == bindparam("upload"),
        uploads.c.repository == bindparam("of_repository"),
        uploads.c.finished.is_(None),
        uploads.c.claim.is_(None) | (uploads.c.claim_until < bindparam("now")),
    )
    .values(claim=bindparam("claimant"), claim_until=bindparam("until"))
    .returning(*UPLOAD)
)

CLAIMED = update(uploads).where(uploads.c.id == bindparam("upload"), uploads.c.claim == bindparam("claimant"))

EXISTS = Statement(select(uploads.c.id).where(uploads.c.id == bindparam("upload")))

RENEW = Statement(CLAIMED.values(claim_until=bindparam("until")))

ADVANCE = Statement(
    CLAIMED.values(
        offset=bindparam("end"),
        state=bindparam("new_state"),
        prefix_digest=bindparam("digest"),
        claim=None,
        expires_at=bindparam("expiry"),
    )
)

FINISH = Statement(CLAIMED.values(finished=bindparam("digest"), claim=None, expires_at=bindparam("expiry")))

REMOVE = Statement(
    delete(uploads)
    .where(
        uploads.c.id == bindparam("upload"),
        uploads.c.repository == bindparam("of_repository"),
        uploads.c.finished.is_(None),
    )
    .returning(*UPLOAD)
)

ABANDON = Statement(
    update(uploads)
    .where(uploads.c.repository == bindparam("of_repository"), uploads.c.finished.is_(None))
    .values(repository=NOWHERE, claim=None, claim_until=0.0, expires_at=0.0)
)

REMOVE_FINISHED = Statement(delete(uploads).where(uploads.c.repository == bindparam("of_repository")))

STATES = Statement(select(uploads.c.offset, uploads.c.state).where(uploads.c.finished.is_(None)))

RUNNING = (
    select(
        uploads.c.id,
        uploads.c.repository,
        uploads.c.offset,
        uploads.c.created_by,
        uploads.c.created_at,
        uploads.c.expires_at,
    )
    .where(uploads.c.finished.is_(None), uploads.c.repository != NOWHERE)
    .order_by(uploads.c.id)
)

HAS_EXPIRED = (uploads.c.expires_at < bindparam("now")) & (
    uploads.c.claim.is_(None) | (uploads.c.claim_until < bindparam("now"))
)
EXPIRED = Statement(
    select(uploads.c.id).where(HAS_EXPIRED).order_by(uploads.c.expires_at).limit(bindparam("limit"))
)

# Not by a subquery: PostgreSQL may read the whole table to delete a few of its rows.
TAKE = (
    delete(uploads).where(uploads.c.id.in_(bindparam("ids", expanding=True)), HAS_EXPIRED).returning(*UPLOAD)
)


def upload_row(row: Row) -> UploadRow:
    values = UploadRow(*row)
    return values._replace(state=json.loads(str(values.state)))


def create(
    connection: Connection,
    upload_id: str,
    repository: str,
    algorithm: str,
    state: Mapping[str, str | int | None],
    now: float,
    expires_at: float,
    by: str | None = None,
) -> None:
    """Open a session. `by` is a principal as text."""
    values = {
        "id": upload_id,
        "repository": repository,
        "algorithm": algorithm,
        "offset": 0,
        "state": json.dumps(dict(state)),
        "claim_until": 0.0,
        "created_by": by,
        "created_at": now,
        "expires_at": expires_at,
    }
    CREATE.run(connection, values)


def find(connection: Connection, repository: str, upload_id: str) -> UploadRow | None:
    """A session of this repository, ended ones included."""
    row = FIND.first(connection, {"upload": upload_id, "of_repository": repository})
    return None if row is None else upload_row(row)


def claim(
    connection: Connection, repository: str, upload_id: str, claimant: str, now: float, until: float
) -> tuple[UploadRow | None, bool]:
    """Make a running session the claimant's, unless somebody else holds it.

    The row as it is then: the caller looks whether `claim` is its own. None: no such session. And whether
    the claim was taken from somebody who did not renew it.
    """
    before = find(connection, repository, upload_id)
    values = {
        "upload": upload_id,
        "of_repository": repository,
        "claimant": claimant,
        "now": now,
        "until": until,
    }
    row = CLAIM.first(connection, values)
    if row is None:
        return before, False
    return upload_row(row), before is not None and before.claim is not None


def exists(connection: Connection, upload_id: str) -> bool:
    """Whether a session has not been removed."""
    return EXISTS.scalar(connection, {"upload": upload_id}) is not None


def renew_claim(connection: Connection, upload_id: str, claimant: str, until: float) -> bool:
    """Hold on to a claim. False: it is not the claimant's any more."""
    values = {"upload": upload_id, "claimant": claimant, "until": until}
    return RENEW.run(connection, values) > 0


def advance(
    connection: Connection,
    upload_id: str,
    claimant: str,
    offset: int,
    state: Mapping[str, str | int | None],
    prefix_digest: str | None,
    expires_at: float,
) -> bool:
    """Note what is durable now, and give the claim back. False: the claim was lost, nothing is noted."""
    values = {
        "upload": upload_id,
        "claimant": claimant,
        "end": offset,
        "new_state": json.dumps(dict(state)),
        "digest": prefix_digest,
        "expiry": expires_at,
    }
    return ADVANCE.run(connection, values) > 0


def finish(connection: Connection, upload_id: str, claimant: str, digest: str, expires_at: float) -> bool:
    """Leave a tombstone that tells a repeated PUT what the session became. False: the claim was lost."""
    values = {"upload": upload_id, "claimant": claimant, "digest": digest, "expiry": expires_at}
    return FINISH.run(connection, values) > 0


def remove(connection: Connection, repository: str, upload_id: str) -> UploadRow | None:
    """End a session without a trace; the row as it was. Tombstones stay."""
    row = REMOVE.first(connection, {"upload": upload_id, "of_repository": repository})
    return None if row is None else upload_row(row)


def page(connection: Connection, last: str | None, limit: int) -> Sequence[UploadSummary]:
    """At most `limit` running sessions of all repositories after the id `last`."""
    statement = RUNNING.limit(limit)
    if last is not None:
        statement = statement.where(uploads.c.id > last)
    return [UploadSummary(*row) for row in connection.execute(statement)]


def get(connection: Connection, upload_id: str) -> UploadSummary | None:
    """A running session of any repository."""
    row = connection.execute(RUNNING.where(uploads.c.id == upload_id)).first()
    return None if row is None else UploadSummary(*row)


def states(connection: Connection) -> Sequence[tuple[int, Mapping[str, str | int | None]]]:
    """(offset, the storage driver's state) of each session that has not ended."""
    return [(int(offset), json.loads(str(state))) for offset, state in STATES.all(connection, {})]


def abandon(connection: Connection, repository: str) -> None:
    """End the sessions of a repository that is removed. Whoever is adding to one loses his claim; the rows
    stay, out of reach, until `take_expired` hands out what is to be dropped."""
    ABANDON.run(connection, {"of_repository": repository})
    REMOVE_FINISHED.run(connection, {"of_repository": repository})


def take_expired(connection: Connection, now: float, limit: int) -> Sequence[UploadRow]:
    """Remove up to `limit` sessions and tombstones whose time is over and that nobody is adding to."""
    ids = [id for (id,) in EXPIRED.all(connection, {"now": now, "limit": limit})]
    if not ids:
        return []
    return [upload_row(tuple(row)) for row in connection.execute(TAKE, {"ids": ids, "now": now})]
