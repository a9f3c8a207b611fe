"""Upload sessions: what came so far, where it waits, and who is adding to it."""

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select, update

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


def upload_row(row: Sequence[object]) -> UploadRow:
    values = UploadRow(*row)  # type: ignore[arg-type] # a row of UPLOAD's columns
    return values._replace(state=json.loads(str(values.state)))


def create(
    connection: Connection,
    upload_id: str,
    repository: str,
    algorithm: str,
    state: Mapping[str, str | int | None],
    now: float,
    expires_at: float,
) -> None:
    """Open a session."""
    connection.execute(
        insert(uploads).values(
            id=upload_id,
            repository=repository,
            algorithm=algorithm,
            offset=0,
            state=json.dumps(dict(state)),
            claim_until=0.0,
            created_at=now,
            expires_at=expires_at,
        )
    )


def find(connection: Connection, repository: str, upload_id: str) -> UploadRow | None:
    """A session of this repository, ended ones included."""
    statement = select(*UPLOAD).where(uploads.c.id == upload_id, uploads.c.repository == repository)
    row = connection.execute(statement).first()
    return None if row is None else upload_row(row)


def claim(
    connection: Connection, repository: str, upload_id: str, claimant: str, now: float, until: float
) -> UploadRow | None:
    """Make a running session the claimant's, unless somebody else holds it.

    The row as it is then: the caller looks whether `claim` is its own. None: no such session.
    """
    free = uploads.c.claim.is_(None) | (uploads.c.claim_until < now)
    statement = update(uploads).where(
        uploads.c.id == upload_id,
        uploads.c.repository == repository,
        uploads.c.finished.is_(None),
        free,
    )
    row = connection.execute(statement.values(claim=claimant, claim_until=until).returning(*UPLOAD)).first()
    return find(connection, repository, upload_id) if row is None else upload_row(row)


def renew_claim(connection: Connection, upload_id: str, claimant: str, until: float) -> bool:
    """Hold on to a claim. False: it is not the claimant's any more."""
    statement = update(uploads).where(uploads.c.id == upload_id, uploads.c.claim == claimant)
    return connection.execute(statement.values(claim_until=until)).rowcount > 0


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
    statement = update(uploads).where(uploads.c.id == upload_id, uploads.c.claim == claimant)
    values = {
        "offset": offset,
        "state": json.dumps(dict(state)),
        "prefix_digest": prefix_digest,
        "claim": None,
        "expires_at": expires_at,
    }
    return connection.execute(statement.values(values)).rowcount > 0


def finish(connection: Connection, upload_id: str, claimant: str, digest: str, expires_at: float) -> bool:
    """Leave a tombstone that tells a repeated PUT what the session became. False: the claim was lost."""
    statement = update(uploads).where(uploads.c.id == upload_id, uploads.c.claim == claimant)
    values = {"finished": digest, "claim": None, "expires_at": expires_at}
    return connection.execute(statement.values(values)).rowcount > 0


def remove(connection: Connection, repository: str, upload_id: str) -> UploadRow | None:
    """End a session without a trace; the row as it was. Tombstones stay."""
    statement = delete(uploads).where(
        uploads.c.id == upload_id, uploads.c.repository == repository, uploads.c.finished.is_(None)
    )
    row = connection.execute(statement.returning(*UPLOAD)).first()
    return None if row is None else upload_row(row)


def take_expired(connection: Connection, now: float, limit: int) -> Sequence[UploadRow]:
    """Remove up to `limit` sessions and tombstones whose time is over and that nobody is adding to."""
    over = select(uploads.c.id).where(uploads.c.expires_at < now, uploads.c.claim_until < now).limit(limit)
    rows = connection.execute(delete(uploads).where(uploads.c.id.in_(over)).returning(*UPLOAD)).all()
    return [upload_row(row) for row in rows]
