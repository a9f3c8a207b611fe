"""The process that collects dies by SIGKILL at every failpoint of a collection: nothing acknowledged is lost,
and the next one takes all that is left to take."""

import os
from pathlib import Path

import pytest

import registry.app
from conformance.client import Client
from conformance.content import random_bytes
from storage_drivers import failpoints
from tests.faults.collecting import ENVIRONMENT, collect, make_incomplete, surplus
from tests.faults.conftest import Serve
from tests.faults.journal import audit
from tests.faults.pusher import Pusher, image_of

PLACES = [place for place in failpoints.declared() if place.startswith("gc.")]
assert registry.app  # imported for what it declares

DEATHS = int(os.environ.get("ENTREPOT_TEST_DEATHS", "1"))


@pytest.mark.parametrize("place", PLACES)
def test_nothing_is_lost_and_nothing_is_left(tmp_path: Path, serve: Serve, place: str) -> None:
    data = tmp_path / "data"
    running = serve(data, environment=ENVIRONMENT)
    pusher, other = (Pusher(Client(running.url), f"some/{name}") for name in ("image", "other"))
    shared, config, layer, late = b"{}", b'{"kept":true}', random_bytes(70_000), random_bytes(3000)
    for content in (shared, config, layer):
        pusher.push_whole(content)
    kept, doomed = image_of(config, shared), image_of(config, layer)
    pusher.put_manifest(kept, "kept")
    pusher.put_manifest(doomed, "doomed")
    for digest in (shared, layer):
        other.mount(pusher.push_whole(digest), pusher)
    other.put_manifest(image_of(shared), "latest")
    pusher.delete("manifests", doomed.digest, "doomed")
    for _ in range(3):
        other.push_whole(random_bytes(500))  # nobody comes for these
    make_incomplete(data)

    deaths = collect(data, (pusher, other), place, DEATHS)

    assert deaths, "no collection comes to this failpoint"
    for one in (pusher, other):
        one.journal.verify(one.client)
    assert audit(data) == 2, "config and what is shared"
    assert surplus(data) == []
    for content in (layer, late):
        other.push_whole(content)
    other.put_manifest(image_of(layer, late), "again")
    other.journal.verify(other.client)
    assert audit(data) == 4
    assert running.stop() == 0
    assert "Traceback" not in running.log
