"""Referrers: the manifests whose subject is a digest."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, select

from registry.index.tables import manifests, repositories


class ReferrerRow(NamedTuple):
    """What a referrers list says of a manifest; `size` in bytes."""

    digest: str
    media_type: str
    artifact_type: str | None
    size: int
    annotations: Mapping[str, str]


def page(
    connection: Connection,
    repository: str,
    subject: str,
    artifact_types: Collection[str],
    last: str | None,
    limit: int,
) -> Sequence[ReferrerRow]:
    """At most `limit` referrers after the digest `last`, in byte order; without artifact types, all."""
    statement = (
        select(
            manifests.c.digest,
            manifests.c.media_type,
            manifests.c.artifact_type,
            manifests.c.size,
            manifests.c.annotations,
        )
        .join(repositories, repositories.c.id == manifests.c.repository_id)
        .where(repositories.c.name == repository, manifests.c.subject == subject)
        .order_by(manifests.c.digest)
        .limit(limit)
    )
    if artifact_types:
        statement = statement.where(manifests.c.artifact_type.in_(artifact_types))
    if last is not None:
        statement = statement.where(manifests.c.digest > last)
    rows = connection.execute(statement).all()
    return [ReferrerRow(row[0], row[1], row[2], row[3], json.loads(row[4] or "{}")) for row in rows]
