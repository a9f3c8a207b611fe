"""Restoring while others push."""

import asyncio
import concurrent.futures
import json
import time
from collections.abc import Collection, Sequence
from typing import Any

import pytest
from sqlalchemy import insert, text

from auth.actor import Actor
from registry.index import Connection, Index, removed, repositories, tags
from registry.index.removed import RemovedManifest
from registry.index.tables import tag_history
from registry.oci.digest import Digest
from registry.oci.errors import TagImmutable
from registry.oci.media_types import OCI_INDEX
from registry.oci.name import RepositoryName, Tag
from registry.services.audit import Audit
from registry.services.manifests import Manifests
from registry.services.undo import Undo

NAME = RepositoryName.parse("acme/app")
LATEST = Tag.parse("latest")
CI = Actor("robot:ci")


def document(title: str) -> bytes:
    """An index that lists nothing."""
    said = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "annotations": {"is": title}}
    return json.dumps(said).encode()


def somebody_waits(connection: Connection) -> bool:
    """Whether a transaction waits for another one."""
    return bool(connection.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")))


@pytest.mark.parametrize("immutable", [False, True])
@pytest.mark.parametrize("index_url", ["postgresql"], indirect=True)  # SQLite has one writer
async def test_of_a_push_and_a_restored_tag_neither_takes_the_place_of_the_other(
    index: Index, monkeypatch: pytest.MonkeyPatch, *, immutable: bool
) -> None:
    audit = Audit(index, keep_seconds=3600)
    manifests = Manifests(index, audit, sparse=False, deletion=True, tag_deletion=True)
    old, new = document("old"), document("new")
    await manifests.put(NAME, LATEST, old, OCI_INDEX, CI)
    await manifests.delete(NAME, Digest.of(old), CI)

    def protect(connection: Connection) -> None:
        row = repositories.details(connection, NAME)
        assert row is not None
        repositories.configure(connection, row.id, {"immutable_tags": ["*"] if immutable else []})

    await index.write(protect)
    loop, add = asyncio.get_running_loop(), tags.add
    pushes: list[concurrent.futures.Future[object]] = []

    def pushed_before(*arguments: Any) -> bool:
        monkeypatch.undo()
        push = manifests.put(NAME, LATEST, new, OCI_INDEX, CI)
        pushes.append(asyncio.run_coroutine_threadsafe(push, loop))
        while not pushes[0].done():
            if asyncio.run_coroutine_threadsafe(index.read(somebody_waits), loop).result():
                break
        return add(*arguments)

    monkeypatch.setattr(tags, "add", pushed_before)
    back = await Undo(index, audit).restore_manifest(NAME, Digest.of(old), CI, with_tags=True)
    assert back.manifests == (Digest.of(old),)
    if immutable:
        with pytest.raises(TagImmutable):
            await asyncio.wrap_future(pushes[0])
    assert back.tags == ((LATEST,) if immutable else ())
    assert (await manifests.find(NAME, LATEST)).digest == Digest.of(old if immutable else new)


async def test_thousands_of_tags_that_attached_something_are_no_hindrance(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL takes 65,535 parameters in a statement; who pushes chooses how many tags there were."""
    audit = Audit(index, keep_seconds=3600)
    manifests = Manifests(index, audit, sparse=False, deletion=True, tag_deletion=True)
    digest = Digest.of(document("signed"))
    await manifests.put(NAME, LATEST, document("signed"), OCI_INDEX, CI)
    await manifests.delete(NAME, digest, CI)

    def attached_and_gone(connection: Connection) -> None:
        row = repositories.details(connection, NAME)
        assert row is not None
        tag = digest.replace(":", "-")
        entries = [
            {"repository_id": row.id, "name": f"{tag}.{number}", "digest": to, "at": at}
            for number in range(2500)
            for at, to in ((1.0, f"sha256:{number}"), (time.time(), None))
        ]
        connection.execute(insert(tag_history), entries)

    await index.write(attached_and_gone)
    asked: list[int] = []
    lock = removed.lock

    def counted(connection: Connection, uid: str, digests: Collection[str]) -> Sequence[RemovedManifest]:
        asked.append(len(digests))
        return lock(connection, uid, digests)

    monkeypatch.setattr(removed, "lock", counted)
    back = await Undo(index, audit).restore_manifest(NAME, digest, CI, with_tags=False)

    assert back.manifests == (digest,)
    assert sum(asked) >= 2500
    assert max(asked) <= 1000
