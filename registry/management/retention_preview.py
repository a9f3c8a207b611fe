"""Operations that look at what retention would do, and that have it done now."""

from collections.abc import Sequence

from pydantic import Field

from auth.decisions import may
from auth.patterns import EVERYTHING, RepositoryPattern
from auth.roles import Action
from registry.gc.jobs import Jobs
from registry.gc.retention import JOB, Retention
from registry.management.fields import PAGE_LIMIT, Answer, Duration, Input, Pattern, Text, Time
from registry.management.operation import Call, Needs, Operation
from registry.management.retention import NamedRetentionRule, check_maintains
from registry.management.rights import check_repository
from registry.management.units import moment
from registry.services.retention.preview import Entry, Preview, Previews


class RetentionVerdict(Answer):
    """What becomes of a tag, or of a manifest without one."""

    repository: str
    tag: str | None = Field(description="null: a manifest without a tag")
    digest: str
    kept: bool
    rule: str | None = Field(description="the one that decided; null: no rule did")
    reason: str = Field(examples=["was pushed within 30d"])
    pushed_at: Time | None
    pulled_at: Time | None = Field(description="the last pull, of an index also that of what it lists")


class RetentionVerdictPage(Answer):
    """By repository: tags in the order of their names, then manifests without one. `next`: give it as `last`
    for more; null at the end."""

    verdicts: list[RetentionVerdict]
    next: str | None


class RetentionSummary(Answer):
    """What would become of all tags, and of manifests that have none now."""

    repositories: int = Field(description="those in which rules decide about anything")
    tags_kept: int
    tags_dropped: int
    untagged_kept: int
    untagged_dropped: int
    bytes: int = Field(
        description="that would come free when nothing can be restored any more: of manifests, and of blobs "
        "that nothing else holds in these repositories or, for administrators of the registry, in any"
    )


class RetentionReport(Answer):
    """What was deleted. `changed`: repositories in which too much happened meanwhile; they are left for the
    next run. `next`: give it as `after` to go on; null at the end."""

    repositories: int
    tags: int
    manifests: int
    changed: int
    next: str | None


class RetentionScope(Input):
    """Where."""

    repositories: Pattern = Field("**", description="only repositories that match")


class RetentionRun(RetentionScope):
    """Where, and how far."""

    after: Text | None = Field(None, description="begin behind this repository: `next` of the run before")
    seconds: Duration = Field(20, description="after which it stops and says where to go on")


class RetentionQuestion(RetentionScope):
    """What to look at."""

    rule: NamedRetentionRule | None = Field(
        None, description="a rule to try, which is not set: in addition, or in place of the one of that name"
    )


class RetentionPageQuestion(RetentionQuestion):
    """What to look at, and which part of it."""

    last: Text | None = Field(None, description="begin behind this entry: `next` of the page before")
    n: int = Field(100, ge=1, le=PAGE_LIMIT, description="how many entries, at most")


class RetentionOperations:
    """Looking and doing."""

    def __init__(self, previews: Previews, retention: Retention, jobs: Jobs) -> None:
        self._previews = previews
        self._retention = retention
        self._jobs = jobs

    def operations(self) -> Sequence[Operation]:
        return [
            Operation(
                "retention.preview",
                "POST",
                "/retention/preview",
                "Show what retention would do to each tag, and why",
                Needs.REPOSITORY,
                self.preview,
                body=RetentionPageQuestion,
                answer=RetentionVerdictPage,
            ),
            Operation(
                "retention.summary",
                "POST",
                "/retention/summary",
                "Show what retention would do in numbers, and the bytes that would come free",
                Needs.REPOSITORY,
                self.summary,
                body=RetentionQuestion,
                answer=RetentionSummary,
            ),
            Operation(
                "retention.run",
                "POST",
                "/retention/run",
                "Delete now what no rule keeps",
                Needs.REPOSITORY,
                self.run,
                body=RetentionRun,
                answer=RetentionReport,
            ),
        ]

    async def preview(self, call: Call) -> RetentionVerdictPage:
        body: RetentionPageQuestion = call.body
        found, following = await self._previews.page(preview_of(call, body), body.last, body.n)
        return RetentionVerdictPage(verdicts=[verdict(entry) for entry in found], next=following)

    async def summary(self, call: Call) -> RetentionSummary:
        found = await self._previews.summary(preview_of(call, call.body))
        return RetentionSummary(**found._asdict())

    async def run(self, call: Call) -> RetentionReport:
        body: RetentionRun = call.body
        wanted = RepositoryPattern.parse(body.repositories)
        check_maintains(call, wanted)
        async with self._jobs.hold(JOB) as job:
            report, following = await self._retention.go_on(job, wanted, body.after, body.seconds)
            if following is None and wanted == EVERYTHING:  # else what is due is still due
                await job.finish(report)
        return RetentionReport(**report, next=following)


def preview_of(call: Call, question: RetentionQuestion) -> Preview:
    """What the caller may look at: repositories that he may set something for. Raises Unauthenticated and
    Denied where he names one that he may not."""
    pattern = RepositoryPattern.parse(question.repositories)
    if pattern.is_exact:
        check_repository(call, Action.CONFIGURE, str(pattern))
    rule = question.rule
    return Preview(
        pattern,
        lambda name: may(call.caller, Action.CONFIGURE, name, public=False),
        None if rule is None else rule.row(rule.name, call.actor.principal),
        everything=call.caller.is_administrator,
    )


def verdict(entry: Entry) -> RetentionVerdict:
    one = entry.verdict
    return RetentionVerdict(
        repository=entry.repository,
        tag=one.tag,
        digest=one.digest,
        kept=one.kept,
        rule=one.rule,
        reason=one.reason,
        pushed_at=moment(one.pushed_at),
        pulled_at=moment(one.pulled_at),
    )
