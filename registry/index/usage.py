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
    Integer,
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

DEEPEST = 16
"""So many steps from its tag a manifest counts, over lists and references: a signature of a signature of a
member of an index has three. In a chain without end each manifest would be behind every one before it."""


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


def _behind() -> CTE:
    """Each manifest that a tag points to, the root, with each manifest behind it. Several tags may point to
    one: what is behind it is looked up once."""
    edges = _edges()
    zero: ColumnElement[int] = literal_column("0", type_=Integer)
    reach = (
        select(tags.c.manifest_id.label("root"), tags.c.manifest_id.label("manifest_id"), zero.label("depth"))
        .where(tags.c.repository_id == HERE)
        .distinct()
        .cte("reach", recursive=True)
    )
    further = (
        select(reach.c.root, edges.c.child_id, reach.c.depth + 1)
        .join(edges, edges.c.parent_id == reach.c.manifest_id)
        .where(reach.c.depth < DEEPEST)
    )
    reach = reach.union(further)
    return select(reach.c.root, reach.c.manifest_id).distinct().cte("behind")


def _of_tags(elsewhere: bool) -> Select[tuple[str, int, int]]:
    """`elsewhere`: a blob that another repository holds is exclusive to no tag."""
    behind = _behind()
    # Roots that have one tag alone.
    single = (
        select(tags.c.manifest_id.label("root"))
        .where(tags.c.repository_id == HERE)
        .group_by(tags.c.manifest_id)
        .having(func.count() == 1)
        .cte("single")
    )
    lonely = (
        select(behind.c.manifest_id, func.min(behind.c.root).label("root"))
        .group_by(behind.c.manifest_id)
        .having(func.count() == 1)
        .subquery("lonely")
    )
    alone = (
        select(lonely.c.manifest_id, lonely.c.root).join(single, single.c.root == lonely.c.root).cte("alone")
    )
    needed = (
        select(behind.c.root, manifest_blobs.c.blob_id)
        .distinct()
        .join(manifest_blobs, manifest_blobs.c.manifest_id == behind.c.manifest_id)
        .subquery("needed")
    )
    # All manifests that hold it are behind one tag only, and it is the same one.
    held = (
        select(manifest_blobs.c.blob_id, func.min(alone.c.root).label("root"))
        .outerjoin(alone, alone.c.manifest_id == manifest_blobs.c.manifest_id)
        .where(manifest_blobs.c.repository_id == HERE)
        .group_by(manifest_blobs.c.blob_id)
        .having(
            and_(func.count() == func.count(alone.c.root), func.min(alone.c.root) == func.max(alone.c.root))
        )
        .subquery("held")
    )
    other = exists().where(
        repository_blobs.c.blob_id == held.c.blob_id, repository_blobs.c.repository_id != HERE
    )
    no: ColumnElement[int] = literal_column("0", type_=BigInteger)
    parts = union_all(
        select(needed.c.root.label("root"), blobs.c.size.label("bytes"), no.label("exclusive")).join(
            blobs, blobs.c.id == needed.c.blob_id
        ),
        select(behind.c.root, manifests.c.size, no).join(manifests, manifests.c.id == behind.c.manifest_id),
        select(held.c.root, no, blobs.c.size)
        .join(blobs, blobs.c.id == held.c.blob_id)
        .where(~other if elsewhere else true()),
        select(alone.c.root, no, manifests.c.size).join(manifests, manifests.c.id == alone.c.manifest_id),
    ).subquery("parts")
    of_root = (
        select(
            parts.c.root,
            func.sum(parts.c.bytes).label("total"),
            func.sum(parts.c.exclusive).label("only"),
        )
        .group_by(parts.c.root)
        .subquery("of_root")
    )
    return (
        select(tags.c.name, of_root.c.total, of_root.c.only)
        .join(of_root, of_root.c.root == tags.c.manifest_id)
        .where(tags.c.repository_id == HERE)
        .order_by(of_root.c.only.desc(), of_root.c.total.desc(), tags.c.name)
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
