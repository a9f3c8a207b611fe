"""Users: what they have beyond other principals."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, insert, select, update

from auth.principals import Kind
from registry.index import access
from registry.index import principals as principal_rows
from registry.index.principals import PRINCIPAL, PrincipalRow, principal_row
from registry.index.ranges import page_by_name
from registry.index.statements import Row, Statement
from registry.index.tables import principals, users


class UserRow(NamedTuple):
    """A user. `source` is local or ldap; without a `password_hash` no password of ours lets him in;
    `checked_at` is when the directory was last asked about him; `password_set_at` when he last got another
    password than his first."""

    principal: PrincipalRow
    password_hash: str | None
    source: str
    signed_in_at: float | None
    checked_at: float | None
    password_set_at: float | None


USERS = select(
    *PRINCIPAL,
    users.c.password_hash,
    users.c.source,
    users.c.signed_in_at,
    users.c.checked_at,
    users.c.password_set_at,
).join(users, users.c.principal_id == principals.c.id)

FIND = Statement(
    USERS.where(principals.c.kind == Kind.USER.value, principals.c.name == bindparam("user_name"))
)

GET = Statement(USERS.where(principals.c.id == bindparam("id")))

CREATE = Statement(insert(users))

HERE = users.c.principal_id == bindparam("wanted")

SET_PASSWORD = Statement(
    update(users).where(HERE).values(password_hash=bindparam("new"), password_set_at=bindparam("time"))
)

RENEW_HASH = Statement(
    update(users)
    .where(HERE, users.c.password_hash == bindparam("old"))
    .values(password_hash=bindparam("new"))
)

NOTE_SIGN_IN = Statement(
    update(users)
    .where(HERE, users.c.signed_in_at.is_(None) | (users.c.signed_in_at < bindparam("time")))
    .values(signed_in_at=bindparam("time"))
)

NOTE_CHECK = Statement(update(users).where(HERE).values(checked_at=bindparam("time")))


def user_row(row: Row) -> UserRow:
    columns = len(PRINCIPAL)
    return UserRow(principal_row(row[:columns]), *row[columns:])


def find(connection: Connection, name: str) -> UserRow | None:
    """The user with this name."""
    row = FIND.first(connection, {"user_name": name})
    return None if row is None else user_row(row)


def get(connection: Connection, id: int) -> UserRow | None:
    """The user with this id; None also when it is another principal's."""
    row = GET.first(connection, {"id": id})
    return None if row is None else user_row(row)


def create(
    connection: Connection,
    name: str,
    password_hash: str | None,
    source: str,
    description: str,
    created_at: float,
    created_by: str,
) -> int | None:
    """Enter a user; the id of the principal, or None if the name is taken."""
    id = principal_rows.create(connection, Kind.USER, name, description, created_at, created_by)
    if id is not None:
        CREATE.run(connection, {"principal_id": id, "password_hash": password_hash, "source": source})
    return id


def page(
    connection: Connection, last: str | None, limit: int, search: str | None = None
) -> Sequence[UserRow]:
    """At most `limit` users after the name `last`, in byte order; those with `search` in their names."""
    statement = page_by_name(USERS, principals.c.name, last, limit, search)
    return [user_row(tuple(row)) for row in connection.execute(statement)]


def set_password(connection: Connection, id: int, password_hash: str | None, at: float) -> bool:
    """Give a user another password, or none. False: there is no such user."""
    return access.changed(
        connection, SET_PASSWORD.run(connection, {"wanted": id, "new": password_hash, "time": at})
    )


def renew_hash(connection: Connection, id: int, old: str | None, new: str) -> None:
    """Hash the same password in a better way, unless it was changed meanwhile."""
    RENEW_HASH.run(connection, {"wanted": id, "old": old, "new": new})


def note_sign_in(connection: Connection, sign_ins: Mapping[int, float]) -> None:
    """Note when users last signed in, by their ids."""
    for id, at in sorted(sign_ins.items()):
        NOTE_SIGN_IN.run(connection, {"wanted": id, "time": at})


def note_check(connection: Connection, id: int, at: float) -> None:
    """Note when the directory was last asked about a user."""
    NOTE_CHECK.run(connection, {"wanted": id, "time": at})
