"""Grants: which principal has which role on which repositories."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import BigInteger, Connection, bindparam, delete, select, union_all

from auth.grants import Grant
from auth.patterns import RepositoryPattern
from auth.principals import Kind, Principal
from auth.roles import Role
from registry.index import access
from registry.index.ranges import beginning
from registry.index.statements import Row, Statement
from registry.index.tables import grants, group_members, principals


class GrantRow(NamedTuple):
    """A grant with the principal that has it. `created_by` is a principal as text."""

    id: int
    principal_kind: Kind
    principal_name: str
    role: Role
    pattern: RepositoryPattern
    created_at: float
    created_by: str


GRANTS = select(
    grants.c.id,
    principals.c.kind,
    principals.c.name,
    grants.c.role,
    grants.c.pattern,
    grants.c.created_at,
    grants.c.created_by,
).join(principals, principals.c.id == grants.c.principal_id)

PRINCIPAL_ID = bindparam("principal_id", type_=BigInteger)

# A group without grants has a row too: whoever asks learns all groups. One set of ids and not "this one or
# its groups", for which PostgreSQL reads all principals.
OF_IDENTITY = Statement(
    select(principals.c.kind, principals.c.name, grants.c.id, grants.c.role, grants.c.pattern)
    .outerjoin(grants, grants.c.principal_id == principals.c.id)
    .where(
        principals.c.id.in_(
            union_all(
                select(PRINCIPAL_ID),
                select(group_members.c.group_id).where(group_members.c.member_id == PRINCIPAL_ID),
            )
        ),
        (principals.c.id == PRINCIPAL_ID) | principals.c.disabled.is_(False),
    )
    .order_by(grants.c.id)
)

FIND = Statement(
    select(grants.c.id).where(
        grants.c.principal_id == bindparam("principal_id"),
        grants.c.role == bindparam("role"),
        grants.c.pattern == bindparam("pattern"),
    )
)

GET = Statement(GRANTS.where(grants.c.id == bindparam("id")))

ADD = Statement(lambda insert: insert(grants).on_conflict_do_nothing().returning(grants.c.id))

REMOVE = Statement(delete(grants).where(grants.c.id == bindparam("id")))


def grant_row(row: Row) -> GrantRow:
    id, kind, name, role, pattern, created_at, created_by = row
    return GrantRow(id, Kind(kind), name, Role(role), RepositoryPattern(pattern), created_at, created_by)


def of_identity(connection: Connection, principal_id: int) -> tuple[list[Grant], list[str]]:
    """The grants to a principal and to its groups, and the names of these groups. A disabled group gives
    nothing; whether the principal itself is disabled is the caller's question."""
    given: list[Grant] = []
    groups: set[str] = set()
    for kind, name, id, role, pattern in OF_IDENTITY.all(connection, {"principal_id": principal_id}):
        principal = Principal(Kind(kind), name)
        if principal.kind is Kind.GROUP:
            groups.add(name)
        if id is not None:
            given.append(Grant.of(id, principal, Role(role), RepositoryPattern(pattern)))
    return given, sorted(groups)


def add(
    connection: Connection,
    principal_id: int,
    role: Role,
    pattern: RepositoryPattern,
    created_at: float,
    created_by: str,
) -> int:
    """The id of a grant that is there from now on."""
    key = {"principal_id": principal_id, "role": role.value, "pattern": pattern.text}
    found: int | None = FIND.scalar(connection, key)
    if found is None:
        found = ADD.scalar(connection, {**key, "created_at": created_at, "created_by": created_by})
        if found is None:  # somebody else added it in between
            found = FIND.scalar(connection, key)
        access.bump(connection)
    assert found is not None
    return found


def get(connection: Connection, id: int) -> GrantRow | None:
    """The grant with this id."""
    row = GET.first(connection, {"id": id})
    return None if row is None else grant_row(row)


def page(
    connection: Connection,
    last: int | None,
    limit: int,
    principal_id: int | None = None,
    prefix: str = "",
) -> Sequence[GrantRow]:
    """At most `limit` grants after the id `last`, the oldest first; those to a principal, and those whose
    patterns begin with `prefix`."""
    statement = GRANTS.order_by(grants.c.id).limit(limit)
    if last is not None:
        statement = statement.where(grants.c.id > last)
    if principal_id is not None:
        statement = statement.where(grants.c.principal_id == principal_id)
    if prefix:
        statement = statement.where(beginning(grants.c.pattern, prefix))
    return [grant_row(tuple(row)) for row in connection.execute(statement)]


def remove(connection: Connection, id: int) -> bool:
    """Take a grant away. False: it was gone."""
    return access.changed(connection, REMOVE.run(connection, {"id": id}))
