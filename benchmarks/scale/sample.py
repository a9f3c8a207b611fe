"""What the queries ask for: rows drawn from a filled index, the same ones for the same index."""

import random
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, func, select

from benchmarks.scale.shape import SIGNATURE, Scale, organisation, repository_name
from registry.index.tables import (
    audit,
    blobs,
    manifests,
    principals,
    repositories,
    repository_blobs,
    tags,
    uploads,
)

SIZE = 300


class Tagged(NamedTuple):
    """A tag with the manifest that it points to."""

    repository_id: int
    repository: str
    tag: str
    manifest_id: int
    digest: str


class Linked(NamedTuple):
    """A blob in a repository."""

    repository: str
    digest: str


class Sample:
    """`largest` is the repository with the most tags."""

    def __init__(self, connection: Connection, scale: Scale) -> None:
        self.scale = scale
        self._random = random.Random(1)
        self.largest = repository_name(scale, 0)
        self.largest_id = 1
        self.large_organisation, self.organisation = organisation(0), organisation(scale.organisations - 1)
        self.tags = self._tags(connection)
        self.tags_of_largest = [
            Tagged(self.largest_id, self.largest, *row)
            for row in connection.execute(
                select(tags.c.name, manifests.c.id, manifests.c.digest)
                .join(manifests, manifests.c.id == tags.c.manifest_id)
                .where(tags.c.repository_id == self.largest_id)
                .order_by(tags.c.name)
            )
        ]
        self.repositories = sorted(self._column(connection, select(repositories.c.name), repositories.c.id))
        self.blobs = self._linked(connection)
        self.subjects = [
            Linked(*row)
            for row in connection.execute(
                select(repositories.c.name, manifests.c.subject)
                .join(repositories, repositories.c.id == manifests.c.repository_id)
                .where(manifests.c.artifact_type == SIGNATURE)
                .order_by(manifests.c.id)
                .limit(SIZE)
            )
        ]
        self.users: list[int] = self._column(
            connection, select(principals.c.id).where(principals.c.kind == "user"), principals.c.id
        )
        self.base_layer = connection.execute(select(blobs.c.digest).where(blobs.c.id == 1)).scalar_one()
        self.holders = [
            Linked(name, self.base_layer)
            for name in connection.execute(
                select(repositories.c.name)
                .join(repository_blobs, repository_blobs.c.repository_id == repositories.c.id)
                .where(repository_blobs.c.blob_id == 1)
                .order_by(repositories.c.id)
                .limit(4 * SIZE)
            ).scalars()
        ]
        self.running = [
            (str(id), str(repository))
            for id, repository in connection.execute(
                select(uploads.c.id, uploads.c.repository).where(uploads.c.finished.is_(None)).order_by("id")
            )
        ]
        self.newest_entry = int(connection.execute(select(func.max(audit.c.id))).scalar_one())
        self.seldom = (
            connection.execute(
                select(audit.c.target)
                .where(audit.c.action == "push")
                .group_by("target")
                .order_by(func.count(), "target")
            )
            .scalars()
            .first()
        )
        self.now = float(connection.execute(select(func.max(audit.c.at))).scalar_one())

    def choice(self, among: Sequence[Any]) -> Any:
        """One of these; the next time another."""
        return self._random.choice(among)

    def _tags(self, connection: Connection) -> list[Tagged]:
        """Tags of manifests drawn by id, so that large repositories come often."""
        last = int(connection.execute(select(func.max(manifests.c.id))).scalar_one())
        drawn = sorted({self._random.randint(1, last) for _ in range(4 * SIZE)})
        query = (
            select(repositories.c.id, repositories.c.name, tags.c.name, manifests.c.id, manifests.c.digest)
            .select_from(tags)
            .join(manifests, manifests.c.id == tags.c.manifest_id)
            .join(repositories, repositories.c.id == tags.c.repository_id)
            .where(manifests.c.id.in_(drawn))
            .order_by(tags.c.repository_id, tags.c.name)
        )
        return [Tagged(*row) for row in connection.execute(query)]

    def _column(self, connection: Connection, query: Select[Any], id: Any) -> list[Any]:
        last = int(connection.execute(select(func.max(id))).scalar_one())
        drawn = {self._random.randint(1, last) for _ in range(4 * SIZE)}
        return list(connection.execute(query.where(id.in_(drawn)).order_by(id)).scalars())

    def _linked(self, connection: Connection) -> list[Linked]:
        last = int(connection.execute(select(func.max(blobs.c.id))).scalar_one())
        drawn = {self._random.randint(1, last) for _ in range(SIZE)}
        query = (
            select(repositories.c.name, blobs.c.digest)
            .join(repository_blobs, repository_blobs.c.blob_id == blobs.c.id)
            .join(repositories, repositories.c.id == repository_blobs.c.repository_id)
            .where(blobs.c.id.in_(drawn))
            .order_by(repositories.c.id, blobs.c.id)
            .limit(4 * SIZE)
        )
        return [Linked(*row) for row in connection.execute(query)]
