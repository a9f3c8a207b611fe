"""Clients push, retag and delete through the round robin, while replicas and the database come and go.

All that a client has to do by itself is to try again what broke off or was answered 503.
"""

import random
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from conformance.authorization import Authorization, Fetch
from conformance.client import Client, HeaderLines, Response
from conformance.content import digest_of
from tests.faults.journal import ANY_MANIFEST
from tests.faults.pusher import Pusher
from tests.faults.storm import DIED, Sailor
from tests.replicas.fleet import ADMINISTRATOR, Fleet

CLIENTS = 8

PAUSE = 0.1
"""Seconds between two steps of a client: all that is done while a replica starts is compared in the end."""

RECOVERY = 30
"""Seconds within which everything works again, whatever happened."""


class Outage(OSError):
    """503: the registry says that it can't now, and that the client should try again."""


class Fixed(Authorization):
    """Credentials that are good throughout: nobody is asked to sign in anew."""

    def __init__(self, header: str) -> None:
        self.header = header

    def answer(self, challenges: list[str], fetch: Fetch) -> None:
        raise AssertionError(f"{(self.header or '')[:20]}... was refused: {challenges}")


class Patient(Client):
    """Takes a 503 as it takes a connection that broke."""

    outages = 0

    def request(
        self,
        method: str,
        target: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: HeaderLines = (),
    ) -> Response:
        answer = super().request(method, target, body, headers)
        if answer.status == 503:
            assert answer.header("Retry-After"), f"{answer} does not say when to try again"
            self.outages += 1
            raise Outage(f"{method} {target}: {answer}")
        return answer


class ReplicaStorm:
    """Clients of a fleet, each with a repository of its own."""

    def __init__(self, fleet: Fleet, seed: int, clients: int = CLIENTS) -> None:
        self.fleet = fleet
        self._calm = threading.Event()
        self._calm.set()
        self._ended = threading.Event()
        luck = random.Random(seed)
        self.sailors = [
            Sailor(
                Pusher(
                    Patient(fleet.url, Fixed(credentials(fleet, f"storm/{seed}-{number}", number))),
                    f"storm/{seed}-{number}",
                ),
                random.Random(luck.random()),
            )
            for number in range(clients)
        ]

    @property
    def outages(self) -> int:
        """How many requests were answered 503."""
        return sum(sailor.pusher.client.outages for sailor in self.sailors)  # type: ignore[attr-defined]

    def rage(self, disturb: Callable[["ReplicaStorm"], None]) -> None:
        """Have the clients work while `disturb` runs. Fails when anything that was acknowledged is not there
        afterwards, or a request gets an answer that it must not get."""
        with ThreadPoolExecutor(len(self.sailors)) as threads:
            sailing = [threads.submit(self._sail, sailor) for sailor in self.sailors]
            try:
                disturb(self)
            finally:
                self._ended.set()
            for one in sailing:
                one.result()
            for one in [threads.submit(self._land, sailor) for sailor in self.sailors]:
                one.result()
        self._compare()

    def work(self, steps: int) -> None:
        """Wait until every client has done so many steps more."""
        goals = [(sailor, sailor.steps + steps) for sailor in self.sailors]
        deadline = time.monotonic() + RECOVERY
        while any(sailor.steps < goal for sailor, goal in goals):
            assert time.monotonic() < deadline, f"{[sailor.steps for sailor, _ in goals]} steps of {goals}"
            assert not self._ended.wait(0.02)

    def kill(self, number: int) -> None:
        """SIGKILL a replica, and start another one in its place."""
        self._calm.clear()
        try:
            self.fleet.kill(number)
        finally:
            self._calm.set()
        self.fleet.replace(number)

    def drain(self, number: int) -> None:
        """SIGTERM a replica, which ends what it has begun, and start another one in its place."""
        assert self.fleet.replicas[number].stop() == 0
        self.fleet.replace(number)

    def _sail(self, sailor: Sailor) -> None:
        try:
            while not self._ended.wait(PAUSE):
                try:
                    sailor.step()
                except DIED:
                    self._again(lambda: sailor.settle(0))
        except BaseException:
            self._ended.set()
            raise

    def _land(self, sailor: Sailor) -> None:
        for work in (lambda: sailor.settle(None), sailor.finish, lambda: sailor.settle(None)):
            self._again(work)

    def _again(self, work: Callable[[], None]) -> None:
        """Do something until it succeeds, as clients do. What broke off is looked at when the database has
        decided on it: a killed replica's last commit may land a moment later."""
        deadline = time.monotonic() + RECOVERY
        while True:
            assert self._calm.wait(RECOVERY)
            try:
                return work()
            except DIED:
                assert time.monotonic() < deadline, "nothing works any more"
                time.sleep(0.05)

    def _compare(self) -> None:
        """Every replica by itself has all that was acknowledged, and bytes behind each row."""
        for url in self.fleet.urls:
            client = self.fleet.client(url)
            for sailor in self.sailors:
                sailor.pusher.journal.verify(client)
        names = tuple(sailor.pusher.repository for sailor in self.sailors)
        rows = self.fleet.rows(
            "SELECT repositories.name, blobs.digest FROM repository_blobs"
            " JOIN repositories ON repositories.id = repository_id JOIN blobs ON blobs.id = blob_id"
        )
        client = self.fleet.client()
        for name, digest in rows:
            if name in names:
                answer = client.request("GET", f"/v2/{name}/blobs/{digest}", headers=ANY_MANIFEST)
                assert (answer.status, digest_of(answer.body)) == (200, digest)


def credentials(fleet: Fleet, repository: str, number: int) -> str:
    """A header field for the whole storm: a registry token, or a secret that is looked up each time."""
    authorization = Authorization(ADMINISTRATOR, fleet.administrator_token())
    client = Client(fleet.url, authorization)
    if number % 2:
        scope = f"repository:{repository}:pull,push,delete"
        realm = f'Bearer realm="{fleet.url}/v2/token",service="entrepot",scope="{scope}"'
        authorization.answer([realm], client._token)
    else:
        authorization.answer(["Basic"], client._token)
    assert authorization.header is not None
    return authorization.header
