"""Repositories: settings, what somebody may see of them, what they hold, and removing one whole."""

import re
from functools import partial

import pytest
from sqlalchemy import func, select

from registry.index import Connection, Index, access, blobs, manifests, repositories, tags, uploads
from registry.index.access import RepositoryFacts
from registry.index.repositories import MOST_RANGES, RepositoryCounts, RepositoryRow
from registry.index.tables import metadata
from tests.unit.index import rows

CONFIG, LAYER, SHARED = (f"sha256:{letter * 64}" for letter in "abc")


async def test_a_repository_has_a_random_uid(index: Index) -> None:
    def change(connection: Connection) -> list[str]:
        uids = []
        for _ in range(3):
            id = repositories.ensure(connection, "acme/app", 1.0)
            assert repositories.ensure(connection, "acme/app", 2.0) == id
            row = repositories.details(connection, "acme/app")
            assert row is not None
            uids.append(row.uid)
            assert repositories.remove(connection, id, rows.BY, 2.0)
        return uids

    uids = await index.write(change)

    assert len(set(uids)) == 3, "another one under the same name is another one"
    assert all(re.fullmatch("[0-9a-f]{16}", uid) for uid in uids)


async def test_settings(index: Index) -> None:
    def change(connection: Connection) -> None:
        id = repositories.ensure(connection, "acme/app", 1.0)
        row = repositories.details(connection, "acme/app")
        assert row is not None
        assert row == RepositoryRow(id, "acme/app", row.uid, False, "", (), 1.0, None)
        assert access.facts(connection, "acme/app") == RepositoryFacts(id, row.uid, False, ())
        assert row.public is False, "and not 0, which SQLite has for it"

        values = {"public": True, "immutable_tags": ["v*", "release"], "updated_at": 2.0}
        assert repositories.configure(connection, id, values)
        facts = access.facts(connection, "acme/app")
        assert facts == RepositoryFacts(id, row.uid, True, ("v*", "release"))
        assert facts.public is True
        assert repositories.configure(connection, id, {"description": "it's ours", "updated_at": 3.0})
        changed = repositories.details(connection, "acme/app")
        expected = RepositoryRow(id, "acme/app", row.uid, True, "it's ours", ("v*", "release"), 1.0, 3.0)
        assert changed == expected
        assert not repositories.configure(connection, id + 1, {"public": True})
        assert access.facts(connection, "acme") is None
        assert repositories.details(connection, "acme") is None

    await index.write(change)


@pytest.mark.parametrize("values", [{}, {"name": "other"}, {"public": True, "uid": "0"}])
async def test_what_is_no_setting_is_refused(index: Index, values: dict[str, object]) -> None:
    id = await index.write(partial(repositories.ensure, name="acme/app", now=1.0))

    with pytest.raises(ValueError, match="no such settings"):
        await index.write(partial(repositories.configure, id=id, values=values))


NAMES = ["acme", "acme-2/app", "acme/app", "acme/app-2", "acme/zoo", "other/open", "other/shut"]


@pytest.mark.parametrize(
    ("prefixes", "search", "expected"),
    [
        (None, None, NAMES),
        ([""], None, NAMES),
        ([], None, ["other/open"]),
        (["acme/"], None, ["acme/app", "acme/app-2", "acme/zoo", "other/open"]),
        (["acme/app"], None, ["acme/app", "acme/app-2", "other/open"]),
        (["acme", "other/s"], None, NAMES),
        (["acme-2/"], None, ["acme-2/app", "other/open"]),
        (None, "APP", ["acme-2/app", "acme/app", "acme/app-2"]),
        (["acme/"], "o", ["acme/zoo", "other/open"]),
        (None, "%", []),
        ([f"nobody{number}/" for number in range(MOST_RANGES)], None, ["other/open"]),
        ([f"nobody{number}/" for number in range(10 * MOST_RANGES)], None, NAMES),
    ],
)
async def test_candidates_for_what_somebody_may_see(
    index: Index, prefixes: list[str] | None, search: str | None, expected: list[str]
) -> None:
    def change(connection: Connection) -> None:
        for name in reversed(NAMES):
            id = repositories.ensure(connection, name, 1.0)
            if name == "other/open":
                repositories.configure(connection, id, {"public": True})

        def page(last: str | None, limit: int) -> list[str]:
            found = repositories.page_visible(connection, last, limit, prefixes, search)
            return [row.name for row in found]

        assert page(None, 100) == expected
        assert page(None, 2) == expected[:2]
        if len(expected) > 1:
            assert page(expected[0], 1) == expected[1:2]

    await index.write(change)


def fill(connection: Connection, name: str) -> None:
    """A repository with one of everything."""
    config = rows.blob(connection, name, CONFIG, 10)
    layer = rows.blob(connection, name, LAYER, 100)
    rows.blob(connection, name, SHARED, 1000)
    rows.manifest(connection, name, "sha256:one", 5, "latest", (config, layer))
    rows.manifest(connection, name, "sha256:two", 7, "v1", (config,))
    rows.manifest(connection, name, "sha256:two", 7, "v2", (config,))


def state(connection: Connection) -> dict[str, int]:
    """How many rows each table has, but for those that are noted of every change."""
    counted = {
        table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
        for table in metadata.sorted_tables
    }
    noted = {"access_epoch", "removals_to_journal"}
    return {name: count for name, count in counted.items() if count and name not in noted}


async def test_what_a_repository_holds(index: Index) -> None:
    def change(connection: Connection) -> None:
        fill(connection, "acme/app")
        rows.blob(connection, "acme/other", SHARED, 1000)
        ids = {name: repositories.ensure(connection, name, 1.0) for name in ("acme/app", "acme/other", "new")}
        assert repositories.counts(connection, ids["acme/app"]) == RepositoryCounts(3, 2, 1122)
        assert repositories.counts(connection, ids["acme/other"]) == RepositoryCounts(0, 0, 1000)
        assert repositories.counts(connection, ids["new"]) == RepositoryCounts(0, 0, 0)

    await index.write(change)


async def test_a_repository_is_removed_with_all_that_hangs_on_it(index: Index) -> None:
    def change(connection: Connection) -> None:
        fill(connection, "acme/other")
        before = state(connection)
        fill(connection, "acme/app")
        id = repositories.find(connection, "acme/app")
        assert id is not None
        tags.remove(connection, id, "v2", rows.BY, 2.0)

        assert repositories.remove(connection, id, rows.BY, 2.0, keep=False)
        assert not repositories.remove(connection, id, rows.BY, 2.0), "it is gone"

        assert state(connection) == before, "blobs are the same three"
        assert blobs.find(connection, "acme/app", LAYER) is None
        assert manifests.find_by_tag(connection, "acme/app", "latest") is None
        assert blobs.find(connection, "acme/other", LAYER) is not None
        assert manifests.find_by_tag(connection, "acme/other", "latest") is not None

    await index.write(change)


async def test_blobs_of_a_removed_repository_stay_for_the_collector(index: Index) -> None:
    def change(connection: Connection) -> None:
        fill(connection, "acme/app")
        id = repositories.find(connection, "acme/app")
        assert id is not None
        repositories.remove(connection, id, rows.BY, 2.0, keep=False)
        assert state(connection) == {"blobs": 3}

    await index.write(change)


async def test_uploads_into_a_removed_repository_end(index: Index) -> None:
    """Out of reach at once; what they have staged is handed out to be dropped."""

    def change(connection: Connection) -> None:
        id = repositories.ensure(connection, "acme/app", 1.0)
        for name in ("idle", "claimed", "finished"):
            rows.upload(connection, "acme/app", name)
        rows.upload(connection, "acme/other", "elsewhere")
        for name in ("claimed", "finished"):
            uploads.claim(connection, "acme/app", name, "me", 1.0, 500.0)
        uploads.finish(connection, "finished", "me", CONFIG, 900.0)
        listed = uploads.page(connection, None, 10)
        assert [row.id for row in listed] == ["claimed", "elsewhere", "idle"]
        assert uploads.page(connection, "claimed", 1) == listed[1:2]
        assert uploads.get(connection, "idle") == uploads.UploadSummary(
            "idle", "acme/app", 0, rows.BY, 1.0, 1000.0
        )
        assert uploads.get(connection, "finished") is None

        repositories.remove(connection, id, rows.BY, 2.0)

        for name in ("idle", "claimed", "finished"):
            assert uploads.find(connection, "acme/app", name) is None
            assert uploads.get(connection, name) is None
        assert not uploads.renew_claim(connection, "claimed", "me", 600.0)
        assert not uploads.advance(connection, "claimed", "me", 5, {}, None, 700.0)
        assert not uploads.finish(connection, "claimed", "me", CONFIG, 700.0), "it would make the repository"
        assert [row.id for row in uploads.page(connection, None, 10)] == ["elsewhere"]
        taken = uploads.take_expired(connection, 2.0, 10)
        assert sorted((row.id, row.state["path"]) for row in taken) == [
            ("claimed", "claimed"),
            ("idle", "idle"),
        ]
        assert uploads.find(connection, "acme/other", "elsewhere") is not None

    await index.write(change)
