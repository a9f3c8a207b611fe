"""The operation that tells who the caller is."""

from collections.abc import Sequence

from pydantic import Field

from registry.management.fields import Answer, RoleName
from registry.management.operation import Call, Needs, Operation


class AccountGrant(Answer):
    """What is granted to the caller. `source`: to himself, to a group, or by a trust rule as `rule:gh`."""

    source: str
    role: RoleName
    pattern: str


class AccountLimits(Answer):
    """What the token that was used is limited to."""

    read_only: bool
    repositories: list[str]
    addresses: list[str]


class Account(Answer):
    """Who the caller is, and what he may do."""

    principal: str = Field(examples=["user:alice"])
    administrator: bool = Field(description="whether this may manage the whole registry")
    groups: list[str]
    grants: list[AccountGrant]
    limits: AccountLimits
    token: int | None = Field(
        description="the number of the token that was used, or by which it was got; null: there is none"
    )


class AccountOperations:
    """Who am I?"""

    def operations(self) -> Sequence[Operation]:
        return [
            Operation(
                "account",
                "GET",
                "/account",
                "Tell who is signed in",
                Needs.SIGNED_IN,
                self.get,
                answer=Account,
            )
        ]

    async def get(self, call: Call) -> Account:
        caller = call.caller
        return Account(
            principal=str(caller.principal),
            administrator=caller.is_administrator,
            groups=list(caller.groups),
            grants=[
                AccountGrant(source=grant.source, role=grant.role, pattern=str(grant.pattern))
                for grant in caller.grants
            ],
            limits=AccountLimits(
                read_only=caller.limits.read_only,
                repositories=list(map(str, caller.limits.repositories)),
                addresses=list(map(str, caller.limits.addresses)),
            ),
            token=caller.credential_id,
        )
