"""A collection takes what nothing needs, and nothing else."""

import json
import time
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text

from auth.actor import Actor
from registry.index import blobs, repositories
from registry.oci.digest import Digest
from registry.oci.errors import BlobUnknown
from registry.oci.name import RepositoryName
from registry.services.audit import Audit
from registry.services.blobs import Blobs
from registry.services.quarantine import Quarantine
from registry.services.undo import Undo
from tests.unit.gc.store import APP, CI, LONG_AGO, Store, no_uploads


async def test_what_no_manifest_needs_goes_and_the_rest_stays(store: Store) -> None:
    kept = {await store.push(content) for content in (b"config", b"layer", b"shared")}
    await store.push(b"shared", "other/app")
    await store.push_image(b"config", b"layer", b"shared")
    garbage = await store.push(b"nobody came for it")

    report = await store.collect()

    assert await store.held() == kept
    assert await store.held("other/app") == set()
    assert garbage not in kept
    counts = {name: report[name] for name in ("links", "blobs", "bytes", "needed", "leased", "uploads")}
    assert counts == {"links": 2, "blobs": 1, "bytes": 18, "needed": 4, "leased": 0, "uploads": 3}
    assert (report["objects"], report["freed"]) == (1, 18)
    assert (await store.objects(), await store.count("discarded")) == (3, 0)
    assert set(report["seconds"]) == {"manifests", "removed", "uploads", "links", "blobs", "bytes"}


async def test_nothing_is_looked_at_twice(store: Store) -> None:
    await store.push(b"config")
    await store.push(b"layer")
    digest = await store.push_image(b"config", b"layer")
    assert (await store.collect())["needed"] == 2
    idle = await store.collect()
    assert [idle[name] for name in ("needed", "leased", "links", "blobs", "objects")] == [0] * 5

    await store.delete_image(digest)
    report = await store.collect()
    assert [report[name] for name in ("links", "blobs", "objects")] == [2, 2, 2]
    assert report["ever"] == {"blobs": 2, "bytes": 11}
    assert await store.objects() == 0
    assert (await store.collect())["ever"] == {"blobs": 2, "bytes": 11}


async def test_what_was_promised_stays_until_the_promise_is_over(store: Store) -> None:
    until = time.time() + 1000
    digest = await store.push(b"leased", lease=until)
    report = await store.collect()
    assert (report["leased"], report["links"]) == (1, 0)
    assert await store.held() == {digest}
    assert (await store.collect())["leased"] == 0, "it is looked at again when that is over"

    over = text("UPDATE blobs SET lease_until = 1")
    due = text("UPDATE repository_blobs SET examine_at = 1")
    await store.index.write(lambda connection: (connection.execute(over), connection.execute(due)))
    assert (await store.collect())["blobs"] == 1


async def test_a_blob_without_links_is_leased_as_well(store: Store) -> None:
    """A mount may have been promised it."""
    until = time.time() + 1000
    digest = await store.push(b"leased", lease=until)
    await store.index.write(partial(blobs.unlink, repository=APP, digest=digest, now=LONG_AGO))
    report = await store.collect()
    assert (report["leased"], report["blobs"], await store.count("blobs")) == (1, 0, 1)


async def test_bytes_stay_for_their_readers(store: Store) -> None:
    store.delay = 1000
    await store.push(b"garbage")
    report = await store.collect()
    assert (report["blobs"], report["objects"]) == (1, 0)
    assert (await store.objects(), await store.count("discarded"), await store.count("blobs")) == (1, 1, 0)
    waiting = await store.collector().waiting()
    assert (waiting.objects, waiting.bytes) == (1, 7)
    assert (await store.collect())["objects"] == 0
    store.delay = 0
    report = await store.collect()
    assert (report["objects"], report["freed"], await store.objects()) == (1, 7, 0)


async def test_the_same_content_may_come_again_before_its_bytes_go(store: Store) -> None:
    store.delay = 1000
    await store.push(b"config")
    await store.collect()
    await store.push(b"config")
    await store.push_image(b"config")
    store.delay = 0
    assert (await store.collect())["objects"] == 1
    assert await store.held() == {Digest.of(b"config", "sha256")}


async def test_deleted_manifests_hold_their_blobs_until_they_expire(store: Store) -> None:
    store.window = 1000
    kept = {await store.push(b"config"), await store.push(b"layer")}
    digest = await store.push_image(b"config", b"layer")
    await store.collect()
    await store.delete_image(digest, keep=True)
    report = await store.collect()
    assert (report["links"], report["needed"], report["expired"]) == (0, 2, 0)
    assert await store.held() == kept

    report = await store.collect(purge_removed=True, actor=Actor("user:boss"))
    assert (report["expired"], report["links"], report["blobs"]) == (1, 2, 2)
    entry = text("SELECT actor, action, detail FROM audit ORDER BY id DESC LIMIT 1")
    actor, action, detail = await store.index.read(lambda connection: connection.execute(entry).one())
    assert (actor, action) == ("user:boss", "gc.run")
    assert json.loads(detail) == {
        "expired": 1, "links": 2, "blobs": 2, "bytes": 11, "freed": 11, "purge_removed": True,
    }  # fmt: skip


async def test_a_repository_that_was_deleted_holds_its_blobs_without_links(store: Store) -> None:
    store.window = 1000
    await store.push(b"config")
    await store.push_image(b"config")
    id = await store.index.read(partial(repositories.find, name=APP))
    await store.index.write(partial(repositories.remove, id=id, by=None, now=time.time()))
    assert (await store.collect())["blobs"] == 0
    assert await store.count("blobs") == 1
    assert (await store.collect(purge_removed=True))["blobs"] == 1


async def test_what_a_sparse_manifest_waits_for_is_kept_when_it_comes(store: Store) -> None:
    await store.push(b"config")
    manifest = await store.push_image(b"config", b"late")
    await store.push(b"late", "other/app")
    late = await store.push(b"late")
    report = await store.collect()
    assert late in await store.held()
    assert await store.held("other/app") == set()
    assert report["blobs"] == 0
    assert await store.count("missing_blobs") == 0, "it is needed now as the rest is"
    await store.delete_image(manifest)
    assert (await store.collect())["blobs"] == 2


@pytest.mark.parametrize("came", ["before", "later"])
async def test_manifests_of_the_version_before_are_completed_first(store: Store, came: str) -> None:
    """It noted no edge to what came after the manifest, and nothing of what was missing."""
    await store.push(b"config")
    await store.push_image(b"config", b"late")
    forget = text("DELETE FROM missing_blobs")
    unknown = text("UPDATE manifests SET missing_recorded = false")
    await store.index.write(lambda connection: (connection.execute(forget), connection.execute(unknown)))
    if came == "before":
        await store.push(b"late")
        assert (await store.collect())["completed"] == 1
    else:
        assert (await store.collect())["completed"] == 1
        await store.push(b"late")
    report = await store.collect()
    assert (report["completed"], report["links"]) == (0, 0)
    assert len(await store.held()) == 2


async def test_what_is_restored_meanwhile_is_completed_before_a_link_goes(store: Store) -> None:
    """Nobody knows what it cites and was missing when it was deleted, and came since."""
    store.window = 1000.0
    config = await store.push(b"config")
    image = await store.push_image(b"config", b"late")
    await store.delete_image(image, keep=True)
    late = await store.push(b"late")
    undo = Undo(store.index, Audit(store.index, 1000))

    async def restore() -> int:
        await undo.restore_manifest(RepositoryName.parse(APP), Digest(image), CI, with_tags=False)
        return 0

    store.expire_uploads = restore  # behind the completion of manifests, before links
    await store.collect()
    store.expire_uploads = no_uploads
    report = await store.collect()
    assert (report["completed"], report["links"]) == (1, 0)
    assert await store.held() == {config, late}


async def test_nobody_is_promised_what_is_taken_meanwhile(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another repository holds the blob, so it goes from this one only."""
    audit = Audit(store.index, 1000)
    quarantine = Quarantine(store.index, store.driver, audit)
    service = Blobs(store.index, store.driver, audit, quarantine, lease_seconds=60, deletion=True)
    digest = await store.push(b"layer", APP, "other/app")
    await store.push_image(b"layer", name="other/app")
    write = store.index.write

    async def collected_before(*arguments: Any, **options: Any) -> Any:
        monkeypatch.undo()
        await store.collect()
        return await write(*arguments, **options)

    monkeypatch.setattr(store.index, "write", collected_before)
    with pytest.raises(BlobUnknown):
        await service.promise(RepositoryName.parse(APP), Digest(digest))
    assert (await service.promise(RepositoryName.parse("other/app"), Digest(digest))).digest == digest


async def test_a_preview_changes_nothing_and_says_why(store: Store) -> None:
    store.window = 1000
    until = round(time.time()) + 1000.0
    await store.push(b"config")
    await store.push(b"layer")
    await store.push_image(b"config", b"layer")
    gone = await store.push(b"removed")
    await store.delete_image(await store.push_image(b"removed", tag="old"), keep=True)
    await store.push(b"leased", lease=until)
    await store.push(b"garbage")
    await store.push(b"more garbage", "other/app")
    await store.push(b"late", "other/app")
    await store.push_image(b"late", tag="sparse", name="other/app")
    before = {name: await store.count(name) for name in ("blobs", "repository_blobs", "discarded")}

    shares = {share.kind: share for share in await store.collector().preview()}

    assert {kind: (share.blobs, share.bytes) for kind, share in shares.items()} == {
        "garbage": (2, 19), "leased": (1, 6), "needed": (3, 15), "removed": (1, 7),
    }  # fmt: skip
    assert shares["leased"].until == until
    removed_until = shares["removed"].until
    assert removed_until is not None
    assert abs(removed_until - time.time() - 1000) < 100
    assert {name: await store.count(name) for name in before} == before
    purged = {share.kind: share.blobs for share in await store.collector().preview(purge_removed=True)}
    assert purged == {"garbage": 3, "leased": 1, "needed": 3}

    report = await store.collect()
    assert (report["blobs"], report["bytes"]) == (2, 19)
    assert gone in await store.held()
    left = {share.kind: share.blobs for share in await store.collector().preview()}
    assert left == {"leased": 1, "removed": 1}, "what is known to be needed is not looked at"
