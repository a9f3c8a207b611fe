"""Repositories that are deleted stay in tables of their own, and come back whole."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import select, text

from registry.index import (
    Connection,
    Index,
    removed,
    repositories,
    restored,
    tags,
)
from registry.index.tables import (
    manifest_blobs,
)
from registry.index.tables import manifests as manifest_table
from registry.index.upkeep_tables import removed_manifest_blobs
from tests.unit.index import rows
from tests.unit.index.removal import (
    NAME,
    WHO,
    everything,
    history,
    id_of,
    remove,
    uid_of,
)
from tests.unit.index.test_accounts_repositories import fill, state


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
        while (left := removed.expire(connection, 9.0, 1)).rows:
            pieces.append(left)
        assert max(piece.rows for piece in pieces) == removed.SMALL_ROWS
        assert {piece.ended for piece in pieces} == {0, 1}, "it and its manifests, and no row of its history"
        assert not {name for name in state(connection) if name.startswith("removed")}

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
        return removed.expire(connection, 9.0, 3).ended

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
async def test_a_digest_is_looked_up_by_the_index_of_digests_alone(index: Index) -> None:
    """PostgreSQL may take a new repository for empty: then any index of its manifests seems as good, and each
    look-up walks all of them."""

    def plan(connection: Connection) -> str:
        lookup = "SELECT id FROM manifests WHERE repository_id = 77 AND digest = 'sha256:one'"
        without = connection.begin_nested()
        connection.execute(text("ALTER TABLE manifests DROP CONSTRAINT uq_manifests_repository_id_digest"))
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        lines = connection.execute(text(f"EXPLAIN {lookup}")).scalars().all()
        without.rollback()  # the next test has the same database
        return "\n".join(lines)

    assert "subject" not in await index.write(plan), "without that one, none serves"
