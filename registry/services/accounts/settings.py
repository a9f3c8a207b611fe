"""What is set for users, robots and groups alike: whether they are disabled, and their description."""

from auth.principals import Principal
from registry.index import Connection, principals
from registry.services.accounts.changes import Event


def configure(
    connection: Connection, principal_id: int, disabled: bool | None, description: str | None
) -> None:
    """Set what is not None."""
    if disabled is not None:
        principals.set_disabled(connection, principal_id, disabled)
    if description is not None:
        principals.describe(connection, principal_id, description)


def settings_events(target: Principal, disabled: bool | None, description: str | None) -> list[Event]:
    """An event for each setting that is not None."""
    events = []
    if disabled is not None:
        events.append(Event(f"{target.kind}.{'disable' if disabled else 'enable'}", str(target)))
    if description is not None:
        events.append(Event(f"{target.kind}.describe", str(target), {"description": description}))
    return events
