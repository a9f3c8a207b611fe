"""Operations that tell how many bytes lie where."""

from collections.abc import Sequence

from pydantic import Field

from auth.roles import Action
from registry.management.fields import Answer, Count, Input
from registry.management.operation import Call, Needs, Operation
from registry.management.rights import check_repository
from registry.oci.name import RepositoryName
from registry.services.repositories import Repositories
from registry.services.usage import Usage


class RepositoryUsageAnswer(Answer):
    """The bytes of a repository's blobs and manifests."""

    name: str = Field(examples=["acme/app"])
    bytes: int
    exclusive: int = Field(description="those that no other repository holds")
    shared: int = Field(description="those that others hold, too")


class RegistryUsageAnswer(Answer):
    """What there is, and the largest repositories, these first."""

    repositories: int
    blobs: int
    bytes: int = Field(description="of blobs, each of them once, and of manifests")
    largest: list[RepositoryUsageAnswer]


class TagUsageAnswer(Answer):
    """The bytes behind a tag: of its manifest, of what that lists, of what refers to any of them, and of all
    their blobs."""

    name: str = Field(examples=["latest"])
    bytes: int
    exclusive: int = Field(
        description="those behind no other tag, in no untagged manifest and, for administrators of the "
        "registry, in no other repository: what would come free without this tag"
    )
    shared: int


class TagUsagePage(Answer):
    """The tags that hold most by themselves, these first."""

    tags: list[TagUsageAnswer]


class UsageQuery(Input):
    """How much is wanted."""

    n: Count = Field(100, description="how many, at most")


class UsageOperations:
    """Counting bytes."""

    def __init__(self, usage: Usage, repositories: Repositories) -> None:
        self._usage = usage
        self._repositories = repositories

    def operations(self) -> Sequence[Operation]:
        return [
            Operation(
                "usage.registry",
                "GET",
                "/usage",
                "Tell how many bytes lie in which repositories",
                Needs.ADMINISTRATOR,
                self.registry,
                query=UsageQuery,
                answer=RegistryUsageAnswer,
            ),
            Operation(
                "usage.repository",
                "GET",
                "/repositories/{repository}/-/usage",
                "Tell how many bytes lie behind which tags",
                Needs.REPOSITORY,
                self.repository,
                query=UsageQuery,
                answer=TagUsagePage,
            ),
        ]

    async def registry(self, call: Call) -> RegistryUsageAnswer:
        query: UsageQuery = call.query
        totals, largest = await self._usage.registry(query.n)
        return RegistryUsageAnswer(
            repositories=totals.repositories,
            blobs=totals.blobs,
            bytes=totals.bytes,
            largest=[
                RepositoryUsageAnswer(**row._asdict(), shared=row.bytes - row.exclusive) for row in largest
            ],
        )

    async def repository(self, call: Call) -> TagUsagePage:
        query: UsageQuery = call.query
        name = RepositoryName.parse(call.path["repository"])
        row = await self._repositories.find(name)
        check_repository(call, Action.PULL, name, public=row is not None and row.public)
        tags = await self._usage.repository(name, query.n, everything=call.caller.is_administrator)
        return TagUsagePage(
            tags=[TagUsageAnswer(**tag._asdict(), shared=tag.bytes - tag.exclusive) for tag in tags]
        )
