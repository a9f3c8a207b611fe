"""Principals: the users, robots and groups that may be granted roles."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, select, update

from auth.principals import Kind, Principal
from registry.index import access
from registry.index.ranges import page_by_name
from registry.index.statements import Row, Statement
from registry.index.tables import principals


class PrincipalRow(NamedTuple):
    """A user, robot or group. `created_by` is a principal as text. Ids are never used again."""

    id: int
    kind: Kind
    name: str
    description: str
    disabled: bool
    created_at: float
    created_by: str


PRINCIPAL = (
    principals.c.id,
    principals.c.kind,
    principals.c.name,
    principals.c.description,
    principals.c.disabled,
    principals.c.created_at,
    principals.c.created_by,
)

FIND = Statement(
    select(*PRINCIPAL).where(principals.c.kind == bindparam("kind"), principals.c.name == bindparam("name"))
)

GET = Statement(select(*PRINCIPAL).where(principals.c.id == bindparam("id")))

CREATE = Statement(lambda insert: insert(principals).on_conflict_do_nothing().returning(principals.c.id))

SET_DISABLED = Statement(
    update(principals)
    .where(principals.c.id == bindparam("wanted"), principals.c.disabled != bindparam("now_disabled"))
    .values(disabled=bindparam("now_disabled"))
)

DESCRIBE = Statement(
    update(principals).where(principals.c.id == bindparam("wanted")).values(description=bindparam("text"))
)

REMOVE = Statement(delete(principals).where(principals.c.id == bindparam("id")))


def principal_row(row: Row) -> PrincipalRow:
    values = PrincipalRow(*row)
    return values._replace(kind=Kind(values.kind), disabled=bool(values.disabled))


def find(connection: Connection, principal: Principal) -> PrincipalRow | None:
    """The row of a principal."""
    row = FIND.first(connection, {"kind": principal.kind.value, "name": principal.name})
    return None if row is None else principal_row(row)


def get(connection: Connection, id: int) -> PrincipalRow | None:
    """The row with this id."""
    row = GET.first(connection, {"id": id})
    return None if row is None else principal_row(row)


def create(
    connection: Connection, kind: Kind, name: str, description: str, created_at: float, created_by: str
) -> int | None:
    """Enter a principal; its id, or None if the name is taken. A user needs more: see `users.create`."""
    values = {
        "kind": kind.value,
        "name": name,
        "description": description,
        "disabled": False,
        "created_at": created_at,
        "created_by": created_by,
    }
    created: int | None = CREATE.scalar(connection, values)
    if created is not None:
        access.bump(connection)
    return created


def page(
    connection: Connection, kind: Kind, last: str | None, limit: int, search: str | None = None
) -> Sequence[PrincipalRow]:
    """At most `limit` of a kind after the name `last`, in byte order; those with `search` in their names."""
    of_kind = select(*PRINCIPAL).where(principals.c.kind == kind.value)
    statement = page_by_name(of_kind, principals.c.name, last, limit, search)
    return [principal_row(tuple(row)) for row in connection.execute(statement)]


def set_disabled(connection: Connection, id: int, disabled: bool) -> bool:
    """Shut a principal out, or let it in again. False: it was so already, or is gone."""
    return access.changed(connection, SET_DISABLED.run(connection, {"wanted": id, "now_disabled": disabled}))


def describe(connection: Connection, id: int, description: str) -> bool:
    """Write a description. False: there is no such principal."""
    return DESCRIBE.run(connection, {"wanted": id, "text": description}) > 0


def remove(connection: Connection, id: int) -> bool:
    """Delete a principal with its grants, memberships and credentials. False: it was gone."""
    return access.changed(connection, REMOVE.run(connection, {"id": id}))
