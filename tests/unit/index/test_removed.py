"""What is deleted is kept, comes back bit for bit, and ends."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import select, text, update

from registry.index import (
    Connection,
    Index,
    blobs,
    manifests,
    removed,
    repositories,
    restored,
    tag_history,
    tags,
)
from registry.index.tables import blobs as blob_table
from registry.index.tables import (
    manifest_blobs,
    manifest_children,
    metadata,
    repository_blobs,
)
from registry.index.tables import manifests as manifest_table
from registry.index.tables import tag_history as history_table
from registry.index.tables import tags as tag_table
from registry.index.upkeep_tables import removed_manifest_blobs
from tests.unit.index import rows
from tests.unit.index.test_accounts_repositories import CONFIG, LAYER, fill, state

NAME = "acme/app"
WHO = "user:bob"


def id_of(connection: Connection, name: str = NAME) -> int:
    found = repositories.find(connection, name)
    assert found is not None
    return found


def uid_of(connection: Connection, name: str = NAME) -> str:
    row = repositories.details(connection, name)
    assert row is not None
    return row.uid


def everything(connection: Connection, name: str = NAME) -> dict[str, Any]:
    """What a repository holds, without numbers of rows and marks for other work."""
    id = id_of(connection, name)
    columns = [
        column
        for column in manifest_table.c
        if column.name not in ("id", "repository_id", "missing_recorded", "journaled")
    ]
    here = manifest_table.c.repository_id == id
    queries = {
        "repository": select(*(c for c in metadata.tables["repositories"].c if c.name != "id")).where(
            metadata.tables["repositories"].c.id == id
        ),
        "manifests": select(*columns).where(here),
        "blobs": select(manifest_table.c.digest, manifest_blobs.c.blob_id)
        .join(manifest_blobs, manifest_blobs.c.manifest_id == manifest_table.c.id)
        .where(here),
        "children": select(manifest_table.c.digest, manifest_children.c.child_digest)
        .join(manifest_children, manifest_children.c.manifest_id == manifest_table.c.id)
        .where(here),
        "tags": select(tag_table.c.name, tag_table.c.updated_at, manifest_table.c.digest)
        .join(manifest_table, manifest_table.c.id == tag_table.c.manifest_id)
        .where(here),
        "links": select(repository_blobs.c.blob_id).where(repository_blobs.c.repository_id == id),
    }
    return {what: sorted(map(repr, connection.execute(query))) for what, query in queries.items()}


def history(connection: Connection, name: str = NAME) -> list[tuple[Any, ...]]:
    query = select(history_table.c.name, history_table.c.digest, history_table.c.at, history_table.c.by)
    ordered = query.where(history_table.c.repository_id == id_of(connection, name)).order_by(
        history_table.c.id
    )
    return [tuple(row) for row in connection.execute(ordered)]


def remove(connection: Connection, digest: str, now: float, *, keep: bool = True) -> None:
    """As the service does."""
    row = manifests.find_by_digest(connection, NAME, digest)
    assert row is not None
    tags.remove_of_manifest(connection, id_of(connection), row.id, WHO, now)
    manifests.remove(connection, row.id, WHO, now, keep=keep)


def bring_back(connection: Connection, digest: str, now: float) -> None:
    found = removed.lock(connection, uid_of(connection), [digest])
    assert [row.digest for row in found] == [digest]
    restored.bring_back_manifests(connection, id_of(connection), [found[0].id], now)


def marks(connection: Connection) -> tuple[set[int], set[int]]:
    """The blobs whose links are to be examined, and those that are so themselves."""
    links = select(repository_blobs.c.blob_id).where(repository_blobs.c.examine_at.is_not(None))
    own = select(blob_table.c.id).where(blob_table.c.examine_at.is_not(None))
    return set(connection.scalars(links)), set(connection.scalars(own))


def unmark(connection: Connection) -> None:
    for table in (repository_blobs, blob_table):
        connection.execute(update(table).values(examine_at=None))


async def test_a_manifest_comes_back_as_it_was(index: Index) -> None:
    def change(connection: Connection) -> None:
        fill(connection, NAME)
        manifests.note_pulls(connection, {manifests.find_by_tag(connection, NAME, "latest").id: 1.5})  # type: ignore[union-attr]
        before = everything(connection)

        remove(connection, "sha256:one", 2.0)
        assert manifests.find_by_digest(connection, NAME, "sha256:one") is None
        found = removed.find(connection, uid_of(connection), "sha256:one")
        assert found is not None
        assert (found[0].removed_at, found[1]) == (2.0, b"{}")
        bring_back(connection, "sha256:one", 3.0)

        after = everything(connection)
        assert after.pop("tags") != before.pop("tags"), "tags come back by their own ways"
        assert after == before
        assert removed.find(connection, uid_of(connection), "sha256:one") is None
        assert "removed_manifests" not in state(connection)

    await index.write(change)


async def test_a_link_that_went_meanwhile_comes_back(index: Index) -> None:
    def change(connection: Connection) -> None:
        fill(connection, NAME)
        before = everything(connection)
        for digest in ("sha256:one", "sha256:two"):
            remove(connection, digest, 2.0)
        assert blobs.unlink(connection, NAME, LAYER, 3.0)

        bring_back(connection, "sha256:one", 4.0)
        bring_back(connection, "sha256:two", 4.0)

        after = everything(connection)
        assert (after["links"], after["blobs"]) == (before["links"], before["blobs"])

    await index.write(change)


async def test_what_came_after_a_sparse_manifest_is_kept_with_it(index: Index) -> None:
    def change(connection: Connection) -> None:
        id = rows.manifest(connection, NAME, "sha256:sparse", 5, "latest")
        late = rows.blob(connection, NAME, LAYER, 100)
        missing = metadata.tables["missing_blobs"]
        values = {"manifest_id": id, "repository_id": id_of(connection), "digest": LAYER}
        connection.execute(missing.insert().values(values))

        remove(connection, "sha256:sparse", 2.0)

        assert set(connection.scalars(select(removed_manifest_blobs.c.blob_id))) == {late}

    await index.write(change)


async def test_deleted_twice_it_is_kept_as_it_was_last(index: Index) -> None:
    def change(connection: Connection) -> None:
        fill(connection, NAME)
        remove(connection, "sha256:one", 2.0)
        rows.manifest(connection, NAME, "sha256:one", 5, "latest", (rows.blob(connection, NAME, CONFIG, 10),))
        values = update(manifest_table).where(manifest_table.c.digest == "sha256:one")
        connection.execute(values.values(pushed_at=3.0, pushed_by=WHO))
        remove(connection, "sha256:one", 4.0)

        found = removed.find(connection, uid_of(connection), "sha256:one")

        assert found is not None
        assert (found[0].pushed_at, found[0].removed_at) == (3.0, 4.0)
        bring_back(connection, "sha256:one", 5.0)
        assert f"'{WHO}', 3.0" in str(everything(connection)["manifests"])

    await index.write(change)


async def test_without_a_window_nothing_is_kept(index: Index) -> None:
    def change(connection: Connection) -> None:
        fill(connection, NAME)
        remove(connection, "sha256:one", 2.0, keep=False)
        repositories.remove(connection, id_of(connection), WHO, 2.0, keep=False)
        assert not {name for name in state(connection) if name.startswith("removed_")}

    await index.write(change)


@pytest.mark.parametrize("name", [NAME, "acme/other"])
async def test_a_repository_comes_back_as_it_was(index: Index, name: str) -> None:
    def change(connection: Connection) -> None:
        fill(connection, NAME)
        tags.point(connection, id_of(connection), "v1", rows.manifest(
            connection, NAME, "sha256:three", 1, "v3"), "sha256:three", WHO, 1.5)  # fmt: skip
        values = {"public": True, "description": "ours", "immutable_tags": ["v*"], "updated_at": 1.7}
        repositories.configure(connection, id_of(connection), values)
        remove(connection, "sha256:one", 1.8)
        before, past = everything(connection), history(connection)
        rows.manifest(connection, "acme", "sha256:first", 1, "x")  # takes the number, on SQLite
        repositories.remove(connection, id_of(connection), WHO, 2.0)
        assert repositories.find(connection, NAME) is None

        (row,) = restored.lock_called(connection, NAME)
        assert (row.name, row.removed_at, row.removed_by, row.public) == (NAME, 2.0, WHO, True)
        assert restored.page(connection, None, 10, "APP") == [row]
        assert restored.page(connection, (NAME, row.uid), 10, None) == []
        id = restored.bring_back_repository(connection, row, name, "user:carol", 3.0)

        assert id == id_of(connection, name)
        after = everything(connection, name)
        if name != NAME:
            before["repository"] = [text.replace(NAME, name) for text in before["repository"]]
        # What was deleted before it has no manifest now, and so it has its links only.
        assert after | {"links": []} == before | {"links": []}
        assert set(after["links"]) <= set(before["links"])
        added = history(connection, name)[len(past) :]
        assert history(connection, name)[: len(past)] == past
        assert added == [
            *((tag, None, 2.0, WHO) for tag in ("v1", "v2", "v3")),
            *((tag, f"sha256:{digest}", 3.0, "user:carol")
              for tag, digest in (("v1", "three"), ("v2", "two"), ("v3", "three"))),
        ]  # fmt: skip
        assert restored.lock_called(connection, NAME) == []
        found = removed.lock(connection, row.uid, ["sha256:one"])
        restored.bring_back_manifests(connection, id, [found[0].id], 4.0)
        assert len(everything(connection, name)["manifests"]) == 3

    await index.write(change)


async def test_several_of_a_name_are_told_apart(index: Index) -> None:
    def change(connection: Connection) -> None:
        uids = []
        for at in (2.0, 3.0):
            fill(connection, NAME)
            uids.append(uid_of(connection))
            repositories.remove(connection, id_of(connection), WHO, at)

        found = restored.lock_called(connection, NAME)
        assert [row.uid for row in found] == uids[::-1]
        restored.bring_back_repository(connection, found[1], NAME, WHO, 4.0)
        assert uid_of(connection) == uids[0]
        assert [row.uid for row in restored.lock_called(connection, NAME)] == uids[1:]

    await index.write(change)


async def test_a_repository_ends_in_pieces_and_cannot_be_restored_from_the_first_one_on(index: Index) -> None:
    def change(connection: Connection) -> None:
        fill(connection, NAME)
        for number in range(2 * removed.SMALL_ROWS):
            tags.record_history(connection, id_of(connection), ["moved"], None, WHO, float(number))
        uid = uid_of(connection)
        repositories.remove(connection, id_of(connection), WHO, 2.0)
        assert [row.uid for row in restored.page(connection, None, 10, None)] == [uid]

        pieces = [removed.expire(connection, 9.0, 1)]

        assert restored.page(connection, None, 10, None) == []
        assert restored.lock_called(connection, NAME) == []
        while left := removed.expire(connection, 9.0, 1):
            pieces.append(left)
        assert max(pieces) == removed.SMALL_ROWS
        assert not {name for name in state(connection) if name.startswith("removed")}

    await index.write(change)


async def test_what_expires_marks_what_it_held(index: Index) -> None:
    def change(connection: Connection) -> None:
        fill(connection, NAME)
        fill(connection, "acme/other")
        remove(connection, "sha256:one", 2.0)
        remove(connection, "sha256:two", 3.0)
        repositories.remove(connection, id_of(connection, "acme/other"), WHO, 2.0)
        unmark(connection)
        ids = {row.digest: row.id for row in connection.execute(select(blob_table))}
        own = rows.blob(connection, "acme/new", "sha256:own", 1)
        rows.manifest(connection, "acme/new", "sha256:new", 1, "new", (own,))
        repositories.remove(connection, id_of(connection, "acme/new"), WHO, 2.0)
        unmark(connection)

        assert removed.expire(connection, 2.0, 10) == 0, "before, and not at"
        assert list(iter(lambda: removed.expire(connection, 2.5, 2), 0))[-2:] == [2, 2], "manifests at last"

        links, marked = marks(connection)
        assert links == {ids[CONFIG], ids[LAYER]}, "of the repository that is there"
        assert marked == {own}, "others have a link"
        assert restored.page(connection, None, 10, None) == []
        left = removed.lock(connection, uid_of(connection), ["sha256:one", "sha256:two"])
        assert [row.digest for row in left] == ["sha256:two"]
        assert removed.expire(connection, 9.0, 10) == 1
        assert removed.expire(connection, 9.0, 10) == 0
        assert not {name for name in state(connection) if name.startswith("removed")}

    await index.write(change)


async def test_the_history_of_a_tag(index: Index) -> None:
    def change(connection: Connection) -> None:
        fill(connection, NAME)
        id = id_of(connection)
        two = manifests.find_by_tag(connection, NAME, "v1")
        assert two is not None
        tags.point(connection, id, "latest", two.id, "sha256:two", WHO, 2.0)
        remove(connection, "sha256:one", 3.0)
        tags.remove(connection, id, "latest", WHO, 4.0)
        tags.point(connection, id, "latest", two.id, "sha256:two", WHO, 4.0)

        found = tag_history.page(connection, id, "latest", None, 10)

        expected = [("sha256:two", 4.0), (None, 4.0), ("sha256:two", 2.0), ("sha256:one", 1.0)]
        assert [(row.digest, row.at) for row in found] == expected
        assert [row.is_here for row in found] == [True, False, True, False]
        assert [row.removed_at for row in found] == [None, None, None, 3.0]
        assert [row.by for row in found] == [WHO, WHO, WHO, rows.BY]
        for size in (1, 3):
            pages, last = [], None
            while page := tag_history.page(connection, id, "latest", last, size):
                pages += page
                last = page[-1].id
            assert pages == found
        expected_at = {0.9: None, 1.0: "one", 1.9: "one", 2.0: "two", 3.5: "two", 4.0: "two", 9.0: "two"}
        for at, digest in expected_at.items():
            at_that_time = tag_history.digest_at(connection, id, "latest", at)
            assert at_that_time == (digest and f"sha256:{digest}")
        remove(connection, "sha256:two", 5.0)
        assert tag_history.gone_with(connection, id, "sha256:two", 5.0) == ["latest", "v1", "v2"]
        assert tag_history.gone_with(connection, id, "sha256:one", 5.0) == []
        assert tag_history.gone_with(connection, id, "sha256:two", 3.0) == []

    await index.write(change)


async def test_referrers_come_with_their_subject_unless_they_went_before(index: Index) -> None:
    def change(connection: Connection) -> None:
        for at, digest in ((2.0, "sha256:before"), (3.0, "sha256:with"), (4.0, "sha256:after")):
            rows.manifest(connection, NAME, digest, 1, digest[7:])
            connection.execute(
                update(manifest_table).where(manifest_table.c.digest == digest).values(subject="sha256:s")
            )
            remove(connection, digest, at)
        uid = uid_of(connection)
        subject = removed.RemovedManifest(0, "sha256:s", "", 1.0, 3.0)
        assert removed.referrers(connection, uid, subject) == {"sha256:with", "sha256:after"}
        assert removed.referrers(connection, "other", subject) == set()
        row = removed.lock(connection, uid, ["sha256:with"])[0]
        assert removed.children(connection, [row.id]) == {"sha256:child"}

    await index.write(change)


async def test_who_restores_and_who_ends_it_do_not_meet(index: Index) -> None:
    """Either all of a manifest is back, or nothing of it."""

    def prepare(connection: Connection) -> str:
        for number in range(20):
            ids = tuple(rows.blob(connection, NAME, f"sha256:{number}-{part}", 1) for part in range(3))
            rows.manifest(connection, NAME, f"sha256:m{number}", 1, f"t{number}", ids)
        for number in range(20):
            remove(connection, f"sha256:m{number}", 2.0)
        return uid_of(connection)

    uid = await index.write(prepare)

    def restore(number: int) -> Any:
        def change(connection: Connection) -> bool:
            found = removed.lock(connection, uid, [f"sha256:m{number}"])
            restored.bring_back_manifests(connection, id_of(connection), [row.id for row in found], 3.0)
            return bool(found)

        return change

    def end(connection: Connection) -> int:
        return removed.expire(connection, 9.0, 3)

    outcomes = await asyncio.gather(
        *(index.write(step) for number in range(20) for step in (restore(number), end))
    )

    def look(connection: Connection) -> dict[str, int]:
        edges = select(manifest_table.c.digest, manifest_blobs.c.blob_id).join(
            manifest_blobs, manifest_blobs.c.manifest_id == manifest_table.c.id
        )
        counted: dict[str, int] = {}
        for digest, _ in connection.execute(edges):
            counted[digest] = counted.get(digest, 0) + 1
        assert not connection.scalars(select(removed_manifest_blobs.c.blob_id)).all()
        return counted

    back = {f"sha256:m{number}": 3 for number in range(20) if outcomes[2 * number]}
    assert await index.read(look) == back


@pytest.mark.parametrize("index_url", ["postgresql"], indirect=True)
async def test_a_repository_comes_back_by_looking_up_each_manifest_once(index: Index) -> None:
    """Though PostgreSQL knows all repositories, and so takes a new one for empty."""
    number = 200

    def prepare(connection: Connection) -> None:
        for name in ("acme/known", NAME):
            ids = (rows.blob(connection, name, LAYER, 1),)
            for one in range(number):
                rows.manifest(connection, name, f"sha256:{one}", 1, f"t{one}", ids)
        repositories.remove(connection, id_of(connection), WHO, 2.0)

    def restore(connection: Connection) -> int:
        (row,) = restored.lock_called(connection, NAME)
        restored.bring_back_repository(connection, row, NAME, WHO, 3.0)
        read = "SELECT idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'manifests'"
        return int(connection.execute(text(read)).scalar_one())

    await index.write(prepare)
    await index.write(lambda connection: connection.execute(text("ANALYZE")))
    assert await index.write(restore) < 20 * number
