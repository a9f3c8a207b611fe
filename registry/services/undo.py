"""Undo: restoring tags, manifests and repositories, each with what went with it, in one transaction."""

import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import NamedTuple, TypeVar

from auth.actor import Actor
from auth.decisions import may
from auth.identity import Identity
from auth.roles import Action
from registry.index import (
    Connection,
    Index,
    manifests,
    quotas,
    removed,
    repositories,
    restored,
    tag_history,
    tags,
)
from registry.index.manifests import ManifestRow
from registry.index.restored import RemovedRepository
from registry.oci.digest import Digest
from registry.oci.errors import Conflict, Unknown
from registry.oci.name import RepositoryName, Tag
from registry.services.audit import Audit, AuditRow
from registry.services.batches import rows_after
from registry.services.history import facts_or_raise, said, tagged_at
from registry.services.policies import check_may_move, check_quota, held_immutable
from registry.services.restoring import MOST_NAMED, BroughtBack, bring_back

__all__ = ["RemovedRepository", "Restored", "RestoredRepository", "Undo"]

Result = TypeVar("Result")

RESTORING = (Action.PUSH, Action.DELETE)
"""What somebody must be allowed to do who restores something."""

BATCH = 500


class Restored(NamedTuple):
    """What came back: the manifest that was asked for unless it was there, its children and referrers; and
    the tags that point to it again, or attach something to any of these. `missing` is what one of them lists
    and is not kept any more."""

    digest: Digest
    manifests: tuple[str, ...]
    tags: tuple[str, ...]
    missing: tuple[str, ...]


class RestoredRepository(NamedTuple):
    """`damaged` are blobs that it needs and that are quarantined: they are to be pushed again."""

    name: RepositoryName
    uid: str
    damaged: tuple[str, ...]


class Undo:
    """Restores what was deleted, for as long as it is kept."""

    def __init__(self, index: Index, audit: Audit) -> None:
        self._index = index
        self._audit = audit

    async def restore_tag(self, repository: RepositoryName, tag: Tag, at: float, actor: Actor) -> Restored:
        """Point a tag to where it pointed at a time (seconds since the epoch).

        Raises RepositoryUnknown, NotKept, Conflict if a blob is damaged, TagImmutable, QuotaExceeded.
        """

        def change(connection: Connection) -> tuple[Restored, AuditRow]:
            now = time.time()
            quotas.lock_of_repository(connection, repository)
            row = facts_or_raise(connection, repository)
            digest = Digest(tagged_at(connection, row, repository, tag, at))
            check_may_move(connection, repository, (tag,), digest)
            back = bring_back(connection, repository, row, digest, now)
            here = _here(connection, repository, digest)
            moved = () if tags.digest_of(connection, repository, tag) == digest else (tag,)
            for name in moved:
                tags.point(connection, row.id, name, here.id, digest, actor.principal, now)
            attached = _attach(connection, repository, row.id, back, actor.principal, now)
            result = Restored(digest, back.manifests, (*moved, *attached), back.missing)
            detail = {"tag": tag, "at": said(at), "digest": digest, "manifests": result.manifests}
            return result, self._audit.record(connection, actor, "tag.restore", repository, detail)

        return await self._make(change)

    async def restore_manifest(
        self, repository: RepositoryName, digest: Digest, actor: Actor, *, with_tags: bool
    ) -> Restored:
        """Have a deleted manifest again; `with_tags`: and the tags that went with it, unless they are there.

        Raises RepositoryUnknown, NotKept, Conflict if a blob is damaged, and QuotaExceeded.
        """

        def change(connection: Connection) -> tuple[Restored, AuditRow]:
            now = time.time()
            quotas.lock_of_repository(connection, repository)
            row = facts_or_raise(connection, repository)
            lost = removed.lock(connection, row.uid, [digest])
            back = bring_back(connection, repository, row, digest, now)
            gone: Sequence[str] = ()
            if with_tags and lost and digest in back.manifests:
                gone = tag_history.gone_with(connection, row.id, digest, lost[0].removed_at)
            held_immutable(connection, repository, gone)
            here = _here(connection, repository, digest)
            by = actor.principal
            added = [one for one in gone if tags.add(connection, row.id, one, here.id, digest, by, now)]
            added += _attach(connection, repository, row.id, back, by, now)
            result = Restored(digest, back.manifests, tuple(added), back.missing)
            detail = {"digest": digest, "manifests": result.manifests, "tags": result.tags}
            return result, self._audit.record(connection, actor, "manifest.restore", repository, detail)

        return await self._make(change)

    async def restore_repository(
        self, name: RepositoryName, uid: str | None, new_name: RepositoryName | None, actor: Actor
    ) -> RestoredRepository:
        """Have a deleted repository again, under its name or another one. `uid` tells which, if several of
        that name were deleted. Raises Unknown, Conflict and QuotaExceeded."""
        target = new_name or name

        def change(connection: Connection) -> tuple[RestoredRepository, AuditRow]:
            now = time.time()
            quotas.lock_of_repository(connection, target)
            row = _chosen(connection, name, uid)
            there = repositories.details(connection, target)
            if there is not None:
                raise Conflict(
                    f"{target} is there again, made at {said(there.created_at)}: restore under another name, "
                    "or delete that one first",
                    {"repository": target, "uid": there.uid},
                )
            id = restored.bring_back_repository(connection, row, target, actor.principal, now)
            check_quota(connection, target)
            result = RestoredRepository(target, row.uid, tuple(restored.damaged(connection, id, MOST_NAMED)))
            detail = {"uid": row.uid, "removed_at": said(row.removed_at)}
            detail |= {} if new_name is None else {"from": name}
            return result, self._audit.record(connection, actor, "repository.restore", target, detail)

        return await self._make(change)

    async def removed_repositories(
        self, identity: Identity, last: str | None, limit: int, search: str | None = None
    ) -> tuple[Sequence[RemovedRepository], bool]:
        """At most `limit` deleted repositories that somebody may restore, in the order of their names, after
        the cursor `last` (see `cursor_of`); and whether more follow."""

        def query(connection: Connection) -> list[RemovedRepository]:
            rows = rows_after(
                None if last is None else _cursor(last),
                lambda after, count: restored.page(connection, after, count, search),
                lambda row: (row.name, row.uid),
                BATCH,
            )
            return list(islice((row for row in rows if may_restore(identity, row.name)), limit + 1))

        found = await self._index.read(query)
        return found[:limit], len(found) > limit

    async def _make(self, change: Callable[[Connection], tuple[Result, AuditRow]]) -> Result:
        result, row = await self._index.write(change)
        self._audit.tell(row)
        return result


def may_restore(identity: Identity, repository: str) -> bool:
    """Whether somebody may restore a repository: it takes what deleting and pushing it takes."""
    return all(may(identity, action, repository, public=False) for action in RESTORING)


def cursor_of(row: RemovedRepository) -> str:
    """Where a page ends, for `removed_repositories`. No name has an @."""
    return f"{row.name}@{row.uid}"


def _cursor(text: str) -> tuple[str, str]:
    name, _, uid = text.partition("@")
    return name, uid


def _chosen(connection: Connection, name: str, uid: str | None) -> RemovedRepository:
    rows = [row for row in restored.lock_called(connection, name) if uid in (None, row.uid)]
    if not rows:
        raise Unknown("deleted repository", name if uid is None else f"{name} (uid {uid})")
    if len(rows) > 1:
        each = ", ".join(f"{row.uid} (deleted at {said(row.removed_at)})" for row in rows)
        raise Conflict(
            f"{len(rows)} repositories called {name} were deleted: say the uid of one: {each}",
            {"uids": [row.uid for row in rows]},
        )
    return rows[0]


def _attach(
    connection: Connection, repository: str, repository_id: int, back: BroughtBack, by: str | None, now: float
) -> list[str]:
    """Set the tags that attach what came back, unless they are there; those that were set."""
    held_immutable(connection, repository, [name for name, _ in back.tags])
    found = [(name, _here(connection, repository, Digest(digest))) for name, digest in back.tags]
    return [one for one, to in found if tags.add(connection, repository_id, one, to.id, to.digest, by, now)]


def _here(connection: Connection, repository: str, digest: Digest) -> ManifestRow:
    """A manifest that was brought back, or had not gone."""
    row = manifests.find_by_digest(connection, repository, digest)
    assert row is not None
    return row
