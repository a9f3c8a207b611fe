"""What a quota has used is kept by the database: compared with a count from scratch after each step."""

import asyncio
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from functools import partial
from itertools import count
from urllib.parse import quote

import psycopg
import pytest
from sqlalchemy import insert, select, text

from registry.index import (
    Connection,
    Index,
    blobs,
    collection,
    manifests,
    missing,
    open_index,
    quotas,
    removed,
    repositories,
    restored,
    tags,
)
from registry.index.tables import blobs as blob_table
from registry.index.tables import manifests as manifest_table
from registry.index.tables import repositories as repository_table
from registry.index.tables import repository_blobs
from registry.oci.errors import StillReferenced, Unavailable
from tests.support.postgres import PostgresServer
from tests.unit.index import rows

STEPS = 300
WORKERS, STEPS_OF_WORKER = 4, 100

NAMES = ("team", "team/app", "team/app/debug", "team/web", "team-2/app", "other")
PREFIXES = ("team", "team/app", "team/app/debug", "team/none", "team-2", "other")
DIGESTS = tuple(f"sha256:{number:064x}" for number in range(8))
WHO = "user:admin"


class Steps:
    """Changes drawn at random, each as the services make it: the quotas' rows first. Without `first` as the
    version before does, which leaves that to the triggers."""

    def __init__(
        self, seed: int, names: tuple[str, ...], prefixes: tuple[str, ...], *, first: bool = True
    ) -> None:
        self._first = first
        self._chance = random.Random(seed)
        self._names = names
        self._prefixes = prefixes
        self._clock = count(1)
        self._seed = seed
        self.kinds: tuple[Callable[[Connection], object], ...] = (
            *(self.push_blob, self.mount, self.push_image, self.push_image, self.delete_blob),
            *(self.delete_image, self.restore_image, self.collect, self.remove, self.restore, self.expire),
            *(self.complete, self.set_quota, self.remove_quota, self.set_as_the_version_before),
        )

    def one(self) -> Callable[[Connection], object]:
        """A change. If its transaction has to run again, it may be drawn otherwise inside: no harm."""
        return self._chance.choice(self.kinds)

    def _repository(self, connection: Connection) -> str:
        name = self._chance.choice(self._names)
        if self._first:
            quotas.lock_of_repository(connection, name)
        return name

    def push_blob(self, connection: Connection) -> None:
        self._link(connection, self._repository(connection), self._chance.choice(DIGESTS))

    def _link(self, connection: Connection, name: str, digest: str) -> int:
        size = 1000 + 7 ** DIGESTS.index(digest)
        row = blobs.record(connection, digest, size, f"at {digest} {next(self._clock)}", 0.0, 1.0)
        blobs.link(connection, repositories.ensure(connection, name, 1.0), row.id, 1.0)
        return row.id

    def mount(self, connection: Connection) -> None:
        name, digest = self._repository(connection), self._chance.choice(DIGESTS)
        if blobs.extend_lease(connection, digest, float(next(self._clock))):
            self._link(connection, name, digest)

    def push_image(self, connection: Connection) -> None:
        """One of a few for each repository, so that the same comes again."""
        name = self._repository(connection)
        number = self._chance.randrange(3)
        ids = [
            self._link(connection, name, digest) for digest in sorted(DIGESTS[2 * number : 2 * number + 3])
        ]
        rows.manifest(connection, name, f"sha256:m{number}", 100 + number, f"v{number}", tuple(ids))

    def delete_blob(self, connection: Connection) -> None:
        try:
            blobs.unlink(connection, self._repository(connection), self._chance.choice(DIGESTS), 2.0)
        except StillReferenced:
            return  # as a client is told

    def delete_image(self, connection: Connection) -> None:
        name = self._repository(connection)
        id = repositories.find(connection, name)
        row = manifests.find_by_digest(connection, name, f"sha256:m{self._chance.randrange(3)}")
        if id is not None and row is not None:
            tags.remove_of_manifest(connection, id, row.id, WHO, 2.0)
            manifests.remove(connection, row.id, WHO, 2.0, keep=self._chance.random() < 0.8)

    def restore_image(self, connection: Connection) -> None:
        name = self._repository(connection)
        row = repositories.details(connection, name)
        if row is None:
            return
        kept = removed.lock(connection, row.uid, [f"sha256:m{number}" for number in range(3)])
        here = manifests.sizes_of_manifests(connection, row.id, [one.digest for one in kept])
        ids = [one.id for one in kept if one.digest not in here]
        restored.bring_back_manifests(connection, row.id, ids, 3.0)

    def complete(self, connection: Connection) -> None:
        """What was restored, or nothing would be collected. Quotas have no part in it: their rows only keep
        it apart from who takes the same rows in another order, and would have to begin again."""
        self._repository(connection)
        for row in missing.incomplete(connection, 100):
            missing.complete(connection, row.id)

    def collect(self, connection: Connection) -> None:
        """Links of several repositories in one statement."""
        now = self._chance.choice([0.5, 1e9])
        collection.settle_links(connection, 1e9, now, self._chance.choice([3, 100]))
        collection.settle_blobs(connection, 1e9, now, 100)

    def remove(self, connection: Connection) -> None:
        id = repositories.find(connection, self._repository(connection))
        if id is not None and self._chance.random() < 0.5:
            at = float(next(self._clock))
            repositories.remove(connection, id, WHO, at, keep=self._chance.random() < 0.7)

    def restore(self, connection: Connection) -> None:
        target = self._repository(connection)
        kept = restored.lock_called(connection, self._chance.choice(self._names))
        if kept and repositories.find(connection, target) is None:
            restored.bring_back_repository(connection, kept[0], target, WHO, float(next(self._clock)))

    def expire(self, connection: Connection) -> None:
        self._repository(connection)  # as for `complete`
        if self._chance.random() < 0.3:
            removed.expire(connection, 1e9, 2)

    def set_quota(self, connection: Connection) -> None:
        prefix = self._chance.choice(self._prefixes)
        used = quotas.set(connection, prefix, 10**9, 1.0, WHO)
        assert used == counted(connection, prefix)

    def set_as_the_version_before(self, connection: Connection) -> None:
        """That one knows nothing of what is used."""
        statement = text(
            "INSERT INTO quotas (prefix, bytes, created_at, created_by) VALUES (:prefix, 5, 1, 'user:admin') "
            "ON CONFLICT (prefix) DO UPDATE SET bytes = excluded.bytes"
        )
        connection.execute(statement, {"prefix": self._chance.choice(self._prefixes)})

    def remove_quota(self, connection: Connection) -> None:
        quotas.remove(connection, self._chance.choice(self._prefixes))


def is_below(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}/")


def counted(connection: Connection, prefix: str) -> int:
    """What lies below a prefix, each blob once."""
    links = (
        select(repository_table.c.name, blob_table.c.id, blob_table.c.size)
        .join(repository_blobs, repository_blobs.c.repository_id == repository_table.c.id)
        .join(blob_table, blob_table.c.id == repository_blobs.c.blob_id)
    )
    held = {id: size for name, id, size in connection.execute(links) if is_below(name, prefix)}
    bodies = select(repository_table.c.name, manifest_table.c.size).join(
        manifest_table, manifest_table.c.repository_id == repository_table.c.id
    )
    sizes = [size for name, size in connection.execute(bodies) if is_below(name, prefix)]
    return sum(held.values()) + sum(sizes)


def figures(connection: Connection) -> Iterator[tuple[str, int, int]]:
    """Each quota with what it says is used, and what is."""
    for row in quotas.page(connection, None, 100):
        yield row.prefix, row.used, counted(connection, row.prefix)


async def test_what_is_used_is_what_is_there_after_each_step(index: Index) -> None:
    steps = Steps(20261121, NAMES, PREFIXES)
    seen: set[int] = set()
    done: list[str] = []
    for _ in range(STEPS):
        step = steps.one()
        done.append(getattr(step, "__name__", ""))
        await index.write(step)
        found = await index.read(lambda connection: list(figures(connection)))
        assert all(used == there for _, used, there in found), (done[-5:], found)
        seen.update(used for _, used, _ in found)
    assert len(seen) > 30, "something happened below the prefixes"


async def test_links_of_several_repositories_that_come_at_once(index: Index) -> None:
    def change(connection: Connection) -> list[tuple[str, int, int]]:
        for prefix in ("team", "team/app", "other"):
            quotas.set(connection, prefix, 1, 1.0, WHO)
        row = blobs.record(connection, DIGESTS[0], 10, "there", 0.0, 1.0)
        ids = [repositories.ensure(connection, name, 1.0) for name in NAMES]
        links = [{"repository_id": id, "blob_id": row.id, "created_at": 1.0} for id in ids]
        connection.execute(insert(repository_blobs).values(links))
        return list(figures(connection))

    expected = [("other", 10, 10), ("team", 10, 10), ("team/app", 10, 10)]
    assert await index.write(change) == expected


def test_a_quota_that_is_set_waits_for_pushes_that_do_not_know_it(postgres_url: str) -> None:
    """Else it would count without them, and they would find no quota to add to."""
    link = (
        "INSERT INTO repositories (name, uid, created_at) VALUES ('team/app', 'u', 1)",
        "INSERT INTO blobs (digest, size, location, lease_until, created_at) VALUES ('d', 10, 'there', 0, 1)",
        "INSERT INTO repository_blobs (repository_id, blob_id, created_at)"
        " SELECT repositories.id, blobs.id, 1 FROM repositories, blobs",
    )
    quota = "INSERT INTO quotas (prefix, bytes, created_at, created_by) VALUES ('team', 5, 1, 'user:admin')"
    with psycopg.connect(postgres_url) as pushing, psycopg.connect(postgres_url, autocommit=True) as setting:
        for statement in link:
            pushing.execute(statement)
        setting.execute("SET lock_timeout = 100")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            setting.execute(quota)
        pushing.commit()
        setting.execute(quota)
        assert setting.execute("SELECT used FROM quotas").fetchone() == (10,)


@pytest.mark.parametrize("index_url", ["postgresql"], indirect=True)
async def test_nobody_waits_for_long_behind_a_quota_that_is_set(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long change, such as the removal of a large repository, holds up who sets one, and him alone."""
    monkeypatch.setattr(quotas, "LOCK_MILLISECONDS", 50)
    begun, ended = threading.Event(), threading.Event()

    def change(connection: Connection) -> None:
        quotas.lock_of_repository(connection, "team/app")
        begun.set()
        assert ended.wait(30)

    changing = asyncio.create_task(index.write(change))
    await asyncio.to_thread(begun.wait, 30)
    set_quota = partial(quotas.set, prefix="team", bytes=5, created_at=1.0, created_by="user:admin")
    with pytest.raises(Unavailable):
        await index.write(set_quota)
    await index.write(partial(quotas.lock_of_repository, repository="other"))
    ended.set()
    await changing
    assert await index.write(set_quota) == 0


@pytest.mark.timeout(180)
@pytest.mark.parametrize("first", [True, False])
async def test_what_is_used_is_what_is_there_after_many_at_once(
    postgres_server: PostgresServer, first: bool
) -> None:
    """Where all take the quotas' rows first, nobody waits for another one who waits for him, either. Without
    that PostgreSQL has one of them begin again."""
    database = postgres_server.create_database()
    impatient = quote("-c deadlock_timeout=20ms")
    index = open_index(f"{postgres_server.sqlalchemy_url(database)}&options={impatient}", pool_size=WORKERS)
    names = ("team/a", "team/a/b", "team/c")
    try:
        await index.write(partial(quotas.set, prefix="team", bytes=1, created_at=1.0, created_by=WHO))

        async def work(seed: int) -> None:
            steps = Steps(seed, names, ("team/a", "team/c"), first=first)
            kinds = [kind for kind in steps.kinds if kind != steps.set_as_the_version_before or not first]
            steps.kinds = tuple(kinds)
            for _ in range(STEPS_OF_WORKER):
                with nullcontext() if first else suppress(Unavailable):  # who lost against others too often
                    await index.write(steps.one())

        await asyncio.gather(*(work(seed) for seed in range(WORKERS)))
        await index.write(partial(quotas.set, prefix="team/a", bytes=1, created_at=1.0, created_by=WHO))
        found = await index.read(lambda connection: list(figures(connection)))
        assert all(used == there for _, used, there in found), found
        assert "team" in {prefix for prefix, _, _ in found}
    finally:
        await asyncio.to_thread(index.close)
    # Its sessions tell what they know when they end.
    with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as connection:
        deadlocks = connection.execute(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = %s", [database]
        ).fetchone()
    assert deadlocks == (0,) or not first
    postgres_server.drop_database(database)
