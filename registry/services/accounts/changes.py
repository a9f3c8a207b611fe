"""Changes of accounts: each in one transaction with its audit entries."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from auth.actor import Actor
from registry.index import Connection, Index
from registry.services.audit import Audit, AuditRow

Result = TypeVar("Result")


class Event(NamedTuple):
    """What the audit is told of a change, beside who made it and when."""

    action: str
    target: str
    detail: Mapping[str, object] = MappingProxyType({})


class Changes:
    """Makes changes."""

    def __init__(self, index: Index, audit: Audit) -> None:
        self._index = index
        self._audit = audit

    async def make(self, change: Callable[[Connection], Result], actor: Actor, *events: Event) -> Result:
        """Run a change, with the events entered beside it. Raises what the change raises; then nothing is
        entered."""

        def recorded(connection: Connection) -> tuple[Result, list[AuditRow]]:
            result = change(connection)
            rows = [self._audit.record(connection, actor, *event) for event in events]
            return result, rows

        result, rows = await self._index.write(recorded)
        self._audit.tell(*rows)
        return result
