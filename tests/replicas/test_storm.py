"""Storms of pushes while replicas are killed and replaced, and while the database restarts."""

import os
import random
import time

import pytest

from tests.replicas.fleet import Fleet
from tests.replicas.storages import on
from tests.replicas.storm import ReplicaStorm

pytestmark = [
    pytest.mark.xdist_group("replicas"),
    pytest.mark.timeout(300 + 2 * float(os.environ.get("ENTREPOT_TEST_STORM_SECONDS", "0"))),
]

SECONDS = float(os.environ.get("ENTREPOT_TEST_STORM_SECONDS", "5"))
"""How long replicas are killed and replaced, at least once each."""

STEPS = 5
"""Of each client between two blows."""


@pytest.fixture
def storm(replicas: Fleet) -> ReplicaStorm:
    seed = random.SystemRandom().randrange(2**32)
    print("seed", seed)  # shown when the test fails
    return ReplicaStorm(replicas, seed)


@on("s3")
def test_replicas_come_and_go(storm: ReplicaStorm) -> None:
    ends = time.monotonic() + SECONDS

    def disturb(storm: ReplicaStorm) -> None:
        first = True
        number = 0
        while first or time.monotonic() < ends:
            first = False
            storm.work(STEPS)
            storm.kill(number % 3)
            storm.work(STEPS)
            storm.drain((number + 1) % 3)
            storm.work(STEPS)
            number += 1

    storm.rage(disturb)
    assert storm.outages == 0


@on("folder")
def test_the_database_restarts(storm: ReplicaStorm) -> None:
    def disturb(storm: ReplicaStorm) -> None:
        storm.work(STEPS)
        storm.fleet.postgres.restart()
        storm.work(STEPS)

    storm.rage(disturb)
    assert storm.outages > 0
