"""Engines push to and pull from replicas as from one registry."""

import secrets
from pathlib import Path

import pytest

from tests.engines.guarded import Guarded, Login
from tests.engines.guests import GUESTS
from tests.engines.remote import Remote
from tests.replicas.fleet import Fleet, call
from tests.replicas.storages import on

pytestmark = [pytest.mark.xdist_group("replicas"), on("s3")]


@pytest.fixture
def guarded(replicas: Fleet) -> Guarded:
    """The replicas as the adapters of engines know a registry, with a user who may push."""
    login = Login(f"user-{secrets.token_hex(4)}", secrets.token_urlsafe())
    client = replicas.client()
    call(client, "POST", "/users", name=login.name, password=login.secret)
    call(client, "POST", "/grants", principal=f"user:{login.name}", role="writer", pattern="engines/**")
    administrator = Login("admin", replicas.administrator_token())
    remote = Remote(replicas.robin.address, administrator.basic)
    return Guarded(remote, {"user": login}, replicas.folder)


@pytest.mark.parametrize("name", ["crane", "skopeo", "podman", "docker"])
def test_push_and_pull(
    request: pytest.FixtureRequest, replicas: Fleet, guarded: Guarded, folder: Path, name: str
) -> None:
    kind = GUESTS[name]
    shared = request.getfixturevalue(kind.fixture) if kind.fixture else None
    guest = kind(guarded, folder, shared)
    before = replicas.robin.sent.copy()
    guest.sign_in(guarded.logins["user"])
    for _ in range(3):
        repository = f"engines/{secrets.token_hex(6)}/box"
        pushed = guest.push(repository)
        assert guest.pull(repository) == pushed
    assert len(replicas.robin.sent - before) == 3
