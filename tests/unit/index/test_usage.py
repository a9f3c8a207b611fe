"""Bytes by repository and by tag, compared with a model that counts them one by one."""

import random
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from registry.index import Connection, Index, blobs, manifests, repositories, tags, usage

STEPS = 12


@dataclass
class Manifest:
    """A manifest of the model; `blobs` and `children` by digest."""

    id: int
    digest: str
    size: int
    subject: str | None
    blobs: set[str] = field(default_factory=set)
    children: set[str] = field(default_factory=set)


@dataclass
class Repository:
    id: int
    manifests: dict[str, Manifest] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    links: set[str] = field(default_factory=set)

    def behind(self, tag: str) -> set[str]:
        """The digests of the manifests behind a tag."""
        found: set[str] = set()
        front = [self.tags[tag]]
        while front:
            digest = front.pop()
            if digest in found or digest not in self.manifests:
                continue
            found.add(digest)
            front += self.manifests[digest].children
            front += [one.digest for one in self.manifests.values() if one.subject == digest]
        return found


class World:
    """Repositories in the index and in memory, changed at random."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.sizes: dict[str, int] = {}
        self.repositories: dict[str, Repository] = {}
        self.count = 0

    def digest(self) -> str:
        self.count += 1
        return f"sha256:{self.count:064x}"

    def grow(self, connection: Connection) -> None:
        name = self.chance.choice(["a", "a/b", "c"])
        if name not in self.repositories:
            self.repositories[name] = Repository(repositories.ensure(connection, name, 0.0))
        repository = self.repositories[name]
        for _ in range(self.chance.randrange(3)):
            self.link(connection, repository)
        for _ in range(self.chance.randrange(1, 4)):
            self.manifest(connection, repository)
        for tag in self.chance.sample("vwxyz", self.chance.randrange(4)):
            digest = self.chance.choice(list(repository.manifests))
            repository.tags[tag] = digest
            tags.point(connection, repository.id, tag, repository.manifests[digest].id, digest, None, 1.0)

    def link(self, connection: Connection, repository: Repository) -> None:
        known = list(self.sizes)
        digest = self.chance.choice(known) if known and self.chance.random() < 0.5 else self.digest()
        size = self.sizes.setdefault(digest, self.chance.randrange(1, 1000))
        row = blobs.record(connection, digest, size, f"at {digest}", 0.0, 0.0)
        blobs.link(connection, repository.id, row.id, 0.0)
        repository.links.add(digest)

    def manifest(self, connection: Connection, repository: Repository) -> None:
        others = list(repository.manifests)
        children = set(self.chance.sample(others, min(len(others), self.chance.choice([0, 0, 0, 1, 2]))))
        subject = self.chance.choice(others) if others and self.chance.random() < 0.2 else None
        needed = set(self.chance.sample(sorted(repository.links), min(len(repository.links), 3)))
        made = Manifest(0, self.digest(), self.chance.randrange(1, 100), subject, needed, children)
        made.id = manifests.record(
            connection,
            {
                "repository_id": repository.id, "digest": made.digest, "media_type": "x",
                "artifact_type": None, "size": made.size, "body": b"", "subject": subject,
                "annotations": None, "pushed_by": None, "pushed_at": 0.0,
            },
        )  # fmt: skip
        ids = [blobs.record(connection, digest, 0, "", 0.0, 0.0).id for digest in needed]
        manifests.record_edges(connection, made.id, repository.id, ids, children)
        repository.manifests[made.digest] = made

    def of_repositories(self) -> dict[str, tuple[int, int]]:
        found = {}
        for name, repository in self.repositories.items():
            others = {
                digest for other, one in self.repositories.items() if other != name for digest in one.links
            }
            own = sum(one.size for one in repository.manifests.values())
            total = own + sum(self.sizes[digest] for digest in repository.links)
            found[name] = (total, own + sum(self.sizes[digest] for digest in repository.links - others))
        return found

    def of_tags(self, name: str, *, elsewhere: bool) -> dict[str, tuple[int, int]]:
        repository = self.repositories[name]
        behind = {tag: repository.behind(tag) for tag in repository.tags}
        linked = {digest for other, one in self.repositories.items() if other != name for digest in one.links}
        found = {}
        for tag, mine in behind.items():
            others = set().union(*(theirs for other, theirs in behind.items() if other != tag))
            untagged = repository.manifests.keys() - set().union(*behind.values())
            alone = mine - others
            needed = {digest for one in mine for digest in repository.manifests[one].blobs}
            kept = {
                digest
                for one in (repository.manifests.keys() - alone) | untagged
                for digest in repository.manifests[one].blobs
            }
            exclusive = needed - kept - (linked if elsewhere else set())
            found[tag] = (
                sum(repository.manifests[one].size for one in mine) + sum(self.sizes[one] for one in needed),
                sum(repository.manifests[one].size for one in alone)
                + sum(self.sizes[one] for one in exclusive),
            )
        return found


async def test_it_counts_as_one_would_by_hand(index: Index) -> None:
    world = World(seed=20261121)
    for _ in range(STEPS):
        await index.write(world.grow)
        rows = await index.read(lambda connection: usage.of_repositories(connection, 100))
        assert {row.name: (row.bytes, row.exclusive) for row in rows} == world.of_repositories()
        assert [row.bytes for row in rows] == sorted((row.bytes for row in rows), reverse=True)
        for name, repository in world.repositories.items():
            for elsewhere in (True, False):

                def of_tags(
                    connection: Connection, id: int = repository.id, elsewhere: bool = elsewhere
                ) -> list[usage.TagUsage]:
                    return usage.of_tags(connection, id, 100, elsewhere=elsewhere)

                found = await index.read(of_tags)
                model = world.of_tags(name, elsewhere=elsewhere)
                assert {row.name: (row.bytes, row.exclusive) for row in found} == model
                assert [row.exclusive for row in found] == sorted(
                    (row.exclusive for row in found), reverse=True
                )
    totals = await index.read(usage.totals)
    bodies = sum(one.size for own in world.repositories.values() for one in own.manifests.values())
    assert totals == (len(world.repositories), len(world.sizes), sum(world.sizes.values()) + bodies)
    shared = [total != alone for total, alone in world.of_repositories().values()]
    assert any(shared), "the model shares something"


async def test_the_largest_come_first_and_the_list_ends(index: Index) -> None:
    world = World(seed=5)
    for _ in range(STEPS):
        await index.write(world.grow)

    assert len(await index.read(lambda connection: usage.of_repositories(connection, 2))) == 2
    one = max(world.repositories.values(), key=lambda found: len(found.tags))
    assert len(one.tags) > 1
    first = await index.read(lambda connection: usage.of_tags(connection, one.id, 1, elsewhere=True))
    everything = await index.read(lambda connection: usage.of_tags(connection, one.id, 99, elsewhere=True))
    assert first == everything[:1]


async def test_nothing_is_nothing(index: Index) -> None:
    assert await index.read(usage.totals) == (0, 0, 0)
    assert await index.read(lambda connection: usage.of_repositories(connection, 5)) == []


def fill_with_referrers(connection: Connection, name: str, number: int, *, chained: bool) -> int:
    """So many manifests, each of which refers to the one before it or all to the first; and as many tags,
    each on one of the chain or all on the first. The id of their repository."""
    id = repositories.ensure(connection, name, 0.0)
    made: list[tuple[int, str]] = []
    for position in range(number):
        digest = f"sha256:{position:064x}"
        subject = None if not made else made[-1 if chained else 0][1]
        values = {
            "repository_id": id, "digest": digest, "media_type": "x", "artifact_type": None, "size": 1,
            "body": b"", "subject": subject, "annotations": None, "pushed_by": None, "pushed_at": 0.0,
        }  # fmt: skip
        made.append((manifests.record(connection, values), digest))
        manifest_id, digest = made[-1 if chained else 0]
        tags.point(connection, id, f"v{position:04}", manifest_id, digest, None, 1.0)
    return id


@pytest.mark.parametrize("index_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("chained", [True, False])
async def test_what_refers_to_what_is_paid_for_once(index: Index, chained: bool) -> None:
    def steps(connection: Connection, id: int) -> int:
        driver: Any = connection.connection.driver_connection
        count = 0

        def step() -> None:
            nonlocal count
            count += 1

        driver.set_progress_handler(step, 100)
        try:
            assert usage.of_tags(connection, id, 10, elsewhere=True)
        finally:
            driver.set_progress_handler(None, 0)
        return count

    found = []
    for number in (100, 400):
        fill = partial(fill_with_referrers, name=f"a/{number}", number=number, chained=chained)
        id = await index.write(fill)
        found.append(await index.read(partial(steps, id=id)))
    assert found[1] < 6 * found[0], f"four times as many manifests take {found} steps"


async def test_what_is_too_far_from_its_tag_does_not_count(index: Index) -> None:
    def change(connection: Connection) -> list[usage.TagUsage]:
        id = fill_with_referrers(connection, "a", usage.DEEPEST + 5, chained=True)
        for position in range(1, usage.DEEPEST + 5):
            tags.remove(connection, id, f"v{position:04}", "user:admin", 2.0)
        return usage.of_tags(connection, id, 10, elsewhere=True)

    assert await index.write(change) == [usage.TagUsage("v0000", usage.DEEPEST + 1, usage.DEEPEST + 1)]
