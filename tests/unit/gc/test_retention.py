"""Retention at work on an index: what goes, and what stays."""

from typing import Any

import pytest
from sqlalchemy import insert

from auth.patterns import EVERYTHING, RepositoryPattern
from registry.index import Connection, repositories
from registry.index.upkeep_tables import missing_blobs
from registry.oci.errors import InputInvalid
from registry.oci.name import RepositoryName, Tag
from registry.services.retention.preview import Preview, Previews, Summary
from registry.services.undo import Undo
from tests.unit.gc.shelf import CI, NAME, Shelf
from tests.unit.index import rows
from tests.unit.services.retention.contents import rule


async def test_what_no_rule_keeps_is_deleted_as_a_user_would_do_it(shelf: Shelf) -> None:
    child = await shelf.push("child")
    shared = await shelf.push("shared")
    old = await shelf.push("old", "v1", lists=[child, shared])
    signature = await shelf.push("signature", subject=old)
    await shelf.push("new", "v2", lists=[shared])
    await shelf.push("other", "edge")
    await shelf.push("elsewhere", "v1", "v2", repository=RepositoryName.parse("other/app"))
    await shelf.set_rule(name="one", repositories="acme/*", tags=["v*"], keep_last=1)

    assert await shelf.run(RepositoryPattern("other/**")) == dict.fromkeys(
        ("repositories", "tags", "manifests", "changed"), 0
    )
    report = await shelf.run()

    assert report == {"repositories": 1, "tags": 1, "manifests": 3, "changed": 0}
    assert await shelf.names() == {"v2", "edge"}
    assert [await shelf.has(one) for one in (old, child, signature, shared)] == [False, False, False, True]
    (entry,) = await shelf.audit.page({"action": "delete"}, None, 10)
    assert (entry.actor, entry.target, entry.detail["tags"]) == ("retention:one", NAME, ["v1"])
    assert entry.detail["digests"] == sorted([old, child, signature])
    assert await shelf.run() == {"repositories": 1, "tags": 0, "manifests": 0, "changed": 0}


async def test_a_manifest_goes_so_long_after_its_last_tag_left(shelf: Shelf) -> None:
    first, lone = await shelf.push("first", "latest", "also"), await shelf.push("lone")
    await shelf.age(1000)
    second = await shelf.push("second", "latest")  # `also` stays where it was
    await shelf.age(100)
    await shelf.manifests.delete(NAME, Tag.parse("also"), CI)
    await shelf.age(50)
    await shelf.set_rule(tags=[], untagged_seconds=500)

    assert (await shelf.run())["manifests"] == 1
    assert [await shelf.has(one) for one in (first, second, lone)] == [True, True, False]
    await shelf.age(500)
    assert (await shelf.run())["manifests"] == 1
    assert [await shelf.has(one) for one in (first, second)] == [False, True]


async def test_a_push_of_the_same_again_begins_anew(shelf: Shelf) -> None:
    digest = await shelf.push("without a tag")
    await shelf.age(1000)
    await shelf.push("without a tag")
    await shelf.set_rule(tags=[], untagged_seconds=500)

    assert (await shelf.run())["manifests"] == 0
    assert await shelf.has(digest)


async def test_what_is_attached_by_a_tag_goes_with_its_subject(shelf: Shelf) -> None:
    image, kept = await shelf.push("image", "v1"), await shelf.push("kept", "v2")
    names = [f"{one.replace(':', '-')}.sig" for one in (image, kept)]
    signatures = [await shelf.push(f"signature {name}", name) for name in names]
    await shelf.set_rule(keep_last=0, keep_tags=["v2"])
    decided = await shelf.decided()
    await shelf.push("image", "v1")
    assert await shelf.carry_out(decided) == (0, 0)

    assert await shelf.run() == {"repositories": 1, "tags": 2, "manifests": 2, "changed": 0}
    assert await shelf.names() == {"v2", names[1]}
    assert [await shelf.has(one) for one in signatures] == [False, True]

    back = await Undo(shelf.index, shelf.audit).restore_manifest(NAME, image, CI, with_tags=True)
    assert (set(back.manifests), back.tags) == ({image, signatures[0]}, ("v1", names[0]))


async def test_what_two_indexes_hold_goes_with_the_last_of_them(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registry.gc.retention.ROOTS_AT_ONCE", 1)
    deep = await shelf.push("deep")
    shared = await shelf.push("shared", "part", lists=[deep])
    for number in range(4):
        await shelf.push(f"index {number}", f"v{number}", lists=[shared])
    await shelf.set_rule(keep_last=0)

    assert await shelf.run() == {"repositories": 1, "tags": 5, "manifests": 6, "changed": 0}
    assert not await shelf.has(deep)


async def test_bytes_come_free_that_nothing_else_holds(shelf: Shelf) -> None:
    def fill(connection: Connection) -> None:
        base, common, own, last = (
            rows.blob(connection, "acme/app", f"sha256:{name}", size)
            for name, size in (("base", 1000), ("common", 100), ("own", 10), ("last", 1))
        )
        rows.blob(connection, "acme/zoo", "sha256:base", 1000)
        rows.manifest(connection, "acme/app", "sha256:1", 5, "v1", (base, common, own))
        rows.manifest(connection, "acme/app", "sha256:2", 5, "v2", (base, common))
        rows.manifest(connection, "acme/app", "sha256:3", 5, "edge", (base, last))
        rows.manifest(connection, "acme/zoo", "sha256:4", 5, "v1", (base,))

    await shelf.index.write(fill)
    previews = Previews(shelf.index)

    async def freed(repositories: str, everything: bool = True, **conditions: Any) -> Summary:
        pattern = RepositoryPattern(repositories)
        preview = Preview(pattern, lambda name: everything or name != "acme/zoo", rule(**conditions))
        return await previews.summary(preview._replace(everything=everything))

    assert (await freed("acme/app", tags=["v1"], keep_last=0)).bytes == 5 + 10
    assert (await freed("acme/app", tags=["v*"], keep_last=0)).bytes == 10 + 110
    assert (await freed("acme/app", keep_last=0)).bytes == 15 + 111
    whole = await freed("**", keep_last=0)
    assert whole == Summary(2, 0, 4, 0, 0, 20 + 1111)
    assert (await freed("**", keep_tags=["edge"])).bytes == 15 + 110
    for hidden in "acme/app", "acme/*":
        assert (await freed(hidden, everything=False, keep_last=0)).bytes == 15 + 1111
        assert (await freed(hidden, everything=False, tags=["v*"], keep_last=0)).bytes == 10 + 110


async def test_a_sparse_manifest_waits_for_its_blobs(shelf: Shelf) -> None:
    def fill(connection: Connection) -> None:
        blob = rows.blob(connection, "acme/app", "sha256:late", 100)
        rows.manifest(connection, "acme/app", "sha256:1", 5, "old", (blob,))
        waiting = rows.manifest(connection, "acme/app", "sha256:2", 5, "waiting")
        repository_id = repositories.find(connection, "acme/app")
        values = {"manifest_id": waiting, "repository_id": repository_id, "digest": "sha256:late"}
        connection.execute(insert(missing_blobs), values)

    await shelf.index.write(fill)
    previews = Previews(shelf.index)

    async def freed(*patterns: str, everything: bool) -> int:
        tried = rule(tags=patterns, keep_last=0)
        preview = Preview(RepositoryPattern("acme/app"), lambda _name: True, tried, everything)
        return (await previews.summary(preview)).bytes

    assert await freed("old", everything=True) == 5
    assert await freed("*", everything=True) == 10 + 100

    def await_elsewhere(connection: Connection) -> None:
        rows.blob(connection, "secret/app", "sha256:late", 100)
        waiting = rows.manifest(connection, "secret/app", "sha256:3", 5, "waiting")
        repository_id = repositories.find(connection, "secret/app")
        values = {"manifest_id": waiting, "repository_id": repository_id, "digest": "sha256:late"}
        connection.execute(insert(missing_blobs), values)

    await shelf.index.write(await_elsewhere)
    assert await freed("*", everything=True) == 10
    assert await freed("*", everything=False) == 10 + 100


async def test_a_preview_comes_in_pages_and_nothing_changes(shelf: Shelf) -> None:
    for number in range(5):
        await shelf.push(f"image {number}", f"v{number}")
    lone = await shelf.push("lone")
    await shelf.push("other", "v0", repository=RepositoryName.parse("acme/zoo"))
    await shelf.push("private", "v0", repository=RepositoryName.parse("secret/app"))
    await shelf.set_rule(name="saved", repositories="**", tags=["v*"], keep_last=100)
    previews = Previews(shelf.index)
    preview = Preview(EVERYTHING, lambda name: name != "secret/app", rule("saved", tags=["v*"], keep_last=2))

    found, cursor = await previews.page(preview, None, 4)
    shown = [(entry.repository, entry.verdict.tag, entry.verdict.kept) for entry in found]
    assert shown == [(NAME, "v0", False), (NAME, "v1", False), (NAME, "v2", False), (NAME, "v3", True)]
    previews = Previews(shelf.index)  # another process goes on
    found, cursor = await previews.page(preview, cursor, 2)
    assert [entry.verdict.tag or entry.verdict.digest for entry in found] == ["v4", lone]
    found, cursor = await previews.page(preview, cursor, 2)
    assert [(entry.repository, entry.verdict.tag, entry.verdict.kept) for entry in found] == [
        ("acme/zoo", "v0", True)
    ]
    assert cursor is None
    assert len(await shelf.names()) == 5
    with pytest.raises(InputInvalid, match="last: should be"):
        await previews.page(preview, "nonsense", 2)
    with pytest.raises(InputInvalid, match=r"rule\.tags: .*all of them would go"):
        await previews.summary(preview._replace(tried=rule()))
