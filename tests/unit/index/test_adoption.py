"""What an adoption asks the index: the newer tag wins, and bytes that are about to go are not taken."""

from functools import partial

import pytest

from registry.index import Connection, Index, adoption, blobs, manifests, repositories, tags
from registry.index.tables import discarded

FIRST, SECOND = "sha256:" + 64 * "1", "sha256:" + 64 * "2"
OLD = "docker/registry/v2/blobs/sha256/11/data"


def two_manifests(connection: Connection) -> tuple[int, int, int]:
    """A repository and its manifests."""
    repository = repositories.ensure(connection, "team/app", 0)
    ids = [
        manifests.record(
            connection,
            {
                "repository_id": repository, "digest": digest, "media_type": "x", "artifact_type": None,
                "size": 1, "body": b"x", "subject": None, "annotations": None, "pushed_by": None,
                "pushed_at": 0.0,
            },
        )
        for digest in (FIRST, SECOND)
    ]  # fmt: skip
    return repository, ids[0], ids[1]


@pytest.mark.parametrize(
    ("here", "at", "points"),
    [
        ("nothing", 100.0, True),
        ("older", 100.0, True),
        ("same time", 100.0, True),
        ("newer", 100.0, False),
        ("same manifest", 100.0, False),
        ("deleted later", 100.0, False),
        ("deleted before", 100.0, True),
        ("taken over, then pushed by our slower clock", 100.0, False),
        ("taken over, then deleted by our slower clock", 100.0, False),
    ],
)
async def test_the_newer_of_two_counts(index: Index, here: str, at: float, points: bool) -> None:
    def prepare(connection: Connection) -> tuple[int, int, int]:
        repository, first, second = two_manifests(connection)
        point = partial(tags.point, connection, repository, "latest", second, SECOND, None)
        match here:
            case "older":
                point(99.0)
            case "same time":
                point(100.0)
            case "newer":
                point(100.5)
            case "same manifest":
                tags.point(connection, repository, "latest", first, FIRST, None, 50.0)
            case "deleted later" | "deleted before":
                point(10.0)
                tags.remove(connection, repository, "latest", None, 101.0 if "later" in here else 99.0)
            case "taken over, then pushed by our slower clock":
                adoption.point(connection, repository, "latest", first, FIRST, "user:a", at)
                point(90.0)
            case "taken over, then deleted by our slower clock":
                adoption.point(connection, repository, "latest", first, FIRST, "user:a", at)
                tags.remove(connection, repository, "latest", None, 90.0)
        return repository, first, second

    repository, first, _ = await index.write(prepare)
    late = await index.read(
        lambda connection: adoption.changed_after(connection, repository, "latest", FIRST, at)
    )
    pointed = await index.write(
        lambda connection: adoption.point(connection, repository, "latest", first, FIRST, "user:a", at)
    )
    now = await index.read(lambda connection: tags.digest_of(connection, "team/app", "latest"))

    assert pointed is points
    assert late is (here in ("newer", "deleted later") or "taken over" in here)
    assert (now == FIRST) is (points or here == "same manifest")


async def test_bytes_that_are_about_to_go_are_not_taken(index: Index) -> None:
    def discard(connection: Connection) -> None:
        connection.execute(discarded.insert().values(location=OLD, since=1.0))

    def enter(connection: Connection) -> blobs.BlobRow | None:
        return adoption.enter(connection, FIRST, 5, OLD, 100.0, 1.0)

    row = await index.write(enter)
    assert row is not None
    assert await index.write(enter) == row, "twice is once"
    assert (await index.read(lambda connection: adoption.is_here(connection, FIRST))) is True
    await index.write(discard)
    assert await index.write(enter) is None


async def test_bytes_that_were_pushed_stay_the_bytes_of_their_blob(index: Index) -> None:
    def push_and_enter(connection: Connection) -> tuple[str, str]:
        pushed = blobs.record(connection, FIRST, 5, "blobs/own", 100.0, 1.0)
        entered = adoption.enter(connection, FIRST, 5, OLD, 100.0, 1.0)
        assert entered is not None
        return pushed.location, entered.location

    assert await index.write(push_and_enter) == ("blobs/own", "blobs/own")


async def test_a_blob_that_is_gone_can_not_be_held(index: Index) -> None:
    assert await index.write(lambda connection: adoption.hold(connection, FIRST, 1.0)) is None
