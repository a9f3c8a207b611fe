"""Uploads whose every request goes to another replica, also when one of them dies in the middle."""

import secrets
import threading
from contextlib import closing

import pytest

from conformance.client import Client
from conformance.content import random_bytes
from tests.faults.pusher import Pusher
from tests.faults.sockets import connect, head
from tests.replicas.fleet import Fleet
from tests.replicas.storm import Fixed, credentials

pytestmark = pytest.mark.xdist_group("replicas")


@pytest.fixture
def pusher(replicas: Fleet) -> Pusher:
    """Behind the round robin."""
    repository = f"uploads/{secrets.token_hex(6)}"
    return Pusher(Client(replicas.url, Fixed(credentials(replicas, repository, 0))), repository)


def at(pusher: Pusher, url: str) -> Pusher:
    """The same client at another door; what it notes is noted for both."""
    header = pusher.client.credentials["Authorization"]
    return Pusher(Client(url, Fixed(header)), pusher.repository, pusher.journal)


@pytest.mark.parametrize(
    "sizes", [[700] * 9, [6_000_000, 10, 6_000_000, 1_500_000, 300]], ids=["small", "large"]
)
def test_each_chunk_goes_to_another_replica(replicas: Fleet, pusher: Pusher, sizes: list[int]) -> None:
    content = random_bytes(sum(sizes) + 5)
    session = pusher.open_session(content)
    stop = 0
    for size in sizes:
        before = replicas.robin.sent.copy()
        stop += size
        pusher.append(session, stop)
        pusher.ask(session)
        assert len(replicas.robin.sent - before) == 2, "the chunk went to one and the question to the next"
    pusher.finish(session)
    for url in replicas.urls:
        pusher.journal.verify(at(pusher, url).client)


def test_a_replica_dies_in_the_middle_of_a_chunk(replicas: Fleet, pusher: Pusher) -> None:
    """Another one goes on where the last acknowledged byte was."""
    content = random_bytes(9_000_000)
    session = pusher.open_session(content)
    pusher.append(session, 2_000_000)
    header = pusher.client.credentials["Authorization"]
    lines = (f"Authorization: {header}", "Content-Type: application/octet-stream", "Content-Length: 6000000")
    for number in range(2):
        with closing(connect(replicas.urls[number])) as connection:
            connection.sendall(head("PATCH", session.location, *lines))
            connection.sendall(content[session.acknowledged : session.acknowledged + 3_000_000])
            others = [replica for other, replica in enumerate(replicas.replicas) if other != number]
            replicas.kill(number)
        for replica in others:  # while it is gone, and its claim holds
            at(pusher, replica.url).ask(session)
        assert session.acknowledged == (2_000_000 if number == 0 else 3_000_000)
        pusher.append(session, 3_000_000 + number)
        replicas.replace(number)
    pusher.finish(session)
    for url in replicas.urls:
        pusher.journal.verify(at(pusher, url).client)


def test_two_replicas_add_to_one_session(replicas: Fleet, pusher: Pusher) -> None:
    """One request is taken, the other one learns where the session stands."""
    content = random_bytes(400_000)
    session = pusher.open_session(content)
    barrier, statuses = threading.Barrier(3), []

    def patch(url: str) -> None:
        door = at(pusher, url)
        chunk = {"Content-Range": "0-199999", "Content-Type": "application/octet-stream"}
        barrier.wait(30)
        answer = door.client.request("PATCH", session.location, content[:200_000], chunk)
        statuses.append(answer.status)

    threads = [threading.Thread(target=patch, args=[url]) for url in replicas.urls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [202, 416, 416]
    session.sent = 200_000
    pusher.ask(session)
    pusher.finish(session)
    pusher.journal.verify(pusher.client)
