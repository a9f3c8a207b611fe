"""Rights, keys and failed sign-ins are the index's: what one replica is told, the others know."""

import base64
import json
import secrets
import time

import pytest

from conformance.client import Client, Response
from conformance.content import random_bytes
from tests.faults.pusher import Pusher
from tests.replicas.fleet import Fleet, call
from tests.replicas.storages import on

pytestmark = [pytest.mark.xdist_group("replicas"), on("folder")]

GONE_WITHIN = 1.0
"""Seconds in which a right that was taken away is gone everywhere (docs/accounts.md)."""

BUSY = 2.0
"""Seconds that a busy machine may take for the requests themselves."""


class Doors:
    """Each replica, entered by somebody without further ado."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.clients = [Client(url) for url in fleet.urls]
        self.administrator = [fleet.client(url) for url in fleet.urls]

    def ask(self, number: int, path: str, authorization: str) -> Response:
        return self.clients[number].request("GET", path, headers={"Authorization": authorization})

    def token(self, number: int, authorization: str, repository: str) -> str:
        """A new registry token, made by this replica; as a header field."""
        path = f"/v2/token?service=entrepot&scope=repository:{repository}:pull,push"
        answer = self.ask(number, path, authorization)
        assert answer.status == 200, answer
        return f"Bearer {json.loads(answer.body)['token']}"


@pytest.fixture
def doors(replicas: Fleet) -> Doors:
    return Doors(replicas)


@pytest.fixture
def repository(doors: Doors) -> str:
    """One with a blob in it."""
    name = f"rights/{secrets.token_hex(6)}"
    Pusher(doors.administrator[0], name).push_whole(random_bytes(100))
    return name


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def new_robot(doors: Doors) -> tuple[str, str]:
    """A robot's name, and its secret as a header field."""
    name = f"robot-{secrets.token_hex(4)}"
    made = call(doors.administrator[0], "POST", "/robots", name=name)
    return name, basic(name, str(made["secret"]))


def gone(doors: Doors, path: str, authorization: str, refused: int) -> None:
    """Wait until every replica refuses this, which each has to do in time."""
    began = time.monotonic()
    for number in range(3):
        while doors.ask(number, path, authorization).status != refused:
            assert time.monotonic() - began < GONE_WITHIN + BUSY, f"replica {number} still believes it"
            time.sleep(0.02)


@pytest.mark.parametrize("way", ["secret", "token"])
def test_grants(doors: Doors, repository: str, way: str) -> None:
    """Given on one replica, it counts on the others at once; taken away, within a second."""
    robot, secret = new_robot(doors)
    listed = f"/v2/{repository}/tags/list"
    for number in range(3):
        assert doors.ask(number, listed, secret).status in (401, 403)
    for turn in range(3):
        grant = call(
            doors.administrator[turn],
            "POST",
            "/grants",
            principal=f"robot:{robot}",
            role="writer",
            pattern=repository,
        )
        shown = secret if way == "secret" else doors.token((turn + 1) % 3, secret, repository)
        assert [doors.ask(number, listed, shown).status for number in range(3)] == [200] * 3
        number_of_grant = grant["id"]
        call(doors.administrator[turn], "DELETE", f"/grants/{number_of_grant}")
        gone(doors, listed, shown, 403 if way == "secret" else 401)


def test_the_token_of_one_counts_everywhere_at_once(doors: Doors, repository: str) -> None:
    robot, secret = new_robot(doors)
    call(
        doors.administrator[0],
        "POST",
        "/grants",
        principal=f"robot:{robot}",
        role="writer",
        pattern=repository,
    )
    for turn in range(6):
        token = doors.token(turn % 3, secret, repository)
        statuses = [
            doors.ask((turn + step) % 3, f"/v2/{repository}/tags/list", token).status for step in (1, 2, 3)
        ]
        assert statuses == [200] * 3


@pytest.mark.parametrize("at_once", [False, True])
def test_rotated_keys(doors: Doors, repository: str, at_once: bool) -> None:
    """Tokens of the new key count everywhere from the first moment; those of a dropped one end in time."""
    robot, secret = new_robot(doors)
    grant = {"principal": f"robot:{robot}", "role": "writer", "pattern": repository}
    call(doors.administrator[0], "POST", "/grants", **grant)
    listed = f"/v2/{repository}/tags/list"
    for turn in range(3):
        old = doors.token((turn + 1) % 3, secret, repository)
        assert [doors.ask(number, listed, old).status for number in range(3)] == [200] * 3
        call(doors.administrator[turn], "POST", "/keys/rotate", at_once=at_once)
        new = doors.token(turn, secret, repository)
        assert [doors.ask(number, listed, new).status for number in range(3)] == [200] * 3
        if not at_once:
            assert [doors.ask(number, listed, old).status for number in range(3)] == [200] * 3
            continue
        gone(doors, listed, old, 401)
        for number in range(3):
            fresh = doors.token(number, secret, repository)
            assert [doors.ask(other, listed, fresh).status for other in range(3)] == [200] * 3


def test_failed_sign_ins_count_together(doors: Doors) -> None:
    """Whoever guesses gains nothing by asking another replica."""
    name, password = f"user-{secrets.token_hex(4)}", secrets.token_urlsafe()
    call(doors.administrator[0], "POST", "/users", name=name, password=password)
    wrong = basic(name, "a-wrong-password")
    statuses = [doors.ask(number % 3, "/v2/", wrong).status for number in range(6)]
    assert statuses == [401] * 6
    answers = [doors.ask(number, "/v2/", wrong) for number in (1, 2, 0)]
    assert [answer.status for answer in answers] == [429] * 3
    assert all(answer.header("Retry-After") for answer in answers)
