"""The index is destroyed. On a new machine, with another kind of database, it comes back from a backup, or
from the storage alone: every image pulls as it was pushed. With a backup everybody signs in as before."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from auth.actor import Actor
from registry.composition import Composition
from registry.config import Settings
from registry.gc.backups import Backups
from registry.gc.journal import JOB as JOURNAL
from registry.gc.rebuild import Rebuild
from registry.gc.rebuild_gate import JOB
from registry.index.migrations import upgrade
from tests.http.accounts.household import ADMIN_PASSWORD, PASSWORD, Household, first_administrator
from tests.http.accounts.signing import SignedIn, ask_token, basic, bearer
from tests.http.blocking import blocking_calls_pass
from tests.http.client import Client
from tests.http.content import descriptor, digest_of, image, index, push_blob, push_manifest
from tests.http.serving import serving
from tests.support.postgres import PostgresServer

APP = "acme/app"
OPERATOR = Actor("operator:root")

Storage = Mapping[str, Any]


class Place(NamedTuple):
    """A machine: a folder, a database, and the storage that all share."""

    data: Path
    index_url: str
    storage: Storage

    def changes(self) -> dict[str, Any]:
        return {
            "auth": {"mode": "accounts"},
            "storage": self.storage,
            "manifests": {"sparse": True},
            "journal": {"every_seconds": 0},  # when the test says so
        }

    @asynccontextmanager
    async def services(self) -> AsyncIterator[Composition]:
        """What a command of an operator has, beside the registry."""
        with blocking_calls_pass():
            settings = Settings(data=self.data, index={"url": self.index_url}, **self.changes())  # type: ignore[arg-type]
            composition = Composition(settings)
            try:
                yield composition
            finally:
                await composition.close()


@pytest.fixture
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "s3":
        return {"driver": "s3", "s3": request.getfixturevalue("s3_settings")}
    return {"driver": "filesystem", "filesystem": {"root": str(tmp_path / "blobs")}}


@pytest.fixture
async def old(tmp_path: Path, index_url: str, storage: Storage) -> Place:
    await first_administrator(index_url)
    return Place(tmp_path / "old", index_url, storage)


@pytest.fixture
def new(request: pytest.FixtureRequest, tmp_path: Path, index_url: str, storage: Storage) -> Place:
    """With a database of the other kind."""
    if index_url.startswith("sqlite"):
        server: PostgresServer = request.getfixturevalue("postgres_server")
        return Place(tmp_path / "new", server.sqlalchemy_url(server.create_database()), storage)
    upgrade(url := f"sqlite:///{tmp_path / 'new.sqlite'}")
    return Place(tmp_path / "new", url, storage)


on_both = pytest.mark.parametrize(
    ("index_url", "storage"), [("sqlite", "filesystem"), ("postgresql", "s3")], indirect=True
)

CONFIGS = [f'{{"number":{number}}}'.encode() for number in range(3)]
LAYER = bytes(70_000)
CHILDREN = [image(config, [LAYER]) for config in CONFIGS[:2]]
LISTING = index(CHILDREN)
SPARSE = image(CONFIGS[2], [b"a layer that nobody pushed"])
SIGNATURE = image(CONFIGS[2], subject=descriptor(LISTING, "application/vnd.oci.image.index.v1+json"))
LATE = image(CONFIGS[2], [LAYER])

PUSHED = {"one": CHILDREN[0], "two": CHILDREN[1], "all": LISTING, "sparse": SPARSE, "signature": SIGNATURE}


async def push(client: Client) -> None:
    for content in (*CONFIGS, LAYER):
        await push_blob(client, content, APP)
    for tag, body in PUSHED.items():
        assert (await push_manifest(client, tag, body, APP)).status == 201


async def check_pulls(client: Client, tags: Mapping[str, bytes]) -> None:
    for tag, body in tags.items():
        answer = await client.get(f"/v2/{APP}/manifests/{tag}")
        assert (answer.status, answer.body) == (200, body), tag
    for content in (*CONFIGS, LAYER):
        answer = await client.get(f"/v2/{APP}/blobs/{digest_of(content)}")
        assert (answer.status, answer.body) == (200, content)
    referrers = (await client.get(f"/v2/{APP}/referrers/{digest_of(LISTING)}")).json["manifests"]
    assert [one["digest"] for one in referrers] == [digest_of(SIGNATURE)]
    listed = (await client.get(f"/v2/{APP}/tags/list")).json["tags"]
    assert listed == sorted(tags)


async def write_journal(place: Place) -> None:
    async with place.services() as services, services.jobs.hold(JOURNAL) as job:
        await job.finish(await services.journal.run(job))


async def rebuild(place: Place) -> Mapping[str, Any]:
    async with place.services() as services, services.jobs.hold(JOB) as job:
        report = await Rebuild(services.index, services.driver, window_seconds=0).run(job)
        await job.finish(report)
    return report


@on_both
async def test_with_a_backup(old: Place, new: Place) -> None:
    async with serving(old.data, old.index_url, old.changes()) as client:
        house = await Household.of(client)
        await house.user("alice", ("maintainer", "acme/*"))
        robot = await house.robot("ci", ("reader", "acme/*"))
        alice = SignedIn(client, basic("alice", PASSWORD))
        await push(alice)
        token = (await ask_token(client, f"repository:{APP}:pull", fields=basic("ci", robot))).json["token"]
        async with old.services() as services:
            own = Backups(services.index, services.driver, services.audit, "1")
            row, _ = await own.to_storage(OPERATOR, 1, lambda _rows: None)
        assert (await alice.delete(f"/v2/{APP}/manifests/two")).status == 202
        assert (await push_manifest(alice, "late", LATE, APP)).status == 201
    await write_journal(old)

    async with new.services() as services:
        own = Backups(services.index, services.driver, services.audit, "1")
        assert [found.location for found in await own.stored()] == [row.location]
        await own.restore_stored(row.location, OPERATOR, lambda _rows: None)
    report = await rebuild(new)

    assert report["all_right"], report
    async with serving(new.data, new.index_url, new.changes()) as client:
        for fields in (basic("alice", PASSWORD), basic("ci", robot), bearer(token)):
            assert (await SignedIn(client, fields).get(f"/v2/{APP}/manifests/one")).status == 200
        tags = {**PUSHED, "late": LATE}
        del tags["two"]
        await check_pulls(SignedIn(client, basic("alice", PASSWORD)), tags)
        house = Household(client, house.admin_secret)
        actions = [entry["action"] for entry in await house.audit(action="index.restore")]
        assert actions == ["index.restore"]


@on_both
async def test_without_a_backup(old: Place, new: Place) -> None:
    async with serving(old.data, old.index_url, old.changes()) as client:
        house = Household(client, ADMIN_PASSWORD)
        await push(house.admin)
        await house.configure(APP, public=True)
        await write_journal(old)
        assert (await house.admin.delete(f"/v2/{APP}/manifests/two")).status == 202
        assert (await push_manifest(house.admin, "late", LATE, APP)).status == 201
    await write_journal(old)

    report = await rebuild(new)

    assert report["all_right"], report
    await first_administrator(new.index_url)
    async with serving(new.data, new.index_url, new.changes()) as client:
        tags = {**PUSHED, "late": LATE}
        del tags["two"]
        await check_pulls(client, tags)  # it is public again
        admin = SignedIn(client, basic("admin", ADMIN_PASSWORD))
        assert (await push_manifest(admin, "two", CHILDREN[1], APP)).status == 201
        await check_pulls(client, {**tags, "two": CHILDREN[1]})
