"""What a rule of retention covers, what it keeps and why, as sentences. Nothing here reads or changes
anything."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from auth.patterns import TagPattern
from registry.index.retention_rules import RetentionRuleRow
from registry.services.retention.spans import said_span

PUSHED = "pushed"
PULLED = "pulled"


class Candidate(NamedTuple):
    """A tag that rules decide about. `used_at` is its last pull or, when that is later, its push: what was
    just pushed has had no time to be pulled."""

    name: str
    pushed_at: float
    used_at: float


class Rank(NamedTuple):
    """A rule on one repository, with the tags that it keeps for being the last."""

    rule: RetentionRuleRow
    last: frozenset[str]


def covers(rule: RetentionRuleRow, tag: str) -> bool:
    """Whether a rule decides about a tag of a repository that it is for."""
    return first_match(rule.tags, tag) is not None


def rank(rule: RetentionRuleRow, candidates: Iterable[Candidate]) -> Rank:
    """The rule, with the last of those of the tags that it covers. Of equally old ones the names decide."""
    if not rule.keep_last:
        return Rank(rule, frozenset())

    def key(candidate: Candidate) -> tuple[float, str]:
        at = candidate.used_at if rule.keep_last_by == PULLED else candidate.pushed_at
        return -at, candidate.name

    covered = sorted((one for one in candidates if covers(rule, one.name)), key=key)
    return Rank(rule, frozenset(one.name for one in covered[: rule.keep_last]))


def keeps(ranked: Rank, tag: Candidate, now: float) -> str | None:
    """Why a rule keeps a tag that it covers; None: it does not."""
    rule, last = ranked
    pattern = first_match(rule.keep_tags, tag.name)
    if pattern is not None:
        return f"matches {pattern}"
    if tag.name in last:
        return f"is one of the {rule.keep_last} that were {rule.keep_last_by} last"
    if rule.keep_pushed_seconds is not None and now - tag.pushed_at <= rule.keep_pushed_seconds:
        return f"was pushed within {said_span(rule.keep_pushed_seconds)}"
    if rule.keep_pulled_seconds is not None and now - tag.used_at <= rule.keep_pulled_seconds:
        return f"was pulled or pushed within {said_span(rule.keep_pulled_seconds)}"
    return None


def lets_go(rule: RetentionRuleRow) -> str:
    """Why a rule does not keep a tag, when `keeps` answers None."""
    said = []
    if rule.keep_tags:
        said.append(f"does not match {', '.join(map(str, rule.keep_tags))}")
    if rule.keep_last is not None:
        said.append(f"is not one of the {rule.keep_last} that were {rule.keep_last_by} last")
    if rule.keep_pushed_seconds is not None:
        said.append(f"was not pushed within {said_span(rule.keep_pushed_seconds)}")
    if rule.keep_pulled_seconds is not None:
        said.append(f"was neither pulled nor pushed within {said_span(rule.keep_pulled_seconds)}")
    return ", ".join(said)


def first_match(patterns: Sequence[TagPattern], tag: str) -> TagPattern | None:
    """The first of the patterns that a tag matches."""
    return next((pattern for pattern in patterns if pattern.matches(tag)), None)


def problems(rule: RetentionRuleRow) -> list[tuple[str, str]]:
    """What is wrong with a rule, as fields with what they should be."""
    keeps_something = (
        rule.keep_last is not None
        or rule.keep_tags
        or rule.keep_pushed_seconds is not None
        or rule.keep_pulled_seconds is not None
    )
    if rule.tags and not keeps_something:
        return [
            (
                "tags",
                "the rule keeps none of these tags, so all of them would go: say what it keeps, or say "
                "keep_last 0 if that is what you want",
            )
        ]
    if not rule.tags and keeps_something:
        return [("tags", "the rule says what it keeps, and decides about no tags")]
    if not rule.tags and rule.untagged_seconds is None:
        return [("", "the rule decides about nothing: say what it keeps, or untagged_seconds")]
    return []
