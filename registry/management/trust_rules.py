"""Operations on trust rules: which jobs of an OIDC issuer may sign in with their own tokens."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field, JsonValue

from auth.federation import TrustRule as WantedRule
from auth.patterns import RepositoryPattern
from registry.management.fields import Answer, Input, Line, Name, Page, Pattern, RoleName, Text, Time
from registry.management.operation import Call, Needs, Operation
from registry.management.units import moment
from registry.services.accounts.trust_rules import TrustRuleRow, TrustRules

Claims = Annotated[
    dict[Text, Text],
    Field(max_length=50, examples=[{"repository": "acme/app", "ref": "refs/heads/main"}]),
]


class TrustRule(Answer):
    """Whose tokens are trusted, for which claims, and the role that they give."""

    name: str = Field(examples=["gh"])
    issuer: str = Field(examples=["https://token.actions.githubusercontent.com"])
    audience: str = Field(examples=["entrepot"])
    claims: dict[str, str]
    role: RoleName
    pattern: str
    keys: dict[str, Any] | None = Field(description="a JSON Web Key Set; null: the issuer is asked for it")
    disabled: bool
    created_at: Time | None
    created_by: str


class TrustRulePage(Answer):
    """Rules in the order of their names. `next`: give it as `last` for more; null at the end."""

    trust_rules: list[TrustRule]
    next: str | None


class NewTrustRule(Input):
    """A rule to be made. A value of `claims` may hold `*` for any run of characters."""

    name: Name
    issuer: Line = Field(examples=["https://token.actions.githubusercontent.com"])
    audience: Line = Field(examples=["entrepot"])
    claims: Claims
    role: RoleName
    pattern: Pattern
    keys: dict[str, JsonValue] | None = Field(
        None, description="the issuer's JSON Web Key Set, where it is not to be asked for it"
    )


class TrustRuleChanges(Input):
    """What is to change."""

    disabled: bool


class TrustRuleOperations:
    """Everything about trust rules."""

    def __init__(self, trust_rules: TrustRules) -> None:
        self._trust_rules = trust_rules

    def operations(self) -> Sequence[Operation]:
        needs = Needs.ADMINISTRATOR
        path = "/trust-rules/{name}"
        return [
            Operation(
                "trust.list",
                "GET",
                "/trust-rules",
                "List trust rules",
                needs,
                self.page,
                query=Page,
                answer=TrustRulePage,
            ),
            Operation(
                "trust.add",
                "POST",
                "/trust-rules",
                "Trust an issuer's tokens",
                needs,
                self.create,
                body=NewTrustRule,
                answer=TrustRule,
                status=201,
                makes_credentials=True,
            ),
            Operation("trust.get", "GET", path, "Show a trust rule", needs, self.get, answer=TrustRule),
            Operation(
                "trust.configure",
                "PATCH",
                path,
                "Disable or enable a trust rule",
                needs,
                self.configure,
                body=TrustRuleChanges,
                answer=TrustRule,
                makes_credentials=True,
            ),
            Operation("trust.remove", "DELETE", path, "Remove a trust rule", needs, self.remove, status=204),
        ]

    async def page(self, call: Call) -> TrustRulePage:
        query: Page = call.query
        rows, more = await self._trust_rules.page(query.last, query.n)
        return TrustRulePage(trust_rules=[answer(row) for row in rows], next=rows[-1].name if more else None)

    async def create(self, call: Call) -> TrustRule:
        body: NewTrustRule = call.body
        wanted = WantedRule(
            0,
            body.name,
            body.issuer,
            body.audience,
            body.claims,
            body.role,
            RepositoryPattern.parse(body.pattern),
            body.keys,
        )
        return answer(await self._trust_rules.create(wanted, call.actor))

    async def get(self, call: Call) -> TrustRule:
        return answer(await self._trust_rules.get(call.path["name"]))

    async def configure(self, call: Call) -> TrustRule:
        body: TrustRuleChanges = call.body
        name = call.path["name"]
        await self._trust_rules.set_disabled(name, body.disabled, call.actor)
        return answer(await self._trust_rules.get(name))

    async def remove(self, call: Call) -> None:
        await self._trust_rules.remove(call.path["name"], call.actor)


def answer(row: TrustRuleRow) -> TrustRule:
    return TrustRule(
        name=row.name,
        issuer=row.issuer,
        audience=row.audience,
        claims=dict(row.claims),
        role=row.role,
        pattern=str(row.pattern),
        keys=None if row.keys is None else dict(row.keys),
        disabled=row.disabled,
        created_at=moment(row.created_at),
        created_by=row.created_by,
    )
