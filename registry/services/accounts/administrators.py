"""The last administrator: nobody can take away the right to manage the registry from everybody."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from auth.patterns import EVERYTHING
from auth.principals import Kind, Principal
from auth.roles import Role
from registry.index import Connection, grants, groups, principals
from registry.oci.errors import Conflict
from registry.services.batches import rows_after

Result = TypeVar("Result")

BATCH = 200


def keeping_one(change: Callable[[Connection], Result]) -> Callable[[Connection], Result]:
    """A change that fails with Conflict when no administrator would be left after it.

    The change must have written before it is judged: all that alter rights write one common row, so of two
    that run at once the second one sees what the first one did.
    """

    def checked(connection: Connection) -> Result:
        before = is_administered(connection)
        result = change(connection)
        if before and not is_administered(connection):
            raise Conflict(
                "nobody would be left who can manage this registry: make another user administrator of ** "
                "first (entrepot grant add user:NAME administrator '**')"
            )
        return result

    return checked


def is_administered(connection: Connection) -> bool:
    """Whether any user can manage the registry. A robot does not count: its secret may be lost or expire."""
    read = partial(grants.page, connection, prefix=str(EVERYTHING))
    return any(
        _is_user_or_has_one(connection, Principal(row.principal_kind, row.principal_name))
        for row in rows_after(None, read, lambda row: row.id, BATCH)
        if row.role is Role.ADMINISTRATOR
    )


def _is_user_or_has_one(connection: Connection, principal: Principal) -> bool:
    row = principals.find(connection, principal)
    if row is None or row.disabled:
        return False
    if row.kind is Kind.USER:
        return True
    return row.kind is Kind.GROUP and any(
        member.kind is Kind.USER and not member.disabled for member in groups.members(connection, row.id)
    )
