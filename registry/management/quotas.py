"""Operations on quotas by prefix: for those who may set what counts for all below it."""

from collections.abc import Sequence
from functools import partial

from pydantic import Field

from auth.roles import Action
from registry.management.fields import Answer, Input, Page, Size
from registry.management.operation import Call, Needs, Operation
from registry.management.rights import check_repository, configures, denied
from registry.oci.name import RepositoryName
from registry.services.quotas import Limit, Quotas


class Quota(Answer):
    """How many bytes a repository and all below it may hold together, and how many they do."""

    prefix: str = Field(examples=["acme"])
    bytes: int
    used: int


class QuotaPage(Answer):
    """Quotas in the order of their prefixes. `next`: give it as `last` for more; null at the end."""

    quotas: list[Quota]
    next: str | None


class NewQuota(Input):
    """A quota, in place of the one before."""

    bytes: Size


class QuotaOperations:
    """Everything about quotas. A repository's own is also among its settings."""

    def __init__(self, quotas: Quotas) -> None:
        self._quotas = quotas

    def operations(self) -> Sequence[Operation]:
        needs = Needs.REPOSITORY
        path = "/quotas/{prefix}"
        return [
            Operation(
                "quota.list",
                "GET",
                "/quotas",
                "List the quotas that the caller may set",
                Needs.SIGNED_IN,
                self.page,
                query=Page,
                answer=QuotaPage,
            ),
            Operation(
                "quota.set",
                "PUT",
                path,
                "Limit a repository and all below it",
                needs,
                self.set,
                body=NewQuota,
                answer=Quota,
            ),
            Operation("quota.remove", "DELETE", path, "Lift a limit", needs, self.remove, status=204),
        ]

    async def page(self, call: Call) -> QuotaPage:
        query: Page = call.query
        rows, more = await self._quotas.page(query.last, query.n, partial(configures, call.caller))
        return QuotaPage(quotas=[quota_answer(row) for row in rows], next=rows[-1].prefix if more else None)

    async def set(self, call: Call) -> Quota:
        prefix = prefix_of(call)
        body: NewQuota = call.body
        return quota_answer(await self._quotas.set(prefix, body.bytes, call.actor))

    async def remove(self, call: Call) -> None:
        await self._quotas.remove(prefix_of(call), call.actor)


def prefix_of(call: Call) -> str:
    """The prefix in the path, if the caller may set what counts there. Raises NameInvalid, Unauthenticated
    and Denied."""
    prefix = RepositoryName.parse(call.path["prefix"])
    check_repository(call, Action.CONFIGURE, prefix)
    if not configures(call.caller, prefix):
        raise denied(
            call,
            f"a quota for {prefix} counts for all below it: it needs the role maintainer on a pattern that "
            f"covers {prefix}/**",
            Action.CONFIGURE,
            prefix,
        )
    return prefix


def quota_answer(limit: Limit) -> Quota:
    return Quota(prefix=limit.prefix, bytes=limit.bytes, used=limit.used)
