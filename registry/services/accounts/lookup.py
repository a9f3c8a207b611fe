"""Principals by name."""

from auth.principals import Kind, Principal, check_name
from registry.index import Connection, principals
from registry.index.principals import PrincipalRow
from registry.oci.errors import Unknown


def find_principal(connection: Connection, kind: Kind, name: str) -> PrincipalRow:
    """The row of a user, robot or group. Raises Unknown, also for what could be no name."""
    row = principals.find(connection, Principal(kind, name)) if is_name(name) else None
    if row is None:
        raise Unknown(kind.value, name)
    return row


def is_name(name: str) -> bool:
    """Whether a principal or a trust rule could be called so."""
    try:
        check_name(name)
    except ValueError:
        return False
    return True
