"""Credentials: the opaque secrets by which somebody signs in without a password. Only hashes are kept."""

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from auth.principals import Kind, Principal
from registry.index import access
from registry.index.statements import Row, Statement
from registry.index.tables import credentials, principals


class CredentialRow(NamedTuple):
    """A credential with its owner; `disabled` is the owner's. `kind` is refresh, personal or robot.

    Without `repositories` (patterns) or `addresses` (networks) it is not limited in that. `parent_id` is the
    credential by which a refresh token was got.
    """

    id: int
    principal_id: int
    principal: Principal
    disabled: bool
    kind: str
    description: str
    read_only: bool
    repositories: tuple[str, ...]
    addresses: tuple[str, ...]
    created_at: float
    expires_at: float | None
    used_at: float | None
    parent_id: int | None


CREDENTIALS = select(
    credentials.c.id,
    credentials.c.principal_id,
    principals.c.kind,
    principals.c.name,
    principals.c.disabled,
    credentials.c.kind,
    credentials.c.description,
    credentials.c.read_only,
    credentials.c.repositories,
    credentials.c.addresses,
    credentials.c.created_at,
    credentials.c.expires_at,
    credentials.c.used_at,
    credentials.c.parent_id,
).join(principals, principals.c.id == credentials.c.principal_id)

FIND_BY_HASH = Statement(CREDENTIALS.where(credentials.c.hash == bindparam("hash")))

GET = Statement(CREDENTIALS.where(credentials.c.id == bindparam("id")))

OF_PRINCIPAL = Statement(
    CREDENTIALS.where(credentials.c.principal_id == bindparam("owner")).order_by(credentials.c.id)
)

CREATE = Statement(insert(credentials).returning(credentials.c.id))

SET_EXPIRY = Statement(
    update(credentials).where(credentials.c.id == bindparam("wanted")).values(expires_at=bindparam("expiry"))
)

NOTE_USED = Statement(
    update(credentials)
    .where(
        credentials.c.id == bindparam("wanted"),
        credentials.c.used_at.is_(None) | (credentials.c.used_at < bindparam("time")),
    )
    .values(used_at=bindparam("time"))
)

REMOVE = Statement(delete(credentials).where(credentials.c.id == bindparam("id")))

OF_KIND = (credentials.c.principal_id == bindparam("owner")) & (
    credentials.c.kind == bindparam("wanted_kind")
)
REMOVE_OLDEST = Statement(
    delete(credentials).where(
        OF_KIND,
        credentials.c.id
        <= select(credentials.c.id)
        .where(OF_KIND)
        .order_by(credentials.c.id.desc())
        .offset(bindparam("keep"))
        .limit(1)
        .scalar_subquery(),
    )
)

REMOVE_EXPIRED = Statement(delete(credentials).where(credentials.c.expires_at <= bindparam("now")))


def credential_row(row: Row) -> CredentialRow:
    id, principal_id, owner_kind, owner_name, disabled, kind, description, read_only, *rest = row
    repositories, addresses, *times_and_parent = rest
    return CredentialRow(
        id,
        principal_id,
        Principal(Kind(owner_kind), owner_name),
        bool(disabled),
        kind,
        description,
        bool(read_only),
        tuple(json.loads(repositories)),
        tuple(json.loads(addresses)),
        *times_and_parent,
    )


def find_by_hash(connection: Connection, hash: str) -> CredentialRow | None:
    """The credential whose secret has this hash. Whether it still counts is the caller's question."""
    row = FIND_BY_HASH.first(connection, {"hash": hash})
    return None if row is None else credential_row(row)


def get(connection: Connection, id: int) -> CredentialRow | None:
    """The credential with this id."""
    row = GET.first(connection, {"id": id})
    return None if row is None else credential_row(row)


def of_principal(connection: Connection, principal_id: int) -> Sequence[CredentialRow]:
    """All credentials of a principal, the oldest first."""
    return [credential_row(row) for row in OF_PRINCIPAL.all(connection, {"owner": principal_id})]


def create(
    connection: Connection,
    principal_id: int,
    kind: str,
    hash: str,
    description: str,
    read_only: bool,
    repositories: Sequence[str],
    addresses: Sequence[str],
    created_at: float,
    expires_at: float | None,
    parent_id: int | None,
) -> int:
    """Enter a credential; its id. Nobody has less by it, so the epoch stays."""
    values = {
        "principal_id": principal_id,
        "kind": str(kind),
        "hash": hash,
        "description": description,
        "read_only": read_only,
        "repositories": json.dumps(list(repositories)),
        "addresses": json.dumps(list(addresses)),
        "created_at": created_at,
        "expires_at": expires_at,
        "parent_id": parent_id,
    }
    return int(CREATE.scalar(connection, values))


def set_expiry(connection: Connection, id: int, expires_at: float | None) -> bool:
    """Say anew how long a credential lives. False: it was gone."""
    return access.changed(connection, SET_EXPIRY.run(connection, {"wanted": id, "expiry": expires_at}))


def note_used(connection: Connection, uses: Mapping[int, float]) -> None:
    """Note when credentials were last used, by their ids."""
    for id, at in sorted(uses.items()):
        NOTE_USED.run(connection, {"wanted": id, "time": at})


def remove(connection: Connection, id: int) -> bool:
    """Delete a credential with those that were got by it. False: it was gone."""
    return access.changed(connection, REMOVE.run(connection, {"id": id}))


def remove_oldest(connection: Connection, principal_id: int, kind: str, keep: int) -> None:
    """Delete a principal's credentials of a kind but for the newest `keep`."""
    values = {"owner": principal_id, "wanted_kind": kind, "keep": keep}
    if REMOVE_OLDEST.run(connection, values):
        access.bump(connection)


def remove_expired(connection: Connection, now: float) -> int:
    """Delete the credentials whose time is over, with those that were got by them; how many had expired."""
    removed = REMOVE_EXPIRED.run(connection, {"now": now})
    if removed:
        access.bump(connection)
    return removed
