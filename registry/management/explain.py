"""The operation that says why: which grant decides, or what would be needed."""

from collections.abc import Sequence

from pydantic import Field

from auth.principals import Principal
from auth.roles import Action
from registry.management.fields import ActionName, Answer, Input, Line, RoleName
from registry.management.operation import Call, Needs, Operation
from registry.management.rights import check_repository
from registry.oci.errors import InputInvalid
from registry.oci.name import RepositoryName
from registry.services.explanations import Explanations


class DecidingGrant(Answer):
    """The grant that decided. `source` is a principal, or a trust rule as `rule:gh`."""

    id: int
    source: str
    role: RoleName
    pattern: str


class ExplanationAnswer(Answer):
    """A decision and its reason."""

    principal: str = Field(examples=["user:alice"])
    action: ActionName
    repository: str = Field(examples=["acme/app"])
    allowed: bool
    reason: str = Field(examples=["group:dev is writer on acme/**"])
    grant: DecidingGrant | None


class Question(Input):
    """May this principal do that with this repository, existing or not?"""

    principal: Line | None = Field(None, description="without, whoever asks", examples=["user:alice"])
    action: ActionName
    repository: str = Field(examples=["acme/app"])


class ExplainOperations:
    """Explaining decisions."""

    def __init__(self, explanations: Explanations) -> None:
        self._explanations = explanations

    def operations(self) -> Sequence[Operation]:
        return [
            Operation(
                "explain",
                "GET",
                "/explain",
                "Tell whether somebody may do something, and why",
                Needs.REPOSITORY,
                self.explain,
                query=Question,
                answer=ExplanationAnswer,
            )
        ]

    async def explain(self, call: Call) -> ExplanationAnswer:
        """Anybody for himself; for others, administrators of the repository."""
        question: Question = call.query
        repository = RepositoryName.parse(question.repository)
        action = Action(question.action)
        principal = call.caller.principal if question.principal is None else principal_of(question.principal)
        if principal == call.caller.principal:
            identity, decision = await self._explanations.explain_caller(call.caller, action, repository)
        else:
            check_repository(call, Action.ADMINISTER, repository)
            identity, decision = await self._explanations.explain(principal, action, repository)
        grant = decision.grant
        return ExplanationAnswer(
            principal=str(identity.principal),
            action=action,
            repository=repository,
            allowed=decision.allowed,
            reason=decision.reason,
            grant=None
            if grant is None
            else DecidingGrant(id=grant.id, source=grant.source, role=grant.role, pattern=str(grant.pattern)),
        )


def principal_of(text: str) -> Principal:
    """Raises InputInvalid."""
    try:
        return Principal.parse(text)
    except ValueError as error:
        raise InputInvalid([("principal", str(error))]) from error
