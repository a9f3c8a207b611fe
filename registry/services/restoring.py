"""What comes back with a manifest: what it lists, and who refers to it."""

from typing import NamedTuple

from registry.index import Connection, manifests, removed, restored, tag_history
from registry.index.access import RepositoryFacts
from registry.index.manifests import in_batches
from registry.index.removed import RemovedManifest
from registry.oci.errors import Conflict, NotKept
from registry.services.history import PERHAPS
from registry.services.policies import check_quota

MOST_NAMED = 100
"""Digests that an answer or a refusal names; of damaged blobs there may be any number."""


class BroughtBack(NamedTuple):
    """Digests: of the manifests that came back, and of what one of them lists and is not kept any more.
    `tags` attached some of these manifests to others of them: each with its digest."""

    manifests: tuple[str, ...]
    missing: tuple[str, ...]
    tags: tuple[tuple[str, str], ...]


def bring_back(
    connection: Connection, repository: str, row: RepositoryFacts, digest: str, now: float
) -> BroughtBack:
    """Have a manifest, deleted or not, whole: with all that it lists, and with the referrers that were
    deleted with it or after it, also those that tags attached to it: these tags are to be set. What was
    deleted before it stays so: somebody took it off.

    Raises NotKept, Conflict if a blob is damaged, and QuotaExceeded.
    """
    found = _closure(connection, row, digest)
    if digest in found.missing:
        raise NotKept(f"{repository} holds no manifest {digest}, {PERHAPS}", digest)
    if found.damaged:
        raise Conflict(
            f"{len(found.damaged)} blobs that {digest} needs are damaged: push them again, then restore it: "
            + ", ".join(sorted(found.damaged)[:MOST_NAMED]),
            {"digests": sorted(found.damaged)[:MOST_NAMED]},
        )
    for batch in in_batches([one.id for one in found.rows]):
        restored.bring_back_manifests(connection, row.id, batch, now)
    if found.rows:
        check_quota(connection, repository)
    # An index may list blobs, too: BuildKit's caches do.
    blobs = manifests.sizes_of_blobs(connection, row.id, found.missing)
    missing = sorted(found.missing - blobs.keys())
    back = tuple(one.digest for one in found.rows)
    attaching = tuple((name, to) for name, to in sorted(found.tags.items()) if to in back)
    return BroughtBack(back, tuple(missing), attaching)


class _Found(NamedTuple):
    """Deleted manifests that are to come back, digests that are neither here nor kept, damaged blobs, and
    tags that attached what they point to."""

    rows: list[RemovedManifest]
    missing: set[str]
    damaged: set[str]
    tags: dict[str, str]


def _closure(connection: Connection, row: RepositoryFacts, digest: str) -> _Found:
    found = _Found([], set(), set(), {})
    attached: set[str] = set()
    seen, waiting = {digest}, [digest]
    while waiting:
        batch = next(iter(in_batches(waiting)))
        waiting = waiting[len(batch) :]
        kept = {one.digest: one for one in removed.lock(connection, row.uid, batch)}
        here = set(manifests.sizes_of_manifests(connection, row.id, batch))
        coming = {name: one for name, one in kept.items() if name not in here}
        damage = removed.damaged(connection, [one.id for one in coming.values()])
        for name in damage.keys() & attached:  # what is not needed does not hold up what is
            del coming[name]
        for name in damage.keys() & coming.keys():
            found.damaged.update(damage[name])
        found.missing.update(set(batch) - here - coming.keys())
        found.rows.extend(coming.values())
        following = manifests.children(connection, row.id, here)
        following |= removed.children(connection, [one.id for one in coming.values()])
        referrers = {name for one in coming.values() for name in removed.referrers(connection, row.uid, one)}
        for one in coming.values():
            tagged = _attached_by_tag(connection, row, one)
            found.tags.update(tagged)
            referrers.update(tagged.values())
        attached |= referrers - following - seen
        waiting += sorted((following | referrers) - seen)
        seen |= following | referrers
    return found


def _attached_by_tag(
    connection: Connection, row: RepositoryFacts, subject: RemovedManifest
) -> dict[str, str]:
    """The tags that attached deleted manifests to a deleted one, and these manifests' digests."""
    gone = tag_history.attached_and_gone(connection, row.id, subject.digest, subject.removed_at)
    kept = (
        one
        for batch in in_batches(sorted({digest for _, digest in gone}))
        for one in removed.lock(connection, row.uid, batch)
    )
    with_it = {one.digest for one in kept if one.removed_at >= subject.removed_at}
    return {name: digest for name, digest in gone if digest in with_it}
