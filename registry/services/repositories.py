"""Repositories: listing those that somebody may see, setting what counts for one, removing one whole."""

import time
from collections.abc import Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple

from auth.actor import Actor
from auth.decisions import may
from auth.identity import Identity
from auth.patterns import TagPattern
from auth.roles import Action
from registry.index import Connection, Index, quotas, repositories, tags
from registry.index.repositories import RepositoryCounts, RepositoryRow
from registry.oci.errors import DeletionDisabled, RepositoryUnknown
from registry.oci.name import RepositoryName
from registry.services.accounts.changes import Changes, Event
from registry.services.audit import Audit
from registry.services.batches import rows_after
from registry.services.policies import check_may_go

__all__ = ["Repositories", "RepositoryDetails", "RepositoryRow", "RepositorySettings"]

BATCH = 500
"""Names read at once where not each of them may be shown."""


class RepositoryDetails(NamedTuple):
    """What is set for a repository, and what it holds."""

    row: RepositoryRow
    counts: RepositoryCounts


class RepositorySettings(NamedTuple):
    """What is to be set; None stays as it is."""

    public: bool | None = None
    description: str | None = None
    immutable_tags: Sequence[TagPattern] | None = None

    def values(self) -> dict[str, object]:
        """By the names of the index, without what stays."""
        given = self._asdict()
        if self.immutable_tags is not None:
            given["immutable_tags"] = [str(pattern) for pattern in self.immutable_tags]
        return {name: value for name, value in given.items() if value is not None}


class Repositories:
    """All repositories. `deletion`: whether one may be removed whole, `keep_deleted`: whether such a one can
    be restored for a while."""

    def __init__(self, index: Index, audit: Audit, *, deletion: bool, keep_deleted: bool = True) -> None:
        self._index = index
        self._changes = Changes(index, audit)
        self._deletion = deletion
        self._keep_deleted = keep_deleted

    async def page(
        self, identity: Identity | None, last: str | None, limit: int, search: str | None = None
    ) -> tuple[Sequence[RepositoryRow], bool]:
        """At most `limit` repositories after the name `last` that somebody may pull from, in byte order, and
        whether more follow. None may see all."""
        everything = identity is None or identity.is_administrator
        prefixes = None if everything or identity is None else prefixes_of(identity)

        def shown(row: RepositoryRow) -> bool:
            return everything or identity is None or may(identity, Action.PULL, row.name, public=row.public)

        def query(connection: Connection) -> list[RepositoryRow]:
            batch = limit + 1 if everything else BATCH
            read = partial(repositories.page_visible, connection, prefixes=prefixes, search=search)
            return list(islice(filter(shown, rows_after(last, read, lambda row: row.name, batch)), limit + 1))

        if not limit:
            return [], False
        found = await self._index.read(query)
        return found[:limit], len(found) > limit

    async def find(self, name: RepositoryName) -> RepositoryRow | None:
        """What is set for a repository, None if there is none."""
        return await self._index.read(lambda connection: repositories.details(connection, name))

    async def get(self, name: RepositoryName) -> RepositoryDetails:
        """Raises RepositoryUnknown."""

        def query(connection: Connection) -> RepositoryDetails:
            row = details(connection, name)
            return RepositoryDetails(row, repositories.counts(connection, row.id))

        return await self._index.read(query)

    async def configure(self, name: RepositoryName, settings: RepositorySettings, actor: Actor) -> None:
        """Set something for a repository, which is made if nobody has pushed to it yet."""
        values = settings.values()

        def change(connection: Connection) -> None:
            now = time.time()
            repository_id = repositories.ensure(connection, name, now)
            repositories.configure(connection, repository_id, values | {"updated_at": now})

        events = [Event("repository.configure", name, values)] if values else []
        await self._changes.make(change, actor, *events)

    async def remove(self, name: RepositoryName, actor: Actor) -> None:
        """With its tags, manifests, history and settings; the bytes are collected later.

        Raises RepositoryUnknown, DeletionDisabled, and TagImmutable while it has such a tag.
        """
        if not self._deletion:
            raise DeletionDisabled("deleting manifests is switched off on this registry (deletion.manifests)")
        now = time.time()

        def change(connection: Connection) -> None:
            quotas.lock_of_repository(connection, name)
            row = details(connection, name)
            check_no_tag_stays(connection, row)
            repositories.remove(connection, row.id, actor.principal, now, keep=self._keep_deleted)

        await self._changes.make(change, actor, Event("repository.delete", name))


def details(connection: Connection, name: str) -> RepositoryRow:
    """Raises RepositoryUnknown."""
    row = repositories.details(connection, name)
    if row is None:
        raise RepositoryUnknown(name)
    return row


def check_no_tag_stays(connection: Connection, row: RepositoryRow) -> None:
    """Raise TagImmutable while the repository has a tag that may not be deleted."""
    last: str | None = None
    while row.immutable_tags and (names := tags.page(connection, row.id, last, BATCH)):
        check_may_go(connection, row.name, names)
        last = names[-1]


def prefixes_of(identity: Identity) -> list[str]:
    """What the names of all repositories begin with that are not public and that somebody may pull from."""
    prefixes = sorted({grant.pattern.prefix for grant in identity.grants})
    shortest: list[str] = []
    for prefix in prefixes:
        if not shortest or not prefix.startswith(shortest[-1]):
            shortest.append(prefix)
    return shortest
