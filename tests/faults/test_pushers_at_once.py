"""Fifty clients push the same thing at the same moment, to two workers."""

import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from conformance.client import Client
from conformance.content import digest_of, random_bytes
from tests.faults.conftest import Serve, ended_well
from tests.faults.pusher import Pusher, image_of
from tests.support.server import RunningRegistry

COUNT = 50


def at_once(work: Callable[[int], None]) -> None:
    """Run `work` in so many threads that start together."""
    barrier = threading.Barrier(COUNT)

    def run(number: int) -> None:
        barrier.wait(30)
        work(number)

    with ThreadPoolExecutor(COUNT) as threads:
        for done in [threads.submit(run, number) for number in range(COUNT)]:
            done.result()


def rows(running: RunningRegistry, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(running.data / "index.sqlite")) as index:
        return index.execute(query).fetchall()


def test_one_blob(serve: Serve) -> None:
    """In sessions, whole, and into two repositories: one row and one object."""
    running = serve(workers=2)
    content = random_bytes(400_000)
    pushers = [Pusher(Client(running.url), f"some/image{number % 2}") for number in range(COUNT)]

    def push(number: int) -> None:
        pusher = pushers[number]
        if number % 3 == 0:
            pusher.push_whole(content)
            return
        session = pusher.open_session(content)
        if number % 3 == 1:
            pusher.append(session, 300_000)
        pusher.finish(session)

    at_once(push)
    for pusher in pushers:
        pusher.journal.verify(pusher.client)
    assert rows(running, "SELECT count(*), min(digest) FROM blobs") == [(1, digest_of(content))]
    assert rows(running, "SELECT count(*) FROM repository_blobs") == [(2,)]
    storage = running.data / "storage"
    files = [path for path in storage.rglob("*") if path.is_file()]
    assert [path.read_bytes() for path in files] == [content]
    ended_well(running)


def test_one_tag(serve: Serve) -> None:
    """Every push is acknowledged and stays under its digest, and the tag is one of them, for all workers."""
    running = serve(workers=2)
    first = Pusher(Client(running.url), "some/image")
    first.push_whole(b"{}")
    manifests = [image_of(b"{}", annotations={"number": str(number)}) for number in range(COUNT)]
    pushers = [Pusher(Client(running.url), "some/image") for _ in range(COUNT)]
    at_once(lambda number: pushers[number].put_manifest(manifests[number], "latest"))
    for manifest in manifests:
        answer = first.client.request("GET", first.path("manifests", manifest.digest))
        assert answer.body == manifest.body
    told = {first.client.request("GET", first.path("manifests", "latest")).body for _ in range(20)}
    assert len(told) == 1
    assert told <= {manifest.body for manifest in manifests}
    assert rows(running, "SELECT count(*) FROM tags") == [(1,)]
    history = rows(running, "SELECT digest FROM tag_history ORDER BY id")
    assert sorted(history) == sorted((manifest.digest,) for manifest in manifests)
    assert history[-1] == (digest_of(told.pop()),)
    ended_well(running)


def test_one_session(serve: Serve) -> None:
    """Fifty PATCHes of the same bytes to one upload: one is taken, the others learn where it stands."""
    running = serve(workers=2)
    pusher = Pusher(Client(running.url), "some/image")
    session = pusher.open_session(random_bytes(200_000))
    statuses: list[int] = []

    def patch(_number: int) -> None:
        chunk = {"Content-Range": "0-99999", "Content-Type": "application/octet-stream"}
        answer = pusher.client.request("PATCH", session.location, session.content[:100_000], chunk)
        assert answer.status == 202 or answer.header("Range"), answer
        statuses.append(answer.status)

    at_once(patch)
    assert sorted(statuses) == [202] + [416] * (COUNT - 1)
    session.sent = 100_000
    pusher.ask(session)
    pusher.finish(session)
    pusher.journal.verify(pusher.client)
    ended_well(running)
