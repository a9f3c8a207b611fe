"""Groups: principals whose grants count for their members. A group in a group gives nothing."""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, bindparam, delete, select

from auth.principals import Kind
from registry.index import access
from registry.index.principals import PRINCIPAL, PrincipalRow, principal_row
from registry.index.statements import Statement
from registry.index.tables import group_members, principals

LOCAL = "local"
DIRECTORY = "ldap"
"""Who says that somebody is a member."""


MEMBERS = Statement(
    select(*PRINCIPAL)
    .join(group_members, group_members.c.member_id == principals.c.id)
    .where(group_members.c.group_id == bindparam("group_id"))
    .order_by(principals.c.kind, principals.c.name)
)

GROUPS_OF = Statement(
    select(*PRINCIPAL)
    .join(group_members, group_members.c.group_id == principals.c.id)
    .where(group_members.c.member_id == bindparam("member_id"))
    .order_by(principals.c.name)
)

# A member by the word of the directory becomes one by ours, and stays when the directory forgets him.
ADD = Statement(
    lambda insert: insert(group_members).on_conflict_do_update(
        index_elements=[group_members.c.group_id, group_members.c.member_id],
        set_={"source": insert(group_members).excluded.source},
        where=group_members.c.source != insert(group_members).excluded.source,
    )
)

ADD_OF_DIRECTORY = Statement(lambda insert: insert(group_members).on_conflict_do_nothing())

HERE = (group_members.c.group_id == bindparam("group_id")) & (
    group_members.c.member_id == bindparam("member_id")
)

REMOVE = Statement(delete(group_members).where(HERE))

REMOVE_OF_DIRECTORY = Statement(delete(group_members).where(HERE, group_members.c.source == DIRECTORY))

OF_DIRECTORY = Statement(
    select(group_members.c.group_id).where(
        group_members.c.member_id == bindparam("member_id"), group_members.c.source == DIRECTORY
    )
)


def members(connection: Connection, group_id: int) -> Sequence[PrincipalRow]:
    """The members of a group, robots first, in byte order."""
    return [principal_row(row) for row in MEMBERS.all(connection, {"group_id": group_id})]


def groups_of(connection: Connection, principal_id: int) -> Sequence[PrincipalRow]:
    """The groups that a principal is in, disabled ones too, in byte order."""
    return [principal_row(row) for row in GROUPS_OF.all(connection, {"member_id": principal_id})]


def add_member(connection: Connection, group_id: int, member_id: int) -> bool:
    """Put a user or robot into a group. False: we have said so already."""
    values = {"group_id": group_id, "member_id": member_id, "source": LOCAL}
    return access.changed(connection, ADD.run(connection, values))


def remove_member(connection: Connection, group_id: int, member_id: int) -> bool:
    """Take somebody out of a group, whoever said that he is in it. False: he was not."""
    return access.changed(connection, REMOVE.run(connection, {"group_id": group_id, "member_id": member_id}))


def replace_directory_groups(connection: Connection, principal_id: int, group_names: Collection[str]) -> bool:
    """Make the groups that the directory says somebody is in those with these names; whether that changed
    anything.

    Groups that don't exist are not created. What we have said ourselves stays.
    """
    wanted = set()
    if group_names:
        named = select(principals.c.id).where(
            principals.c.kind == Kind.GROUP.value, principals.c.name.in_(sorted(set(group_names)))
        )
        wanted = set(connection.execute(named).scalars())
    said = {group_id for (group_id,) in OF_DIRECTORY.all(connection, {"member_id": principal_id})}
    changes = 0
    for group_id in sorted(said - wanted):
        here = {"group_id": group_id, "member_id": principal_id}
        changes += REMOVE_OF_DIRECTORY.run(connection, here)
    for group_id in sorted(wanted - said):
        values = {"group_id": group_id, "member_id": principal_id, "source": DIRECTORY}
        changes += ADD_OF_DIRECTORY.run(connection, values)
    return access.changed(connection, changes)
