"""The hot changes: what an upload, a push, a deletion and housekeeping do in their transactions.

The statements are timed, not the commit; the runs under load (load.py) have both.
"""

import itertools
import json
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Connection

from benchmarks.scale.queries import Query, of_largest, tagged
from benchmarks.scale.sample import Sample, Tagged
from benchmarks.scale.shape import digest_of
from registry.index import audit, blobs, manifests, quotas, repositories, tags, uploads
from registry.index.audit import AuditRow
from registry.oci.digest import Digest
from registry.oci.manifest import parse_manifest
from registry.services.manifest_entries import NewManifest, enter
from registry.services.policies import check_may_move, check_quota

BY = "user:user-00001"

Draw = Callable[[Connection, Sample], Tagged]

_numbers = itertools.count()


def new_digest() -> str:
    """A digest that nothing has yet."""
    return digest_of(f"new/{next(_numbers)}".encode())


class Push(NamedTuple):
    """A manifest that is about to be pushed to where `place` is, under a tag."""

    place: Tagged
    tag: str
    new: NewManifest


def put(connection: Connection, push: Push) -> object:
    """As services.manifests.Manifests.put. The largest repository has a quota, and so have some others."""
    repository, now = push.place.repository, push.new.pushed_at
    quotas.lock_of_repository(connection, repository)
    check_may_move(connection, repository, [push.tag], push.new.digest)
    repository_id = repositories.ensure(connection, repository, now)
    manifest_id, _ = enter(connection, repository_id, push.new, sparse=False)
    tags.point(connection, repository_id, push.tag, manifest_id, push.new.digest, BY, now)
    check_quota(connection, repository)
    audit.record(connection, [entry("push", repository, now)])
    return True


def entry(action: str, target: str, now: float) -> AuditRow:
    return AuditRow(0, now, "request", BY, "10.0.0.1", action, target, "allowed", {"digest": "sha256:0"})


def pushed(key: str, place: Draw, connection: Connection, sample: Sample) -> Push:
    """A manifest like one that is there, which has `key`: "layers" or "manifests". Under a new tag."""
    while True:
        where = place(connection, sample)
        document = json.loads(manifests.body(connection, where.manifest_id) or b"{}")
        if key in document:
            break
    number = next(_numbers)
    body = json.dumps({**document, "annotations": {"number": str(number)}}).encode("ascii")
    new = NewManifest(Digest.of(body, "sha256"), body, parse_manifest(body, None), BY, sample.now)
    return Push(where, f"new-{number}", new)


def moved(connection: Connection, sample: Sample) -> Push:
    push = pushed("layers", tagged, connection, sample)
    return push._replace(tag=push.place.tag)


def begin_upload(connection: Connection, key: tuple[Any, ...]) -> object:
    uploads.create(connection, *key)
    return True


def enter_blob(connection: Connection, key: tuple[str, str, str, float]) -> object:
    """As services.uploads: the blob, its link, the end of the session."""
    upload_id, repository, digest, now = key
    quotas.lock_of_repository(connection, repository)
    row = blobs.record(connection, digest, 4096, f"at {digest}", now, now)
    blobs.link(connection, repositories.ensure(connection, repository, now), row.id, now)
    return uploads.finish(connection, upload_id, "claimant", digest, now)


def claimed_upload(connection: Connection, sample: Sample) -> tuple[str, str, str, float]:
    upload_id, repository = sample.choice(sample.running)
    uploads.claim(connection, repository, upload_id, "claimant", sample.now, sample.now + 30)
    return upload_id, repository, new_digest(), sample.now


def enter_blob_below_quota(connection: Connection, key: tuple[str, str, float]) -> object:
    repository, digest, now = key
    (before,) = quotas.of_repository(connection, repository)
    quotas.lock_of_repository(connection, repository)
    row = blobs.record(connection, digest, 4096, f"at {digest}", now, now)
    blobs.link(connection, repositories.ensure(connection, repository, now), row.id, now)
    (after,) = quotas.of_repository(connection, repository)
    return after.used == before.used + 4096


def link_base_layer_below_quota(connection: Connection, key: tuple[str, str, float]) -> object:
    """In a repository that is new."""
    repository, digest, now = key
    row = blobs.find(connection, next(name for name, _ in blobs.holders(connection, digest)), digest)
    assert row is not None
    blobs.link(connection, repositories.ensure(connection, repository, now), row.id, now)
    return True


def mount(connection: Connection, key: tuple[str, str | None, str, float]) -> object:
    """As services.blobs.Blobs.mount, for somebody who may see the first holder."""
    repository, source, digest, now = key
    quotas.lock_of_repository(connection, repository)
    holder = source or next(name for name, _ in blobs.holders(connection, digest))
    row = blobs.find(connection, holder, digest)
    assert row is not None
    blobs.extend_lease(connection, digest, now)
    blobs.link(connection, repositories.ensure(connection, repository, now), row.id, now)
    return True


def mounted(
    from_somewhere: bool, connection: Connection, sample: Sample
) -> tuple[str, str | None, str, float]:
    blob = sample.choice(sample.blobs)
    target = sample.choice(sample.repositories)
    return target, blob.repository if from_somewhere else None, blob.digest, sample.now


def delete_tag(connection: Connection, key: tuple[Tagged, float]) -> object:
    place, now = key
    gone = tags.remove(connection, place.repository_id, place.tag, BY, now)
    audit.record(connection, [entry("delete", place.repository, now)])
    return gone


def delete_manifest(connection: Connection, key: tuple[Tagged, float]) -> object:
    place, now = key
    quotas.lock_of_repository(connection, place.repository)
    gone = tags.remove_of_manifest(connection, place.repository_id, place.manifest_id, BY, now)
    manifests.remove(connection, place.manifest_id, BY, now)
    audit.record(connection, [entry("delete", place.repository, now)])
    return gone


def with_now(place: Draw, connection: Connection, sample: Sample) -> tuple[Tagged, float]:
    return place(connection, sample), sample.now


def unlinkable(connection: Connection, sample: Sample) -> tuple[str, str, float]:
    """A blob that no manifest needs: a new one, in a repository that is there."""
    repository, digest = sample.choice(sample.repositories), new_digest()
    row = blobs.record(connection, digest, 4096, f"at {digest}", sample.now, sample.now)
    repository_id = repositories.find(connection, repository)
    assert repository_id is not None
    blobs.link(connection, repository_id, row.id, sample.now)
    return repository, digest, sample.now


def with_new_quota(connection: Connection, sample: Sample) -> tuple[str, str, float]:
    """Below whose prefix there is nothing yet."""
    quotas.set(connection, "quite-new", 1 << 50, sample.now, BY)
    return f"quite-new/{next(_numbers)}", sample.base_layer, sample.now


def pulls(_: Connection, sample: Sample) -> dict[int, float]:
    chosen: Iterable[Tagged] = (sample.choice(sample.tags) for _ in range(100))
    return {one.manifest_id: sample.now for one in chosen}


def note_pulls(connection: Connection, noted: dict[int, float]) -> object:
    manifests.note_pulls(connection, noted)
    return True


CHANGES = (
    Query(
        "begin an upload",
        begin_upload,
        lambda _, sample: (new_digest()[7:43], sample.largest, "sha256", {}, sample.now, sample.now + 1, BY),
    ),
    Query(
        "claim an upload",
        lambda connection, key: uploads.claim(connection, key[1], key[0], "claimant", *key[2:])[0],
        lambda _, sample: (*sample.choice(sample.running), sample.now, sample.now + 30),
    ),
    Query("enter a blob and end its upload", enter_blob, claimed_upload),
    Query(
        "enter a blob below a quota",
        enter_blob_below_quota,
        lambda _, sample: (sample.largest, new_digest(), sample.now),
    ),
    Query(
        "the most common layer in another organisation with a quota",
        link_base_layer_below_quota,
        with_new_quota,
        grows="the holders of the layer: they are walked until one below the quota's prefix is found",
    ),
    Query("mount a blob from a repository", mount, partial(mounted, True)),
    Query("mount a blob from wherever it is", mount, partial(mounted, False)),
    Query(
        "the first holders of the most common layer",
        lambda connection, digest: next(blobs.holders(connection, digest)),
        lambda _, sample: sample.base_layer,
    ),
    Query("push an image with a new tag", put, partial(pushed, "layers", tagged)),
    Query("push an image to the largest repository", put, partial(pushed, "layers", of_largest)),
    Query("push an image and move a tag", put, moved),
    Query("push an index of two", put, partial(pushed, "manifests", tagged)),
    Query("delete a tag", delete_tag, partial(with_now, tagged)),
    Query("delete a manifest with its tags", delete_manifest, partial(with_now, tagged)),
    Query("delete a manifest of the largest repository", delete_manifest, partial(with_now, of_largest)),
    Query("delete a blob", lambda connection, key: blobs.unlink(connection, *key), unlinkable),
    Query("note 100 pulls", note_pulls, pulls),
    Query(
        "take 100 expired uploads",
        lambda connection, later: uploads.take_expired(connection, later, 100),
        lambda _, sample: sample.now + 8 * 86400,
    ),
    Query(
        "remove 500 old entries of the audit",
        lambda connection, later: audit.remove_before(connection, later, 500),
        lambda _, sample: sample.now,
    ),
)
