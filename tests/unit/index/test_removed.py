"""What is deleted is kept, comes back bit for bit, and ends."""

from sqlalchemy import select, update

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
from registry.index.tables import manifests as manifest_table
from registry.index.tables import (
    metadata,
)
from registry.index.upkeep_tables import removed_manifest_blobs
from tests.unit.index import rows
from tests.unit.index.removal import NAME, WHO, bring_back, everything, id_of, marks, remove, uid_of, unmark
from tests.unit.index.test_accounts_repositories import CONFIG, LAYER, fill, state


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

        assert removed.expire(connection, 2.0, 10) == (0, 0), "before, and not at"
        pieces = list(iter(lambda: removed.expire(connection, 2.5, 2), (0, 0)))
        assert pieces[-2:] == [(2, 2), (2, 2)], "manifests at last"
        assert [piece.ended for piece in pieces[:-2] if piece.ended] == [1, 1], "repositories, and no history"

        links, marked = marks(connection)
        assert links == {ids[CONFIG], ids[LAYER]}, "of the repository that is there"
        assert marked == {own}, "others have a link"
        assert restored.page(connection, None, 10, None) == []
        left = removed.lock(connection, uid_of(connection), ["sha256:one", "sha256:two"])
        assert [row.digest for row in left] == ["sha256:two"]
        assert removed.expire(connection, 9.0, 10) == (1, 1)
        assert removed.expire(connection, 9.0, 10) == (0, 0)
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
