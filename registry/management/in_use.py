"""Operations on digests in use: for whoever runs them, which takes the right to pull."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from auth.decisions import decide, may
from auth.roles import Action
from registry.management.fields import Answer, Duration, Input, Name, Page, Time
from registry.management.operation import Call, Needs, Operation
from registry.management.rights import check_somebody
from registry.management.units import moment
from registry.oci.digest import Digest
from registry.oci.errors import InputInvalid, RegistryError
from registry.oci.name import RepositoryName
from registry.services.in_use import InUse, InUseRow, Key

MOST_DIGESTS = 5000
"""In one report; a larger cluster reports under several names."""

LONGEST_LEASE = 30 * 86400

Reference = Annotated[
    str,
    Field(max_length=255 + 1 + 200, examples=[f"acme/app@sha256:{64 * 'a'}"]),
]


class DigestInUse(Answer):
    """A digest that somebody says he runs."""

    repository: str
    digest: str
    reporter: str
    reported_by: str = Field(examples=["robot:cluster"])
    reported_at: Time | None
    until: Time | None = Field(description="until then it is not dropped, unless it is reported again")


class DigestInUsePage(Answer):
    """By repository and digest. `next`: give it as `last` for more; null at the end."""

    digests: list[DigestInUse]
    next: str | None


class InUseReport(Input):
    """All that a reporter runs now: what the caller said under this name before is forgotten."""

    reporter: Name = Field(examples=["production"])
    lease_seconds: Duration = Field(description="how long it counts; at most 30d", examples=["2h"])
    digests: list[Reference] = Field(max_length=MOST_DIGESTS, description="repositories with digests")


class RefusedDigest(Answer):
    """What was not entered."""

    digest: str = Field(description="as it was reported")
    reason: str


class InUseReceipt(Answer):
    """What was entered: everything but what was refused."""

    digests: int
    until: Time | None
    refused: list[RefusedDigest]


class InUseOperations:
    """Reporting and listing. Whoever runs something may pull it, and so may say that he does; that everybody
    may pull is not enough, or anybody could fill a public repository for ever."""

    def __init__(self, in_use: InUse) -> None:
        self._in_use = in_use

    def operations(self) -> Sequence[Operation]:
        return [
            Operation(
                "in-use.list",
                "GET",
                "/in-use",
                "List the digests in use of repositories from which the caller may pull by a grant",
                Needs.REPOSITORY,
                self.page,
                query=Page,
                answer=DigestInUsePage,
            ),
            Operation(
                "in-use.report",
                "POST",
                "/in-use",
                "Say which digests are in use",
                Needs.REPOSITORY,
                self.report,
                body=InUseReport,
                answer=InUseReceipt,
            ),
        ]

    async def page(self, call: Call) -> DigestInUsePage:
        check_somebody(call.caller)
        query: Page = call.query
        last = None if query.last is None else parse_key(query.last)
        rows, more = await self._in_use.page(
            last, query.n, lambda row: may(call.caller, Action.PULL, row.repository, public=False)
        )
        return DigestInUsePage(
            digests=[answer(row) for row in rows], next=" ".join(rows[-1][:4]) if more else None
        )

    async def report(self, call: Call) -> InUseReceipt:
        body: InUseReport = call.body
        if body.lease_seconds > LONGEST_LEASE:
            raise InputInvalid([("lease_seconds", "should be 30d at most")])
        found: list[tuple[str, str]] = []
        refused: list[RefusedDigest] = []
        for text in body.digests:
            repository, digest = parse_reference(text)
            decision = decide(call.caller, Action.PULL, repository, public=False)
            if decision.allowed:
                found.append((repository, digest))
            else:
                refused.append(RefusedDigest(digest=text, reason=decision.reason))
        until = await self._in_use.report(body.reporter, found, body.lease_seconds, call.actor)
        return InUseReceipt(digests=len(set(found)), until=moment(until), refused=refused)


def parse_reference(text: str) -> tuple[str, str]:
    """The repository and the digest. Raises InputInvalid."""
    repository, _, digest = text.partition("@")
    try:
        return RepositoryName.parse(repository), Digest.parse(digest)
    except RegistryError as error:
        problem = f"{text!r} should be like acme/app@sha256:...: {error.message}"
        raise InputInvalid([("digests", problem)]) from error


def parse_key(text: str) -> Key:
    """The cursor that a page gave. Raises InputInvalid."""
    parts = text.split(" ", 3)
    if len(parts) != 4:
        raise InputInvalid([("last", "should be `next` of the page before")])
    return parts[0], parts[1], parts[2], parts[3]


def answer(row: InUseRow) -> DigestInUse:
    return DigestInUse(**row._asdict() | {"reported_at": moment(row.reported_at), "until": moment(row.until)})
