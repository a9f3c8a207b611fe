"""The real process dies by SIGKILL at every failpoint of pushes and deletions: nothing acknowledged is lost,
and whoever was interrupted goes on. Those of collections: test_collection_deaths.py; those of the journal:
test_journal_deaths.py."""

import copy
import http.client
import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import registry.app
import storage_drivers.filesystem
from conformance.client import Client
from conformance.content import digest_of, random_bytes
from storage_drivers import failpoints
from tests.faults.conftest import Serve
from tests.faults.journal import audit
from tests.faults.pusher import Pusher, Session, image_of
from tests.support.server import RunningRegistry, free_port, start_registry

PLACES = [place for place in failpoints.declared() if not place.startswith(("gc.", "journal."))]
assert registry.app, storage_drivers.filesystem  # imported for what they declare: all that serves here

DIED = (OSError, http.client.HTTPException)
DEATHS = int(os.environ.get("ENTREPOT_TEST_DEATHS", "1"))
"""How many times one scenario is killed at one failpoint: `make torture` goes through all of them."""


@dataclass
class State:
    """What a client remembers. `resumed` was cut off in a PATCH that reached the disk, but not the index."""

    pusher: Pusher
    other: Pusher
    resumed: Session
    spoilt: Session
    spare: str


def settings(failpoint: str) -> dict[str, str]:
    """Die there, and let nobody wait long for the dead."""
    return {
        failpoints.VARIABLE: failpoint,
        "ENTREPOT_UPLOADS__LEASE_SECONDS": "1",
        "ENTREPOT_GC__EVERY_SECONDS": "0",
        "ENTREPOT_JOURNAL__EVERY_SECONDS": "0",
    }


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, State]:
    """Data with old images and two running uploads, of a registry that died in the middle of one."""
    data = tmp_path_factory.mktemp("template") / "data"
    running = start_registry(data, environment=settings("uploads.append.durable:3"))
    client = Client(running.url)
    pusher, other = Pusher(client, "some/image"), Pusher(client, "another/image")
    config, layer = b'{"old":true}', random_bytes(70_000)
    for content in (config, layer):
        pusher.push_whole(content)
    for tag in ("kept", "moving", "doomed"):
        pusher.put_manifest(image_of(config, layer, annotations={"for": tag}), tag)
    spare = pusher.push_whole(random_bytes(3000))
    resumed, spoilt = (pusher.open_session(random_bytes(200_000)) for _ in range(2))
    pusher.append(resumed, 70_000)
    pusher.append(spoilt, 5_000)
    with pytest.raises(DIED):
        pusher.append(resumed, 150_000)
    running.process.wait(10)
    return data, State(pusher, other, resumed, spoilt, spare)


def scenario(state: State) -> Iterator[Callable[[], object]]:
    """Every kind of change, in steps that may each be taken again."""
    pusher, resumed, spoilt = state.pusher, state.resumed, state.spoilt
    yield lambda: pusher.append(resumed, 150_000)
    yield lambda: pusher.finish(resumed)
    yield lambda: pusher.finish_wrongly(spoilt)
    config, layer, third = b'{"new":true}', random_bytes(900_000), random_bytes(4000)
    yield lambda: pusher.push_whole(config)
    opened: list[Session] = []
    yield lambda: opened.append(pusher.open_session(layer))
    yield lambda: pusher.finish(opened[0])
    yield lambda: opened.append(pusher.open_session(third))
    yield lambda: pusher.append(opened[1], 3000)
    yield lambda: pusher.append(opened[1], 4000)
    yield lambda: pusher.finish(opened[1])
    yield lambda: state.other.mount(opened[1].digest, pusher)
    yield lambda: pusher.put_manifest(image_of(config, layer, third), "new")
    yield lambda: pusher.put_manifest(image_of(config, resumed.content), "moving")
    yield lambda: pusher.delete("manifests", "new")
    body = pusher.journal.value(pusher.key("manifests", "doomed"))
    assert body is not None
    yield lambda: pusher.delete("manifests", digest_of(body), "doomed")
    yield lambda: pusher.delete("blobs", state.spare)


@pytest.mark.parametrize("place", PLACES)
def test_nothing_is_lost(template: tuple[Path, State], tmp_path: Path, serve: Serve, place: str) -> None:
    data, port = tmp_path / "data", free_port()
    shutil.copytree(template[0], data)
    state = copy.deepcopy(template[1])
    state.pusher.client = state.other.client = Client(f"http://127.0.0.1:{port}")
    running = serve(data, port=port, environment=settings(place))
    deaths = 0
    for step in scenario(state):
        for attempt in itertools.count():
            try:
                step()
                break
            except DIED:
                assert attempt == 0, f"a step fails again and again:\n{running.log}"
                running.process.wait(10)
                deaths += 1
            # The step is taken again, and the next one that comes to this place dies there.
            following = f"{place}:2" if deaths < DEATHS else ""
            running = serve(data, port=port, environment=settings(following))
            verify(state, running)
    verify(state, running)
    assert running.stop() == 0
    assert deaths, "nothing in this scenario comes to this failpoint"


def verify(state: State, running: RunningRegistry) -> None:
    for pusher in (state.pusher, state.other):
        pusher.journal.verify(pusher.client)
    audit(running.data)
    assert "Traceback" not in running.log
