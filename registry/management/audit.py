"""The operation on the audit: reading it."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from registry.management.fields import Answer, Count, Input, Line, Moment, RowId, Time, number_in_query
from registry.management.operation import Call, Needs, Operation
from registry.management.units import moment
from registry.services.audit import Audit, AuditRow


class AuditEntry(Answer):
    """Who did what, from where, and how it ended."""

    id: int
    at: Time | None
    request_id: str
    actor: str = Field(examples=["user:alice"])
    address: str
    action: str = Field(examples=["grant.add"])
    target: str | None
    result: str = Field(examples=["allowed", "refused"])
    detail: dict[str, Any]


class AuditPage(Answer):
    """The newest first. `next`: give it as `before` for older ones; null at the end."""

    entries: list[AuditEntry]
    next: int | None


class AuditSearch(Input):
    """Which entries are wanted."""

    since: Moment | None = None
    until: Moment | None = None
    actor: Line | None = None
    action: Line | None = None
    target: Line | None = None
    result: Literal["allowed", "refused", "failed"] | None = None
    before: Annotated[RowId, BeforeValidator(number_in_query)] | None = None
    n: Count = 100


class AuditOperations:
    """Reading the audit."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    def operations(self) -> Sequence[Operation]:
        return [
            Operation(
                "audit.list",
                "GET",
                "/audit",
                "Read the audit",
                Needs.ADMINISTRATOR,
                self.page,
                query=AuditSearch,
                answer=AuditPage,
            )
        ]

    async def page(self, call: Call) -> AuditPage:
        query: AuditSearch = call.query
        wanted = query.model_dump(exclude={"before", "n"}, exclude_none=True)
        rows = await self._audit.page(wanted, query.before, query.n + 1)
        shown = rows[: query.n]
        return AuditPage(
            entries=[entry(row) for row in shown], next=shown[-1].id if len(rows) > query.n else None
        )


def entry(row: AuditRow) -> AuditEntry:
    return AuditEntry(**(row._asdict() | {"at": moment(row.at), "detail": dict(row.detail)}))
