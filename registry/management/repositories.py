"""Operations on repositories: seeing those that the caller may pull from, their settings, their tags."""

from collections.abc import Sequence

from pydantic import Field

from auth.decisions import may
from auth.patterns import TagPattern
from auth.roles import Action
from registry.management.fields import (
    Answer,
    Input,
    Page,
    Search,
    Size,
    TagPatternText,
    Text,
    Time,
)
from registry.management.operation import Call, Needs, Operation
from registry.management.quotas import Quota, quota_answer
from registry.management.rights import check_repository, configures
from registry.management.units import moment
from registry.oci.name import RepositoryName, Tag
from registry.services.manifests import Manifests
from registry.services.quotas import Quotas
from registry.services.repositories import Repositories, RepositoryRow, RepositorySettings
from registry.services.tags import Tags


class RepositorySummary(Answer):
    """A repository in a list."""

    name: str = Field(examples=["acme/app"])
    public: bool = Field(description="whether everybody may pull, also those who are not signed in")
    description: str


class RepositoryPage(Answer):
    """Repositories in byte order. `next`: give it as `last` for more; null at the end."""

    repositories: list[RepositorySummary]
    next: str | None


class Repository(RepositorySummary):
    """A repository, its settings and what it holds."""

    immutable_tags: list[str] = Field(
        description="tags that match one of these patterns can't be moved or deleted", examples=[["v*"]]
    )
    tags: int
    manifests: int
    bytes: int = Field(description="of its blobs and manifests")
    quotas: list[Quota] = Field(description="those that count for it and that the caller may see")
    created_at: Time | None
    updated_at: Time | None = Field(description="when a setting was last changed; null: never")


class RepositoryChanges(Input):
    """What is to change; what is left out stays."""

    public: bool | None = None
    description: Text | None = None
    immutable_tags: list[TagPatternText] | None = Field(None, max_length=100)
    quota: Size | None = Field(
        None, description="bytes that this repository and all below it may hold; null: no quota of its own"
    )


class TagAnswer(Answer):
    """A tag, and the manifest that it points to."""

    name: str = Field(examples=["latest"])
    digest: str
    media_type: str
    updated_at: Time | None = Field(description="when it was last pointed somewhere")


class TagPage(Answer):
    """Tags in byte order. `next`: give it as `last` for more; null at the end."""

    tags: list[TagAnswer]
    next: str | None


class RepositoryOperations:
    """Everything about repositories but what goes by the Distribution API."""

    def __init__(self, repositories: Repositories, tags: Tags, manifests: Manifests, quotas: Quotas) -> None:
        self._repositories = repositories
        self._tags = tags
        self._manifests = manifests
        self._quotas = quotas

    def operations(self) -> Sequence[Operation]:
        needs = Needs.REPOSITORY
        path = "/repositories/{repository}"
        return [
            Operation(
                "repository.list",
                "GET",
                "/repositories",
                "List the repositories that the caller may pull from",
                needs,
                self.page,
                query=Search,
                answer=RepositoryPage,
            ),
            Operation(
                "tag.list",
                "GET",
                f"{path}/-/tags",
                "List the tags of a repository",
                needs,
                self.tags,
                query=Page,
                answer=TagPage,
            ),
            Operation(
                "tag.delete",
                "DELETE",
                f"{path}/-/tags/{{tag}}",
                "Delete a tag",
                needs,
                self.remove_tag,
                status=204,
            ),
            Operation("repository.get", "GET", path, "Show a repository", needs, self.get, answer=Repository),
            Operation(
                "repository.configure",
                "PATCH",
                path,
                "Set something for a repository, existing or not",
                needs,
                self.configure,
                body=RepositoryChanges,
                answer=Repository,
            ),
            Operation(
                "repository.delete",
                "DELETE",
                path,
                "Delete a repository with all that it holds",
                needs,
                self.remove,
                status=204,
            ),
        ]

    async def page(self, call: Call) -> RepositoryPage:
        query: Search = call.query
        rows, more = await self._repositories.page(call.caller, query.last, query.n, query.search)
        return RepositoryPage(
            repositories=[
                RepositorySummary(name=row.name, public=row.public, description=row.description)
                for row in rows
            ],
            next=rows[-1].name if more else None,
        )

    async def get(self, call: Call) -> Repository:
        name = await self._visible(call)
        return await self._repository(call, name)

    async def configure(self, call: Call) -> Repository:
        name = repository_of(call)
        check_repository(call, Action.CONFIGURE, name)
        body: RepositoryChanges = call.body
        patterns = body.immutable_tags
        settings = RepositorySettings(
            body.public,
            body.description,
            None if patterns is None else tuple(TagPattern.parse(pattern) for pattern in patterns),
        )
        await self._repositories.configure(name, settings, call.actor)
        if body.quota is not None:
            await self._quotas.set(name, body.quota, call.actor)
        elif "quota" in body.model_fields_set:
            await self._quotas.clear(name, call.actor)
        return await self._repository(call, name)

    async def remove(self, call: Call) -> None:
        name = repository_of(call)
        check_repository(call, Action.DELETE, name)
        await self._repositories.remove(name, call.actor)

    async def tags(self, call: Call) -> TagPage:
        name = await self._visible(call)
        query: Page = call.query
        rows, more = await self._tags.details(name, query.last, query.n)
        found = [
            TagAnswer(
                name=row.name,
                digest=row.digest,
                media_type=row.media_type,
                updated_at=moment(row.updated_at),
            )
            for row in rows
        ]
        return TagPage(tags=found, next=rows[-1].name if more else None)

    async def remove_tag(self, call: Call) -> None:
        name = repository_of(call)
        check_repository(call, Action.DELETE, name)
        await self._manifests.delete(name, Tag.parse(call.path["tag"]), call.actor)

    async def _visible(self, call: Call) -> RepositoryName:
        """The repository in the path, if the caller may pull from it; existing or not is told to no other."""
        name = repository_of(call)
        row: RepositoryRow | None = await self._repositories.find(name)
        check_repository(call, Action.PULL, name, public=row is not None and row.public)
        return name

    async def _repository(self, call: Call, name: RepositoryName) -> Repository:
        row, counts = await self._repositories.get(name)
        quotas = (
            await self._quotas.of_repository(name)
            if may(call.caller, Action.CONFIGURE, name, public=False)
            else []
        )
        return Repository(
            name=row.name,
            public=row.public,
            description=row.description,
            immutable_tags=list(row.immutable_tags),
            tags=counts.tags,
            manifests=counts.manifests,
            bytes=counts.bytes,
            quotas=[
                quota_answer(quota)
                for quota in quotas
                if quota.prefix == name or configures(call.caller, quota.prefix)
            ],
            created_at=moment(row.created_at),
            updated_at=moment(row.updated_at),
        )


def repository_of(call: Call) -> RepositoryName:
    """The repository in the path. Raises NameInvalid."""
    return RepositoryName.parse(call.path["repository"])
