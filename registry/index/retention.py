"""What retention decides about in a repository, and what it looks at again before it deletes anything."""

from collections.abc import Collection, Iterator, Mapping
from functools import partial
from typing import NamedTuple

from sqlalchemy import BindParameter, Connection, Select, bindparam, exists, func, select

from registry.index.manifests import in_batches
from registry.index.statements import Row, Statement
from registry.index.tables import manifest_children, manifests, tag_history, tags

BATCH = 5000
"""Rows read at once: a repository may have a million, and other work of the process goes on in between."""


class TagFacts(NamedTuple):
    """A tag, and since when it points to this digest; a push of the same again counts."""

    name: str
    digest: str
    pushed_at: float


class ManifestFacts(NamedTuple):
    """A manifest. `children` are the digests that an index lists; `subject` is what it refers to."""

    id: int
    digest: str
    size: int
    subject: str | None
    pushed_at: float
    pulled_at: float | None
    children: tuple[str, ...] = ()


class LiveManifest(NamedTuple):
    """What another push, deletion or tag may have changed meanwhile."""

    id: int
    pushed_at: float
    tags: Mapping[str, float]
    """Their names, and since when each points to this manifest."""
    parents: frozenset[str]
    subject: str | None
    """Only where it is in the repository, too."""
    referrers: frozenset[str]
    """Also those that are attached by a tag."""


TAGS = Statement(
    select(tags.c.name, manifests.c.digest, tags.c.updated_at)
    .join(manifests, manifests.c.id == tags.c.manifest_id)
    .where(tags.c.repository_id == bindparam("repository_id"), tags.c.name > bindparam("after"))
    .order_by(tags.c.name)
    .limit(BATCH)
)

MANIFESTS = Statement(
    select(
        manifests.c.digest,
        manifests.c.id,
        manifests.c.size,
        manifests.c.subject,
        manifests.c.pushed_at,
        manifests.c.pulled_at,
    )
    .where(manifests.c.repository_id == bindparam("repository_id"), manifests.c.digest > bindparam("after"))
    .order_by(manifests.c.digest)
    .limit(BATCH)
)

EXTENTS = tuple(
    Statement(
        select(func.count()).select_from(
            select(table.c.repository_id)
            .where(table.c.repository_id == bindparam("repository_id"))
            .limit(bindparam("limit"))
            .subquery()
        )
    )
    for table in (tags, manifests)
)

CHILDREN = Statement(
    select(manifests.c.digest, manifest_children.c.child_digest)
    .join(manifest_children, manifest_children.c.manifest_id == manifests.c.id)
    .where(
        manifests.c.repository_id == bindparam("repository_id"),
        manifests.c.digest >= bindparam("first"),
        manifests.c.digest <= bindparam("last"),
    )
)

MOVES = (
    select(
        tag_history.c.digest,
        func.lead(tag_history.c.at)
        .over(partition_by=tag_history.c.name, order_by=tag_history.c.id)
        .label("left_at"),
    )
    .where(tag_history.c.repository_id == bindparam("repository_id"))
    .subquery()
)

UNTAGGED_SINCE = Statement(
    select(MOVES.c.digest, func.max(MOVES.c.left_at))
    .join(manifests, manifests.c.digest == MOVES.c.digest)
    .where(
        manifests.c.repository_id == bindparam("repository_id"),
        ~exists().where(tags.c.manifest_id == manifests.c.id),
        MOVES.c.left_at.is_not(None),
    )
    .group_by(MOVES.c.digest)
)

DIGESTS: BindParameter[str] = bindparam("digests", expanding=True)

# In the order of ids, so that two who lock the same don't wait for each other. A push of an index locks what
# it lists, too (manifests.sizes_of_manifests): it waits for us and finds it gone, or we for it and see it.
LOCKED = (
    select(manifests.c.digest, manifests.c.id, manifests.c.pushed_at, manifests.c.subject)
    .where(manifests.c.repository_id == bindparam("repository_id"), manifests.c.digest.in_(DIGESTS))
    .order_by(manifests.c.id)
    .with_for_update()
)

TAGS_ON = (
    select(manifests.c.digest, tags.c.name, tags.c.updated_at)
    .join(tags, tags.c.manifest_id == manifests.c.id)
    .where(manifests.c.repository_id == bindparam("repository_id"), manifests.c.digest.in_(DIGESTS))
    .order_by(tags.c.name)
    .with_for_update(of=tags)
)

PARENTS = (
    select(manifest_children.c.child_digest, manifests.c.digest)
    .join(manifests, manifests.c.id == manifest_children.c.manifest_id)
    .where(
        manifests.c.repository_id == bindparam("repository_id"), manifest_children.c.child_digest.in_(DIGESTS)
    )
)

REFERRERS = select(manifests.c.subject, manifests.c.digest).where(
    manifests.c.repository_id == bindparam("repository_id"), manifests.c.subject.in_(DIGESTS)
)


# Tags like sha256-<hex> and sha256-<hex>.sig: what clients attach that know no referrers.
ATTACHED = Statement(
    select(manifests.c.digest)
    .join(tags, tags.c.manifest_id == manifests.c.id)
    .where(
        tags.c.repository_id == bindparam("repository_id"),
        tags.c.name >= bindparam("first"),
        tags.c.name < bindparam("end"),
    )
)

HERE = select(manifests.c.digest).where(
    manifests.c.repository_id == bindparam("repository_id"), manifests.c.digest.in_(DIGESTS)
)


def extent(connection: Connection, repository_id: int, limit: int) -> int:
    """How many tags and manifests a repository has, each counted up to `limit`."""
    values = {"repository_id": repository_id, "limit": limit}
    return sum(int(statement.scalar(connection, values) or 0) for statement in EXTENTS)


def all_tags(connection: Connection, repository_id: int) -> Iterator[TagFacts]:
    """The tags of a repository, in byte order."""
    return (TagFacts(*row) for batch in _batches(TAGS, connection, repository_id) for row in batch)


def all_manifests(connection: Connection, repository_id: int) -> Iterator[ManifestFacts]:
    """The manifests of a repository, in the order of their digests."""
    for batch in _batches(MANIFESTS, connection, repository_id):
        children: dict[str, list[str]] = {}
        values = {"repository_id": repository_id, "first": batch[0][0], "last": batch[-1][0]}
        for parent, child in CHILDREN.all(connection, values):
            children.setdefault(parent, []).append(child)
        for digest, id, size, subject, pushed_at, pulled_at in batch:
            listed = tuple(sorted(children.get(digest, ())))
            yield ManifestFacts(id, digest, size, subject, pushed_at, pulled_at, listed)


def untagged_since(connection: Connection, repository_id: int) -> dict[str, float]:
    """When manifests without a tag lost their last one; those that never had one are not among them."""
    rows = UNTAGGED_SINCE.all(connection, {"repository_id": repository_id})
    return {str(digest): left_at for digest, left_at in rows}


def lock(connection: Connection, repository_id: int, digests: Collection[str]) -> dict[str, LiveManifest]:
    """Those of these manifests that are there, as they are now, until this transaction ends."""
    select_all = partial(_select, connection, repository_id, sorted(digests))
    rows = list(select_all(LOCKED))
    subjects = sorted({subject for *_, subject in rows if subject is not None})
    here = {digest for (digest,) in _select(connection, repository_id, subjects, HERE)}
    names: dict[str, dict[str, float]] = {}
    for digest, name, updated_at in select_all(TAGS_ON):
        names.setdefault(digest, {})[name] = updated_at
    parents, referrers = _grouped(select_all(PARENTS)), _grouped(select_all(REFERRERS))
    for digest, *_ in rows:
        first = digest.replace(":", "-")
        values = {"repository_id": repository_id, "first": first, "end": f"{first}/"}  # behind the dot
        referrers.setdefault(digest, set()).update(one for (one,) in ATTACHED.all(connection, values))
    none: frozenset[str] = frozenset()
    return {
        digest: LiveManifest(
            id,
            pushed_at,
            names.get(digest, {}),
            frozenset(parents.get(digest, none)),
            subject if subject in here else None,
            frozenset(referrers.get(digest, none)),
        )
        for digest, id, pushed_at, subject in rows
    }


def _batches(statement: Statement, connection: Connection, repository_id: int) -> Iterator[list[Row]]:
    """Rows in batches, by their first column."""
    after = ""
    while rows := statement.all(connection, {"repository_id": repository_id, "after": after}):
        yield rows
        after = str(rows[-1][0])


def _select(
    connection: Connection, repository_id: int, digests: list[str], statement: Select[Row]
) -> Iterator[Row]:
    for batch in in_batches(digests):
        values = {"repository_id": repository_id, "digests": batch}
        yield from map(tuple, connection.execute(statement, values))


def _grouped(rows: Iterator[Row]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for key, value in rows:
        found.setdefault(key, set()).add(value)
    return found
