"""Operations on the rules of retention: for those who maintain all repositories that a rule is for."""

import time
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Literal

from pydantic import Field

from auth.identity import Identity
from auth.patterns import RepositoryPattern, TagPattern
from auth.principals import check_name
from registry.management.fields import (
    Answer,
    Duration,
    Input,
    Name,
    Page,
    Pattern,
    TagPatternText,
    Time,
)
from registry.management.operation import Call, Needs, Operation
from registry.management.rights import check_somebody, denied, maintains
from registry.management.units import moment
from registry.oci.errors import InputInvalid, Unknown
from registry.services.retention.rules import RetentionRuleRow, RetentionRules

Patterns = Annotated[list[TagPatternText], Field(max_length=100)]


class RetentionRule(Answer):
    """What is kept of the tags of some repositories. Spans of time are in seconds."""

    name: str = Field(examples=["releases"])
    repositories: str = Field(examples=["acme/**"])
    tags: list[str] = Field(description="patterns of the tags that it decides about", examples=[["*"]])
    keep_last: int | None
    keep_last_by: Literal["pushed", "pulled"]
    keep_tags: list[str]
    keep_pushed_seconds: float | None
    keep_pulled_seconds: float | None
    untagged_seconds: float | None
    disabled: bool
    created_at: Time | None
    created_by: str


class RetentionRulePage(Answer):
    """Rules in the order of their names. `next`: give it as `last` for more; null at the end."""

    rules: list[RetentionRule]
    next: str | None


class NewRetentionRule(Input):
    """What is to be kept. A tag stays that any rule keeps, and one that no rule decides about."""

    repositories: Pattern = Field(description="the repositories that it is for")
    tags: Patterns | None = Field(
        None, description="the tags that it decides about; by default all, if it keeps any of them, else none"
    )
    keep_last: Annotated[int, Field(ge=0, le=1_000_000)] | None = Field(
        None, description="so many tags of each repository; 0 says that none need be kept"
    )
    keep_last_by: Literal["pushed", "pulled"] = Field("pushed", description="which of them are the last")
    keep_tags: Patterns = Field([], description="tags that match one of these patterns")
    keep_pushed_seconds: Duration | None = Field(None, description="tags that were pushed within this time")
    keep_pulled_seconds: Duration | None = Field(
        None, description="tags that were pulled, or pushed, within this time"
    )
    untagged_seconds: Duration | None = Field(
        None, description="how long a manifest without a tag is kept; null: for ever"
    )
    disabled: bool = False

    def row(self, name: str, created_by: str) -> RetentionRuleRow:
        """The rule as the services take it."""
        keeps = self.keep_last, self.keep_pushed_seconds, self.keep_pulled_seconds
        anything = bool(self.keep_tags) or any(condition is not None for condition in keeps)
        tags = self.tags if self.tags is not None else ["*"] if anything else []
        return RetentionRuleRow(
            name=name,
            repositories=RepositoryPattern.parse(self.repositories),
            tags=tuple(map(TagPattern.parse, tags)),
            keep_last=self.keep_last,
            keep_last_by=self.keep_last_by,
            keep_tags=tuple(map(TagPattern.parse, self.keep_tags)),
            keep_pushed_seconds=self.keep_pushed_seconds,
            keep_pulled_seconds=self.keep_pulled_seconds,
            untagged_seconds=self.untagged_seconds,
            disabled=self.disabled,
            created_at=time.time(),
            created_by=created_by,
        )


class NamedRetentionRule(NewRetentionRule):
    """A rule with its name."""

    name: Name


class RetentionRuleChanges(Input):
    """What is to change."""

    disabled: bool


class RetentionRuleOperations:
    """Everything about the rules themselves."""

    def __init__(self, rules: RetentionRules) -> None:
        self._rules = rules

    def operations(self) -> Sequence[Operation]:
        needs = Needs.REPOSITORY
        path = "/retention/rules/{name}"
        return [
            Operation(
                "retention.list",
                "GET",
                "/retention/rules",
                "List the rules of retention that the caller may set",
                needs,
                self.page,
                query=Page,
                answer=RetentionRulePage,
            ),
            Operation(
                "retention.get",
                "GET",
                path,
                "Show a rule of retention",
                needs,
                self.get,
                answer=RetentionRule,
            ),
            Operation(
                "retention.set",
                "PUT",
                path,
                "Set a rule of retention, in place of the one of that name",
                needs,
                self.set,
                body=NewRetentionRule,
                answer=RetentionRule,
            ),
            Operation(
                "retention.configure",
                "PATCH",
                path,
                "Disable or enable a rule of retention",
                needs,
                self.configure,
                body=RetentionRuleChanges,
                answer=RetentionRule,
            ),
            Operation(
                "retention.remove",
                "DELETE",
                path,
                "Remove a rule of retention",
                needs,
                self.remove,
                status=204,
            ),
        ]

    async def page(self, call: Call) -> RetentionRulePage:
        check_somebody(call.caller)
        query: Page = call.query
        rows, more = await self._rules.page(query.last, query.n, partial(is_maintained, call.caller))
        return RetentionRulePage(rules=[answer(row) for row in rows], next=rows[-1].name if more else None)

    async def get(self, call: Call) -> RetentionRule:
        return answer(await self._visible(call))

    async def set(self, call: Call) -> RetentionRule:
        body: NewRetentionRule = call.body
        rule = body.row(name_of(call), call.actor.principal)
        check_maintains(call, rule.repositories)
        return answer(await self._rules.set(rule, call.actor, partial(is_maintained, call.caller)))

    async def configure(self, call: Call) -> RetentionRule:
        body: RetentionRuleChanges = call.body
        row = await self._visible(call)
        await self._rules.set_disabled(row.name, body.disabled, call.actor)
        return answer(await self._visible(call))

    async def remove(self, call: Call) -> None:
        row = await self._visible(call)
        await self._rules.remove(row.name, call.actor)

    async def _visible(self, call: Call) -> RetentionRuleRow:
        """The rule in the path, if the caller may set it. Raises Unknown, also for those of others."""
        check_somebody(call.caller)
        row = await self._rules.find(call.path["name"])
        if row is None or not is_maintained(call.caller, row):
            raise Unknown("retention rule", call.path["name"])
        return row


def name_of(call: Call) -> str:
    """The name in the path, for a rule that may be new. Raises InputInvalid."""
    try:
        return check_name(call.path["name"])
    except ValueError as error:
        raise InputInvalid([("name", str(error))]) from error


def is_maintained(caller: Identity, rule: RetentionRuleRow) -> bool:
    """Whether the caller may set and remove this rule."""
    return maintains(caller, rule.repositories)


def check_maintains(call: Call, pattern: RepositoryPattern) -> None:
    """Raises Denied."""
    if not maintains(call.caller, pattern):
        raise denied(
            call, f"what is kept in {pattern} is for those to say who have the role maintainer on all of it"
        )


def answer(row: RetentionRuleRow) -> RetentionRule:
    return RetentionRule(
        **row._asdict()
        | {
            "repositories": str(row.repositories),
            "tags": [str(pattern) for pattern in row.tags],
            "keep_tags": [str(pattern) for pattern in row.keep_tags],
            "created_at": moment(row.created_at),
        }
    )
