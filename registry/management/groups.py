"""Operations on groups and their members."""

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from auth.principals import Principal
from registry.management.fields import Answer, Input, Line, Name, Search, Time
from registry.management.operation import Call, Needs, Operation
from registry.management.units import moment
from registry.oci.errors import Unknown
from registry.services.accounts.groups import Groups, PrincipalRow


class Group(Answer):
    """A group."""

    name: str = Field(examples=["dev"])
    description: str
    disabled: bool = Field(description="what is granted to a disabled group counts for nobody")
    created_at: Time | None
    created_by: str


class GroupWithMembers(Group):
    """A group and who is in it."""

    members: list[str] = Field(examples=[["robot:ci", "user:alice"]])


class GroupPage(Answer):
    """Groups in the order of their names. `next`: give it as `last` for more; null at the end."""

    groups: list[Group]
    next: str | None


class NewGroup(Input):
    """A group to be made."""

    name: Name
    description: Line = ""


class GroupChanges(Input):
    """What is to change; what is left out stays."""

    disabled: bool | None = None
    description: Line | None = None


class GroupOperations:
    """Everything about groups."""

    def __init__(self, groups: Groups) -> None:
        self._groups = groups

    def operations(self) -> Sequence[Operation]:
        needs = Needs.ADMINISTRATOR
        path, member = "/groups/{name}", "/groups/{name}/members/{principal}"
        return [
            Operation(
                "group.list",
                "GET",
                "/groups",
                "List groups",
                needs,
                self.page,
                query=Search,
                answer=GroupPage,
            ),
            Operation(
                "group.create",
                "POST",
                "/groups",
                "Make a group",
                needs,
                self.create,
                body=NewGroup,
                answer=GroupWithMembers,
                status=201,
            ),
            Operation("group.get", "GET", path, "Show a group", needs, self.get, answer=GroupWithMembers),
            Operation(
                "group.configure",
                "PATCH",
                path,
                "Disable, enable or describe a group",
                needs,
                self.configure,
                body=GroupChanges,
                answer=GroupWithMembers,
            ),
            Operation(
                "group.remove",
                "DELETE",
                path,
                "Remove a group with its grants",
                needs,
                self.remove,
                status=204,
            ),
            Operation(
                "group.add",
                "PUT",
                member,
                "Put a user or robot into a group",
                needs,
                self.add_member,
                status=204,
            ),
            Operation(
                "group.take",
                "DELETE",
                member,
                "Take a user or robot out of a group",
                needs,
                self.remove_member,
                status=204,
            ),
        ]

    async def page(self, call: Call) -> GroupPage:
        query: Search = call.query
        rows, more = await self._groups.page(query.last, query.n, query.search)
        return GroupPage(
            groups=[Group(**principal_facts(row)) for row in rows], next=rows[-1].name if more else None
        )

    async def create(self, call: Call) -> GroupWithMembers:
        body: NewGroup = call.body
        await self._groups.create(body.name, body.description, call.actor)
        return await self._group(body.name)

    async def get(self, call: Call) -> GroupWithMembers:
        return await self._group(call.path["name"])

    async def configure(self, call: Call) -> GroupWithMembers:
        body: GroupChanges = call.body
        name = call.path["name"]
        await self._groups.configure(name, call.actor, disabled=body.disabled, description=body.description)
        return await self._group(name)

    async def remove(self, call: Call) -> None:
        await self._groups.remove(call.path["name"], call.actor)

    async def add_member(self, call: Call) -> None:
        await self._groups.add_member(call.path["name"], member_of(call), call.actor)

    async def remove_member(self, call: Call) -> None:
        await self._groups.remove_member(call.path["name"], member_of(call), call.actor)

    async def _group(self, name: str) -> GroupWithMembers:
        row, members = await self._groups.get(name)
        return GroupWithMembers(
            **principal_facts(row), members=[str(Principal(member.kind, member.name)) for member in members]
        )


def member_of(call: Call) -> Principal:
    """The principal in the path. Raises Unknown for what is written like none."""
    text = call.path["principal"]
    try:
        return Principal.parse(text)
    except ValueError:
        raise Unknown("principal", text) from None


def principal_facts(row: PrincipalRow) -> dict[str, Any]:
    """What groups and robots have alike."""
    return {
        "name": row.name,
        "description": row.description,
        "disabled": row.disabled,
        "created_at": moment(row.created_at),
        "created_by": row.created_by,
    }
