"""Operations on tokens of users: personal ones, and the refresh tokens of clients."""

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from auth.limits import Limits
from registry.management.fields import Answer, Duration, Input, Line, Network, Pattern, Time
from registry.management.operation import Call, Needs, Operation, row_id
from registry.management.units import moment
from registry.services.accounts.credentials import CredentialRow, Credentials, Wanted


class Token(Answer):
    """What is known of a secret. It is kept hashed, so nobody can show it again."""

    id: int
    kind: str = Field(description="personal, robot, or refresh: what a client got for a password")
    description: str
    read_only: bool = Field(description="it pulls and does nothing else")
    repositories: list[str] = Field(description="patterns that it is limited to; empty: not limited")
    addresses: list[str] = Field(description="networks that it may be used from; empty: from everywhere")
    created_at: Time | None
    expires_at: Time | None = Field(description="null: never")
    used_at: Time | None = Field(description="null: not yet")


class TokenList(Answer):
    """The oldest first."""

    tokens: list[Token]


class NewLimits(Input):
    """How long a secret lives, and what it is limited to beside what its owner may do."""

    expires: Duration | None = Field(None, description="how long it lives; without, until it is revoked")
    read_only: bool = False
    repositories: list[Pattern] = Field([], max_length=100)
    addresses: list[Network] = Field([], max_length=100)

    def limits(self) -> Limits:
        return Limits.parse(self.read_only, self.repositories, self.addresses)


class NewToken(NewLimits):
    """A personal token to be made."""

    description: Line = Field("", examples=["laptop"])

    def wanted(self) -> Wanted:
        return Wanted(self.description, self.expires, self.limits())


class CreatedToken(Answer):
    """A token that was made."""

    token: Token
    secret: str = Field(description="the password to sign in with; it is shown only now")


class TokenOperations:
    """Tokens of users. Those of robots are their secrets: see registry.management.robots."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def operations(self) -> Sequence[Operation]:
        needs = Needs.SELF_OR_ADMINISTRATOR
        path = "/users/{name}/tokens"
        return [
            Operation("token.list", "GET", path, "List a user's tokens", needs, self.page, answer=TokenList),
            Operation(
                "token.create",
                "POST",
                path,
                "Make a personal token",
                needs,
                self.create,
                body=NewToken,
                answer=CreatedToken,
                status=201,
                makes_credentials=True,
            ),
            Operation(
                "token.revoke", "DELETE", f"{path}/{{id}}", "Revoke a token", needs, self.remove, status=204
            ),
        ]

    async def page(self, call: Call) -> TokenList:
        rows = await self._credentials.of_user(call.path["name"])
        return TokenList(tokens=[Token(**token_facts(row)) for row in rows])

    async def create(self, call: Call) -> CreatedToken:
        body: NewToken = call.body
        row, secret = await self._credentials.create(call.path["name"], body.wanted(), call.actor)
        return CreatedToken(token=Token(**token_facts(row)), secret=secret.text)

    async def remove(self, call: Call) -> None:
        await self._credentials.remove(call.path["name"], row_id(call, "token"), call.actor)


def token_facts(row: CredentialRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "kind": row.kind,
        "description": row.description,
        "read_only": row.read_only,
        "repositories": list(row.repositories),
        "addresses": list(row.addresses),
        "created_at": moment(row.created_at),
        "expires_at": moment(row.expires_at),
        "used_at": moment(row.used_at),
    }
