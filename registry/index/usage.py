"""How many bytes lie in repositories and behind tags, and how many of these nothing else holds.

A blob that several hold counts in full for each of them, and is exclusive to none. Deleted manifests that can
be restored don't count as holders here, though their blobs stay as long as that.
"""

from typing import NamedTuple

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    Subquery,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal_column,
    select,
    true,
    union_all,
)

from registry.index.statements import Statement
from registry.index.tables import (
    blobs,
    manifest_blobs,
    manifest_children,
    manifests,
    repositories,
    repository_blobs,
    tags,
)


class Totals(NamedTuple):
    """Numbers, and bytes: each blob once, and the manifests."""

    repositories: int
    blobs: int
    bytes: int


class RepositoryUsage(NamedTuple):
    """`bytes` are those of its blobs and manifests; `exclusive` those that no other repository holds."""

    name: str
    bytes: int
    exclusive: int


class TagUsage(NamedTuple):
    """`bytes` are those behind the tag: of its manifest, of what an index lists, of what refers to any of
    these, and of their blobs. `exclusive` are those behind no other tag and in no untagged manifest."""

    name: str
    bytes: int
    exclusive: int


def _sum(value: ColumnElement[int]) -> ColumnElement[int]:
    return func.coalesce(func.sum(value), 0)


def _of_repositories() -> Select[tuple[str, int, int]]:
    holders = (
        select(repository_blobs.c.blob_id, func.count().label("count"))
        .group_by(repository_blobs.c.blob_id)
        .subquery("holders")
    )
    linked = (
        select(
            repository_blobs.c.repository_id,
            func.sum(blobs.c.size).label("bytes"),
            func.sum(case((holders.c["count"] == 1, blobs.c.size), else_=0)).label("exclusive"),
        )
        .join(blobs, blobs.c.id == repository_blobs.c.blob_id)
        .join(holders, holders.c.blob_id == repository_blobs.c.blob_id)
        .group_by(repository_blobs.c.repository_id)
        .subquery("linked")
    )
    bodies = (
        select(manifests.c.repository_id, func.sum(manifests.c.size).label("bytes"))
        .group_by(manifests.c.repository_id)
        .subquery("bodies")
    )
    own = func.coalesce(bodies.c.bytes, 0)
    total = (func.coalesce(linked.c.bytes, 0) + own).label("total")
    return (
        select(repositories.c.name, total, func.coalesce(linked.c.exclusive, 0) + own)
        .outerjoin(linked, linked.c.repository_id == repositories.c.id)
        .outerjoin(bodies, bodies.c.repository_id == repositories.c.id)
        .order_by(total.desc(), repositories.c.name)
        .limit(bindparam("limit"))
    )


HERE = bindparam("repository_id", type_=BigInteger)


def _edges() -> Subquery:
    """What goes with a manifest: what it lists, and what refers to it."""
    parent, child = manifests.alias("parent"), manifests.alias("child")
    listed = (
        select(parent.c.id.label("parent_id"), child.c.id.label("child_id"))
        .join(manifest_children, manifest_children.c.manifest_id == parent.c.id)
        .join(child, child.c.digest == manifest_children.c.child_digest)
        .where(parent.c.repository_id == HERE, child.c.repository_id == HERE)
    )
    referring = (
        select(parent.c.id, child.c.id)
        .join(child, child.c.subject == parent.c.digest)
        .where(parent.c.repository_id == HERE, child.c.repository_id == HERE)
    )
    return listed.union(referring).subquery("edges")


def _reach() -> CTE:
    """Each tag with each manifest behind it."""
    edges = _edges()
    reach = (
        select(tags.c.name.label("tag"), tags.c.manifest_id.label("manifest_id"))
        .where(tags.c.repository_id == HERE)
        .cte("reach", recursive=True)
    )
    further = select(reach.c.tag, edges.c.child_id).join(edges, edges.c.parent_id == reach.c.manifest_id)
    return reach.union(further)


def _of_tags(elsewhere: bool) -> Select[tuple[str, int, int]]:
    """`elsewhere`: a blob that another repository holds is exclusive to no tag."""
    reach = _reach()
    alone = (
        select(reach.c.manifest_id, func.min(reach.c.tag).label("tag"))
        .group_by(reach.c.manifest_id)
        .having(func.count() == 1)
        .cte("alone")
    )
    behind = (
        select(reach.c.tag, manifest_blobs.c.blob_id)
        .distinct()
        .join(manifest_blobs, manifest_blobs.c.manifest_id == reach.c.manifest_id)
        .subquery("behind")
    )
    # All manifests that hold it are behind one tag only, and it is the same one.
    held = (
        select(manifest_blobs.c.blob_id, func.min(alone.c.tag).label("tag"))
        .outerjoin(alone, alone.c.manifest_id == manifest_blobs.c.manifest_id)
        .where(manifest_blobs.c.repository_id == HERE)
        .group_by(manifest_blobs.c.blob_id)
        .having(and_(func.count() == func.count(alone.c.tag), func.min(alone.c.tag) == func.max(alone.c.tag)))
        .subquery("held")
    )
    other = exists().where(
        repository_blobs.c.blob_id == held.c.blob_id, repository_blobs.c.repository_id != HERE
    )
    no: ColumnElement[int] = literal_column("0", type_=BigInteger)
    parts = union_all(
        select(behind.c.tag.label("tag"), blobs.c.size.label("bytes"), no.label("exclusive")).join(
            blobs, blobs.c.id == behind.c.blob_id
        ),
        select(reach.c.tag, manifests.c.size, no).join(manifests, manifests.c.id == reach.c.manifest_id),
        select(held.c.tag, no, blobs.c.size)
        .join(blobs, blobs.c.id == held.c.blob_id)
        .where(~other if elsewhere else true()),
        select(alone.c.tag, no, manifests.c.size).join(manifests, manifests.c.id == alone.c.manifest_id),
    ).subquery("parts")
    total = func.sum(parts.c.bytes).label("total")
    exclusive = func.sum(parts.c.exclusive).label("only")
    return (
        select(parts.c.tag, total, exclusive)
        .group_by(parts.c.tag)
        .order_by(exclusive.desc(), total.desc(), parts.c.tag)
        .limit(bindparam("limit"))
    )


OF_REPOSITORIES = Statement(_of_repositories())
OF_TAGS = Statement(_of_tags(elsewhere=True))
OF_TAGS_HERE = Statement(_of_tags(elsewhere=False))


def totals(connection: Connection) -> Totals:
    """What there is in all repositories together."""
    number, size = connection.execute(select(func.count(), _sum(blobs.c.size))).one()
    bodies = connection.execute(select(_sum(manifests.c.size))).scalar_one()
    count = connection.execute(select(func.count()).select_from(repositories)).scalar_one()
    return Totals(count, number, int(size + bodies))


def of_repositories(connection: Connection, limit: int) -> list[RepositoryUsage]:
    """The largest repositories, the largest first. Every link is read."""
    rows = OF_REPOSITORIES.all(connection, {"limit": limit})
    return [RepositoryUsage(name, int(total), int(exclusive)) for name, total, exclusive in rows]


def of_tags(connection: Connection, repository_id: int, limit: int, *, elsewhere: bool) -> list[TagUsage]:
    """The tags of a repository that hold most by themselves, these first.

    `elsewhere`: what another repository holds, too, is not exclusive; else only this one is looked at.
    """
    statement = OF_TAGS if elsewhere else OF_TAGS_HERE
    rows = statement.all(connection, {"repository_id": repository_id, "limit": limit})
    return [TagUsage(name, int(total), int(exclusive)) for name, total, exclusive in rows]
