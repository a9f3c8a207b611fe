"""Retention at work on an index: what goes, what stays, and who wins when others push meanwhile."""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from sqlalchemy import insert

from auth.actor import Actor
from auth.patterns import EVERYTHING, RepositoryPattern
from registry.gc.dropping import Dropping, Outdated
from registry.gc.jobs import Jobs
from registry.gc.retention import Retention
from registry.index import Connection, Index, in_use, repositories, retention_rules, tags
from registry.index.upkeep_tables import missing_blobs
from registry.oci.digest import Digest
from registry.oci.errors import InputInvalid, ManifestBlobsUnknown, ManifestUnknown
from registry.oci.media_types import OCI_INDEX
from registry.oci.name import RepositoryName, Tag
from registry.services.audit import Audit
from registry.services.manifests import Manifests
from registry.services.retention.preview import Preview, Previews, Summary
from registry.services.undo import Undo
from tests.unit.index import rows
from tests.unit.services.retention.contents import rule

NAME = RepositoryName.parse("acme/app")
CI = Actor("robot:ci")


class Shelf:
    """A registry of indexes: they need no blobs, and may list and refer to each other."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self.audit = Audit(index, keep_seconds=3600)
        self.manifests = Manifests(index, self.audit, sparse=False, deletion=True, tag_deletion=True)
        self.retention = Retention(index, self.audit, keep_deleted=True)
        self.jobs = Jobs(index)

    async def push(
        self,
        text: str,
        *names: str,
        lists: Sequence[Digest] = (),
        subject: Digest | None = None,
        repository: RepositoryName = NAME,
    ) -> Digest:
        """An index that says something, under tags."""
        entries = [await self._descriptor(one, repository) for one in lists]
        document: dict[str, Any] = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
        document["annotations"] = {"text": text}
        if subject is not None:
            document["subject"] = await self._descriptor(subject, repository)
        body = json.dumps(document).encode()
        digest = Digest.of(body)
        await self.manifests.put(
            repository, digest, body, OCI_INDEX, CI, extra_tags=tuple(map(Tag.parse, names))
        )
        return digest

    async def _descriptor(self, digest: Digest, repository: RepositoryName) -> Mapping[str, object]:
        row = await self.manifests.find(repository, digest)
        return {"mediaType": OCI_INDEX, "digest": digest, "size": row.size}

    async def age(self, seconds: float) -> None:
        """Make everything that is there so much older."""
        names = {"tags": "updated_at", "manifests": "pushed_at", "tag_history": "at"}

        def change(connection: Connection) -> None:
            for table, column in names.items():
                text = f'UPDATE {table} SET "{column}" = "{column}" - {seconds}'
                connection.connection.driver_connection.execute(text)  # type: ignore[union-attr]

        await self.index.write(change)

    async def set_rule(self, **conditions: Any) -> None:
        given = rule(**conditions)
        await self.index.write(lambda connection: retention_rules.set(connection, given))

    async def run(self, pattern: RepositoryPattern = EVERYTHING) -> dict[str, int]:
        async with self.jobs.hold("retention") as job:
            report, following = await self.retention.go_on(job, pattern, None, 60)
        assert following is None
        return report

    async def names(self) -> set[str]:
        def query(connection: Connection) -> set[str]:
            repository_id = repositories.find(connection, NAME)
            assert repository_id is not None
            return set(tags.page(connection, repository_id, None, 1000))

        return await self.index.read(query)

    async def has(self, digest: Digest) -> bool:
        try:
            await self.manifests.find(NAME, digest)
        except ManifestUnknown:
            return False
        return True

    async def decided(self) -> Dropping:
        """What retention would delete now."""
        dropping = await self.index.read(lambda connection: self.retention._decided(connection, NAME))
        assert dropping is not None
        return dropping

    async def carry_out(self, dropping: Dropping) -> tuple[int, int]:
        dropped = await self.index.write(lambda connection: dropping.drop(connection, dropping.roots()))
        return dropped.tags, dropped.manifests


@pytest.fixture
def shelf(index: Index) -> Shelf:
    return Shelf(index)


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


async def test_a_push_in_between_wins(shelf: Shelf) -> None:
    children = [await shelf.push(f"child {number}") for number in range(3)]
    moved = await shelf.push("moved", "moved")
    again = await shelf.push("again", "again")
    tagged = await shelf.push("tagged", "tagged")
    listing = await shelf.push("listing", "listing", lists=children[:2])
    signed = await shelf.push("signed", "signed")
    cosigned = await shelf.push("cosigned", "cosigned")
    gone = await shelf.push("gone", "gone", lists=[children[2]])
    await shelf.set_rule(keep_last=0)
    decided = await shelf.decided()

    await shelf.push("newer", "moved")
    await shelf.push("again", "again")
    await shelf.push("tagged", "another")
    new = await shelf.push("a new index", lists=[children[0]])
    await shelf.push("signature", subject=signed)
    attached = f"sha256-{cosigned.encoded}.sig"
    await shelf.push("another signature", attached)
    await shelf.manifests.delete(NAME, gone, CI)

    assert await shelf.carry_out(decided) == (4, 4)
    assert await shelf.names() == {"moved", "again", "another", attached}
    these = (moved, again, tagged, listing, signed, cosigned, new, *children)
    found = {one: await shelf.has(one) for one in these}
    assert found == {
        moved: False,  # nothing points to it any more
        again: True,
        tagged: True,
        listing: False,
        signed: True,
        cosigned: True,
        new: True,
        children[0]: True,
        children[1]: False,
        children[2]: False,  # what held it went in another way
    }


async def test_what_is_protected_in_between_is_decided_about_anew(shelf: Shelf) -> None:
    child = await shelf.push("child")
    await shelf.push("one", "one", lists=[child])
    await shelf.push("two", "two")
    await shelf.set_rule(keep_last=0)
    decided = await shelf.decided()

    def report(connection: Connection) -> None:
        in_use.replace(connection, "prod", "robot:cluster", [(NAME, child)], time.time(), time.time() + 60)

    await shelf.index.write(report)
    with pytest.raises(Outdated):
        await shelf.carry_out(decided)
    assert await shelf.carry_out(await shelf.decided()) == (1, 1)
    assert await shelf.names() == {"one"}

    def protect(connection: Connection) -> None:
        row = repositories.details(connection, NAME)
        assert row is not None
        repositories.configure(connection, row.id, {"immutable_tags": ["one"]})

    await shelf.index.write(lambda connection: in_use.expire(connection, time.time() + 61))
    decided = await shelf.decided()
    await shelf.index.write(protect)
    with pytest.raises(Outdated):
        await shelf.carry_out(decided)
    assert (await shelf.run())["tags"] == 0


async def test_a_rule_that_is_disabled_in_between_deletes_nothing_more(shelf: Shelf) -> None:
    await shelf.push("one", "one")
    await shelf.set_rule(keep_last=0)
    decided = await shelf.decided()

    def disable(connection: Connection) -> None:
        for one in retention_rules.enabled(connection):
            assert retention_rules.set_disabled(connection, one.name, True)

    await shelf.index.write(disable)
    with pytest.raises(Outdated):
        await shelf.carry_out(decided)
    assert (await shelf.run())["tags"] == 0
    assert await shelf.names() == {"one"}


async def test_a_run_forgets_leases_that_are_over(shelf: Shelf) -> None:
    digest = await shelf.push("one", "one")
    await shelf.set_rule(keep_last=0)
    now = time.time()

    def report(connection: Connection) -> None:
        in_use.replace(connection, "prod", "robot:cluster", [(NAME, digest)], now - 60, now - 1)

    await shelf.index.write(report)
    assert (await shelf.run())["tags"] == 1
    assert await shelf.index.read(lambda connection: in_use.page(connection, None, 9, now - 60)) == []


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


async def test_a_run_that_has_no_time_left_says_where_it_goes_on(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registry.gc.retention.ROOTS_AT_ONCE", 2)
    monkeypatch.setattr("registry.gc.retention.BATCH", 1)
    for number in range(5):
        await shelf.push(f"image {number}", f"v{number}")
    await shelf.push("other", "v0", repository=RepositoryName.parse("acme/zoo"))
    await shelf.set_rule(keep_last=0)
    told = []
    after: str | None = None
    while not told or after is not None:
        async with shelf.jobs.hold("retention") as job:
            report, after = await shelf.retention.go_on(job, EVERYTHING, after, 0)
        told.append((report["repositories"], report["tags"], after))

    assert told == [(0, 2, ""), (0, 2, ""), (1, 1, NAME), (1, 1, "acme/zoo"), (0, 0, None)]


async def test_a_run_in_one_repository_looks_at_no_others(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registry.gc.retention.ROOTS_AT_ONCE", 1)
    for name in ("acme/app", "acme/app/part", "acme/application"):
        for tag in ("v1", "v2"):
            await shelf.push(f"{name} {tag}", tag, repository=RepositoryName.parse(name))
    await shelf.set_rule(keep_last=0)
    monkeypatch.delattr(repositories, "page_visible")
    told = []
    for after in (None, "", NAME):
        async with shelf.jobs.hold("retention") as job:
            told.append(await shelf.retention.go_on(job, RepositoryPattern(NAME), after, 0))

    nothing = dict.fromkeys(("repositories", "tags", "manifests", "changed"), 0)
    assert told == [
        (nothing | {"tags": 1, "manifests": 1}, ""),
        (nothing | {"repositories": 1, "tags": 1, "manifests": 1}, NAME),
        (nothing, None),
    ]
    assert (await shelf.run(RepositoryPattern("acme/unknown"))) == nothing
    monkeypatch.undo()
    assert (await shelf.run())["tags"] == 4


async def test_a_run_for_a_pattern_reads_the_names_that_begin_like_it(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registry.gc.retention.BATCH", 1)
    for name in ("abc/app", "acme/app", "acme/zoo", "acme/zoo/part", "acmf/app", "zoo/app"):
        await shelf.push(name, "v1", repository=RepositoryName.parse(name))
    await shelf.set_rule(keep_last=0)
    read: list[str] = []
    page = repositories.page_visible

    def noted(*arguments: Any, **options: Any) -> Any:
        rows = page(*arguments, **options)
        read.extend(row.name for row in rows)
        return rows

    monkeypatch.setattr(repositories, "page_visible", noted)
    assert (await shelf.run(RepositoryPattern("acme/*")))["repositories"] == 2
    assert read == ["acme/app", "acme/zoo", "acme/zoo/part", "acmf/app"]


async def test_an_index_that_is_pushed_meanwhile_keeps_what_it_lists(shelf: Shelf) -> None:
    """Both at once: either the child stays, or the push is refused. On SQLite they never meet."""
    await shelf.set_rule(tags=[], untagged_seconds=500)
    for number in range(10):
        child = await shelf.push(f"child {number}")
        await shelf.age(1000)
        decided = await shelf.decided()
        pushed, _ = await asyncio.gather(
            shelf.push(f"index {number}", f"v{number}", lists=[child]),
            shelf.carry_out(decided),
            return_exceptions=True,
        )
        if isinstance(pushed, BaseException):
            assert isinstance(pushed, ManifestUnknown | ManifestBlobsUnknown)
        else:
            assert await shelf.has(child)


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
