"""Operations on grants: for whoever is administrator of a pattern that covers the grant's."""

from collections.abc import Sequence
from functools import partial

from pydantic import Field

from auth.patterns import RepositoryPattern
from auth.principals import Principal
from registry.management.fields import Answer, Grantee, Input, Line, Pattern, RoleName, RowPage, Time
from registry.management.operation import Call, Needs, Operation, row_id
from registry.management.rights import administers, denied
from registry.management.units import moment
from registry.oci.errors import Unknown
from registry.services.accounts.grants import GrantRow, Grants


class Grant(Answer):
    """A role for a principal on the repositories of a pattern."""

    id: int
    principal: str = Field(examples=["user:alice"])
    role: RoleName
    pattern: str = Field(examples=["acme/**"])
    created_at: Time | None
    created_by: str


class GrantPage(Answer):
    """The oldest first. `next`: give it as `last` for more; null at the end."""

    grants: list[Grant]
    next: int | None


class GrantSearch(RowPage):
    """Which grants are wanted."""

    principal: Grantee | None = Field(None, description="only those to this principal itself")
    repository: Line | None = Field(None, description="only those whose pattern matches this repository")


class NewGrant(Input):
    """A grant to be made."""

    principal: Grantee
    role: RoleName
    pattern: Pattern


class GrantOperations:
    """Everything about grants."""

    def __init__(self, grants: Grants) -> None:
        self._grants = grants

    def operations(self) -> Sequence[Operation]:
        needs = Needs.SIGNED_IN
        return [
            Operation(
                "grant.list",
                "GET",
                "/grants",
                "List the grants that the caller may take back",
                needs,
                self.page,
                query=GrantSearch,
                answer=GrantPage,
            ),
            Operation(
                "grant.add",
                "POST",
                "/grants",
                "Grant a role on a pattern; may be repeated",
                needs,
                self.add,
                body=NewGrant,
                answer=Grant,
                status=201,
            ),
            Operation(
                "grant.remove", "DELETE", "/grants/{id}", "Take a grant back", needs, self.remove, status=204
            ),
        ]

    async def page(self, call: Call) -> GrantPage:
        query: GrantSearch = call.query
        try:
            rows, more = await self._grants.page(
                query.last,
                query.n,
                principal=None if query.principal is None else Principal.parse(query.principal),
                repository=query.repository,
                shown=partial(administers, call.caller),
            )
        except Unknown:
            if call.caller.is_administrator:
                raise
            return GrantPage(grants=[], next=None)  # as if there were one: nobody learns who has an account
        return GrantPage(grants=[answer(row) for row in rows], next=rows[-1].id if more else None)

    async def add(self, call: Call) -> Grant:
        body: NewGrant = call.body
        pattern = RepositoryPattern.parse(body.pattern)
        if not administers(call.caller, pattern):
            raise denied(
                call, f"granting a role on {pattern} needs the role administrator on a pattern that covers it"
            )
        row = await self._grants.add(Principal.parse(body.principal), body.role, pattern, call.actor)
        return answer(row)

    async def remove(self, call: Call) -> None:
        grant_id = row_id(call, "grant")
        row = await self._grants.get(grant_id)
        if not administers(call.caller, row.pattern):
            raise Unknown("grant", str(grant_id))  # as if it were none: nobody learns of others' grants
        await self._grants.remove(row, call.actor)


def answer(row: GrantRow) -> Grant:
    return Grant(
        id=row.id,
        principal=str(Principal(row.principal_kind, row.principal_name)),
        role=row.role,
        pattern=str(row.pattern),
        created_at=moment(row.created_at),
        created_by=row.created_by,
    )
