"""Principals by name, and what the audit is told when their settings change."""

from auth.principals import Kind, Principal, check_name
from registry.index import Connection, principals
from registry.index.principals import PrincipalRow
from registry.oci.errors import Unknown
from registry.services.accounts.changes import Event


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


def settings_events(target: Principal, disabled: bool | None, description: str | None) -> list[Event]:
    """An event for each setting that is not None."""
    events = []
    if disabled is not None:
        events.append(Event(f"{target.kind}.{'disable' if disabled else 'enable'}", str(target)))
    if description is not None:
        events.append(Event(f"{target.kind}.describe", str(target), {"description": description}))
    return events
