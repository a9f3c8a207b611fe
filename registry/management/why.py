"""The operation that tells why something is still here."""

from collections.abc import Sequence

from pydantic import Field

from auth.decisions import may
from auth.roles import Action
from registry.management.fields import Answer, Count, Input, Time
from registry.management.operation import Call, Needs, Operation
from registry.management.units import moment
from registry.oci.digest import Digest
from registry.services.why import Holder, Kind, Why


class TagVerdictAnswer(Answer):
    """What a setting or a retention rule says of a tag."""

    tag: str
    kept: bool = Field(description="false: retention would drop it now")
    rule: str | None = Field(description="the retention rule that decides; null: no rule does")
    reason: str = Field(examples=["is immutable"])


class HolderAnswer(Answer):
    """One thing that holds what was asked for."""

    kind: Kind = Field(
        description="manifest: it needs the blob; itself: it is this manifest; index: it lists it; subject: "
        "what was asked for refers to it; awaited: it cites the blob and was pushed before that; "
        "link: nothing in the repository needs it, and the collector will end that; "
        "deleted: it can be restored; in use: somebody runs it"
    )
    repository: str
    digest: str | None = Field(description="of the manifest that holds it")
    tags: list[str] = Field(description="on that manifest")
    through: str | None = Field(description="the manifest between it and what was asked for, if there is one")
    until: Time | None = Field(description="then it holds it no more; null: until it is deleted")
    by: str | None = Field(description="who deleted it, or who reports that it is in use")
    verdicts: list[TagVerdictAnswer] = Field(
        description="on its tags; none where the repositories before it have so many tags and manifests that "
        "one question can't look at all: ask for a preview of retention there"
    )


class BlobAnswer(Answer):
    """The bytes behind a digest."""

    size: int
    stored_at: Time | None = Field(description="by whomever; told to administrators only")
    leased_until: Time | None = Field(
        description="kept until then, whether anything needs it or not; told to administrators only"
    )
    examined_at: Time | None = Field(
        description="when the collector may look whether any repository has it; null: one has"
    )
    quarantined_at: Time | None = Field(description="when its bytes were found wrong or missing")
    location: str | None = Field(description="in the storage; told to administrators only")


class WhyAnswer(Answer):
    """What is known of a digest, as far as the caller may pull it. Nothing known: no blob and no holders."""

    digest: str
    blob: BlobAnswer | None = Field(description="null: no blob that the caller may know of has this digest")
    holders: list[HolderAnswer]
    more: bool = Field(description="whether there are more holders than were asked for")


class WhyQuery(Input):
    """How much is wanted."""

    n: Count = Field(100, description="how many holders, at most")


class WhyOperations:
    """Telling why."""

    def __init__(self, why: Why) -> None:
        self._why = why

    def operations(self) -> Sequence[Operation]:
        return [
            Operation(
                "why",
                "GET",
                "/why/{digest}",
                "Tell what holds a blob or a manifest: why it is still here",
                Needs.REPOSITORY,
                self.ask,
                query=WhyQuery,
                answer=WhyAnswer,
            )
        ]

    async def ask(self, call: Call) -> WhyAnswer:
        """Administrators learn all; others what they could find out by pulling. So they aren't told when the
        bytes came, or for whom they are leased: that may have been somebody else's push."""
        query: WhyQuery = call.query
        caller = call.caller
        everything = caller.is_administrator

        def shown(name: str, public: bool) -> bool:
            return everything or may(caller, Action.PULL, name, public=public)

        digest = Digest.parse(call.path["digest"])
        blob, holders, more = await self._why.ask(digest, shown, query.n, everything=everything)
        return WhyAnswer(
            digest=digest,
            blob=None
            if blob is None
            else BlobAnswer(
                size=blob.size,
                stored_at=moment(blob.created_at) if everything else None,
                leased_until=moment(blob.lease_until) if everything else None,
                examined_at=moment(blob.examine_at),
                quarantined_at=moment(blob.quarantined_at),
                location=blob.location if everything else None,
            ),
            holders=[holder_answer(holder) for holder in holders],
            more=more,
        )


def holder_answer(holder: Holder) -> HolderAnswer:
    return HolderAnswer(
        kind=holder.kind,
        repository=holder.repository,
        digest=holder.digest,
        tags=list(holder.tags),
        through=holder.through,
        until=moment(holder.until),
        by=holder.by,
        verdicts=[TagVerdictAnswer(**verdict._asdict()) for verdict in holder.verdicts],
    )
