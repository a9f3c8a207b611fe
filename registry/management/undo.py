"""Operations that look at the past of a repository, and restore what was deleted."""

from collections.abc import Sequence

from pydantic import Field

from auth.roles import Action
from registry.management.fields import Answer, Input, Line, PastMoment, RowPage, Search, Time
from registry.management.operation import Call, Needs, Operation
from registry.management.repositories import repository_of
from registry.management.rights import check_repository
from registry.management.units import moment
from registry.oci.digest import Digest
from registry.oci.name import RepositoryName, Tag
from registry.services.history import History, HistoryRow
from registry.services.repositories import Repositories
from registry.services.undo import RESTORING, RemovedRepository, Restored, Undo, cursor_of


class HistoryEntry(Answer):
    """Where a tag pointed from a time on."""

    id: int
    at: Time | None
    digest: str | None = Field(description="null: it was deleted then")
    by: str | None = Field(examples=["user:alice"])
    restorable: bool = Field(description="whether the manifest is here, or deleted and kept")
    kept_until: Time | None = Field(description="when one that was deleted goes for good, at the earliest")


class TagHistory(Answer):
    """The newest first. `next`: give it as `last` for older ones; null at the end."""

    entries: list[HistoryEntry]
    next: int | None


class TagMoment(Input):
    """Which past of a tag is wanted."""

    at: PastMoment


class ManifestRestoration(Input):
    """How a manifest is restored."""

    tags: bool = Field(True, description="with the tags that were deleted with it, unless they are there")


class RestoredManifests(Answer):
    """What came back."""

    digest: str = Field(description="the manifest that was asked for; it may have been here")
    manifests: list[str] = Field(description="those that came back: it, what it lists, and who refers to it")
    tags: list[str] = Field(description="those that point to it again")
    missing: list[str] = Field(description="what one of them lists and is not kept any more")


class DeletedRepository(Answer):
    """A repository that was deleted."""

    uid: str = Field(examples=["3f2a9c1b7d604e58"])
    name: str = Field(examples=["acme/app"])
    public: bool
    description: str
    created_at: Time | None
    removed_at: Time | None
    removed_by: str | None = Field(examples=["user:alice"])
    kept_until: Time | None = Field(description="when it goes for good, at the earliest")


class DeletedRepositoryPage(Answer):
    """Deleted repositories by name. `next`: give it as `last` for more; null at the end."""

    repositories: list[DeletedRepository]
    next: str | None


class RepositoryRestoration(Input):
    """Which repository comes back, and under what name."""

    uid: Line | None = Field(None, description="needed if several of that name were deleted")
    name: Line | None = Field(
        None, description="another name, if the old one is taken", examples=["acme/app-old"]
    )


class RestoredRepository(Answer):
    """The repository that came back."""

    name: str
    uid: str
    damaged: list[str] = Field(description="blobs that it needs and whose bytes are wrong: push them again")


class UndoOperations:
    """Everything about the past. `window_seconds`: how long what is deleted is kept."""

    def __init__(
        self, history: History, undo: Undo, repositories: Repositories, window_seconds: float
    ) -> None:
        self._history = history
        self._undo = undo
        self._repositories = repositories
        self._window_seconds = window_seconds

    def operations(self) -> Sequence[Operation]:
        needs = Needs.REPOSITORY
        path = "/repositories/{repository}"
        return [
            Operation(
                "tag.history",
                "GET",
                f"{path}/-/tags/{{tag}}/history",
                "List where a tag pointed",
                needs,
                self.tag_history,
                query=RowPage,
                answer=TagHistory,
            ),
            Operation(
                "tag.restore",
                "POST",
                f"{path}/-/tags/{{tag}}/restore",
                "Point a tag to where it pointed at a time",
                needs,
                self.restore_tag,
                body=TagMoment,
                answer=RestoredManifests,
            ),
            Operation(
                "manifest.restore",
                "POST",
                f"{path}/-/manifests/{{digest}}/restore",
                "Restore a manifest that was deleted",
                needs,
                self.restore_manifest,
                body=ManifestRestoration,
                answer=RestoredManifests,
            ),
            Operation(
                "repository.removed",
                "GET",
                "/removed-repositories",
                "List the deleted repositories that the caller may restore",
                needs,
                self.removed,
                query=Search,
                answer=DeletedRepositoryPage,
            ),
            Operation(
                "repository.restore",
                "POST",
                f"{path}/-/restore",
                "Restore a repository that was deleted",
                needs,
                self.restore_repository,
                body=RepositoryRestoration,
                answer=RestoredRepository,
            ),
        ]

    async def tag_history(self, call: Call) -> TagHistory:
        name = repository_of(call)
        row = await self._repositories.find(name)
        check_repository(call, Action.PULL, name, public=row is not None and row.public)
        query: RowPage = call.query
        rows, more = await self._history.page(name, Tag.parse(call.path["tag"]), query.last, query.n)
        return TagHistory(entries=[self._entry(row) for row in rows], next=rows[-1].id if more else None)

    async def restore_tag(self, call: Call) -> RestoredManifests:
        name = self._restorable(call)
        body: TagMoment = call.body
        tag = Tag.parse(call.path["tag"])
        return answer(await self._undo.restore_tag(name, tag, body.at, call.actor))

    async def restore_manifest(self, call: Call) -> RestoredManifests:
        name = self._restorable(call)
        body: ManifestRestoration = call.body
        digest = Digest.parse(call.path["digest"])
        return answer(await self._undo.restore_manifest(name, digest, call.actor, with_tags=body.tags))

    async def removed(self, call: Call) -> DeletedRepositoryPage:
        query: Search = call.query
        rows, more = await self._undo.removed_repositories(call.caller, query.last, query.n, query.search)
        return DeletedRepositoryPage(
            repositories=[self._deleted(row) for row in rows], next=cursor_of(rows[-1]) if more else None
        )

    async def restore_repository(self, call: Call) -> RestoredRepository:
        name = self._restorable(call)
        body: RepositoryRestoration = call.body
        new_name = None
        if body.name is not None:
            new_name = RepositoryName.parse(body.name)
            check_restorable(call, new_name)
        back = await self._undo.restore_repository(name, body.uid, new_name, call.actor)
        return RestoredRepository(name=back.name, uid=back.uid, damaged=list(back.damaged))

    def _restorable(self, call: Call) -> RepositoryName:
        name = repository_of(call)
        check_restorable(call, name)
        return name

    def _entry(self, row: HistoryRow) -> HistoryEntry:
        gone_at = None if row.is_here else row.removed_at
        return HistoryEntry(
            id=row.id,
            at=moment(row.at),
            digest=row.digest,
            by=row.by,
            restorable=row.is_here or gone_at is not None,
            kept_until=self._until(gone_at),
        )

    def _deleted(self, row: RemovedRepository) -> DeletedRepository:
        times = {
            "created_at": moment(row.created_at),
            "removed_at": moment(row.removed_at),
            "kept_until": self._until(row.removed_at),
        }
        return DeletedRepository(**(row._asdict() | times))

    def _until(self, removed_at: float | None) -> Time | None:
        return None if removed_at is None else moment(removed_at + self._window_seconds)


def check_restorable(call: Call, repository: RepositoryName) -> None:
    """Raise Unauthenticated or Denied for who may not delete from it and push to it."""
    for action in reversed(RESTORING):
        check_repository(call, action, repository)


def answer(back: Restored) -> RestoredManifests:
    return RestoredManifests(
        digest=back.digest,
        manifests=list(back.manifests),
        tags=list(back.tags),
        missing=list(back.missing),
    )
