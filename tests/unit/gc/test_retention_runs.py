"""Runs of retention: who wins when others push meanwhile, and where a run goes on."""

import asyncio
import time
from typing import Any

import pytest

from auth.patterns import EVERYTHING, RepositoryPattern
from registry.gc.dropping import Outdated
from registry.index import Connection, in_use, repositories, retention_rules
from registry.oci.errors import ManifestBlobsUnknown, ManifestUnknown
from registry.oci.name import RepositoryName
from tests.unit.gc.shelf import CI, NAME, Shelf


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
