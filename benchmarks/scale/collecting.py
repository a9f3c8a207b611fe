"""The statements of a collection: each batch on an index that has some garbage, and much else."""

from collections.abc import Callable
from functools import partial
from typing import Any

from sqlalchemy import Connection, text

from benchmarks.scale.changes import new_digest
from benchmarks.scale.queries import Query
from benchmarks.scale.sample import Sample
from registry.index import blobs, collection, manifests, missing, repositories

GARBAGE = 50
KEPT = 10
"""What goes, and manifests whose blobs were marked and stay."""

LIMIT = 1000


def with_garbage(linked: bool, connection: Connection, sample: Sample) -> float:
    """Make garbage, and mark some of what is needed; when all of that is due."""
    now = sample.now
    for _ in range(GARBAGE):
        digest = new_digest()
        row = blobs.record(connection, digest, 4096, f"at {digest}", now - 1, now)
        if linked:
            id = repositories.find(connection, sample.choice(sample.repositories))
            assert id is not None
            blobs.link(connection, id, row.id, now - 1)
        else:
            mark(connection, "UPDATE blobs SET examine_at = :now WHERE id = :id", now=now - 1, id=row.id)
    for _ in range(KEPT):
        place = sample.choice(sample.tags)
        if linked:
            manifests.EXAMINE_LINKS.run(connection, {"manifest_id": place.manifest_id, "time": now - 1})
        else:
            blob = sample.choice(sample.blobs)
            mark(
                connection, "UPDATE blobs SET examine_at = :now WHERE digest = :d", now=now - 1, d=blob.digest
            )
    return now


def mark(connection: Connection, statement: str, **values: object) -> None:
    connection.execute(text(statement), values)


def settle(
    settle: Callable[..., collection.Settled], connection: Connection, now: float
) -> collection.Settled | None:
    """A batch. None: it did not do what it should."""
    settled = settle(connection, due=now, now=now, limit=LIMIT)
    return settled if settled.taken >= GARBAGE and settled.needed else None


def with_discarded(connection: Connection, sample: Sample) -> tuple[list[str], float]:
    locations = [new_digest() for _ in range(GARBAGE)]
    rows = [{"location": one, "size": 1, "since": sample.now - 1} for one in locations]
    collection.DISCARD.run_each(connection, rows)
    return locations, sample.now


def delete_bytes(connection: Connection, key: tuple[list[str], float]) -> object:
    locations, now = key
    found = collection.discarded_before(connection, now, (0.0, ""), 2 * GARBAGE)
    collection.forget(connection, locations)
    return found


def with_incomplete(connection: Connection, sample: Sample) -> Any:
    for _ in range(20):
        id = sample.choice(sample.tags).manifest_id
        mark(connection, "UPDATE manifests SET missing_recorded = false WHERE id = :id", id=id)
    return 20


COLLECTION = (
    Query(
        "a batch of a collection: blobs of repositories",
        partial(settle, collection.settle_links),
        partial(with_garbage, True),
    ),
    Query(
        "a batch of a collection: blobs of none",
        partial(settle, collection.settle_blobs),
        partial(with_garbage, False),
    ),
    Query("a batch of a collection: bytes", delete_bytes, with_discarded),
    Query("a batch of a collection: manifests of the version before", missing.incomplete, with_incomplete),
)
