"""Every client signs in, pushes and pulls as a user, as a robot, with a personal token and with the token of
a job; and says why when it is refused."""

import json
import os
from base64 import b64decode
from collections.abc import Callable, Iterator
from gzip import decompress
from pathlib import Path

import pytest

from tests.engines.buildkit import with_buildkit
from tests.engines.clients import ClientFailed
from tests.engines.containers import PLAIN
from tests.engines.docker import Engine
from tests.engines.guarded import GOOD, REFUSED, Guarded, Login
from tests.engines.guests import GUESTS, Docker, Guest, Mounting
from tests.engines.images import make_image, tar
from tests.engines.recorder import Recording, recorded

Arrive = Callable[[], Guest]


@pytest.fixture
def recording(guarded: Guarded) -> Iterator[Recording]:
    """The way to the registry on which every request is written down."""
    with recorded(guarded.address) as running:
        yield running


@pytest.fixture(params=GUESTS)
def arrive(request: pytest.FixtureRequest, guarded: Guarded, folder: Path) -> Arrive:
    """Makes guests, for each client, in which nobody is signed in."""
    kind = GUESTS[request.param]
    shared = request.getfixturevalue(kind.fixture) if kind.fixture else None
    recorded = "recording" in request.fixturenames
    way = guarded.at(request.getfixturevalue("recording").address) if recorded else guarded

    def new() -> Guest:
        own = folder / os.urandom(4).hex()
        own.mkdir()
        return kind(way, own, shared)

    return new


@pytest.fixture
def box(repository: str) -> str:
    """A repository, the last component of whose name is that of helm's chart."""
    return f"{repository}/box"


def sign_in_and_push(guest: Guest, login: Login, repository: str) -> object:
    """What was pushed. A client whose login only writes a file is refused here at its first request."""
    guest.sign_in(login)
    return guest.push(repository)


@pytest.mark.parametrize("login", GOOD)
def test_push_and_pull(arrive: Arrive, guarded: Guarded, box: str, login: str) -> None:
    guest = arrive()
    pushed = sign_in_and_push(guest, guarded.logins[login], box)
    assert guest.pull(box) == pushed


@pytest.mark.parametrize("login", REFUSED)
def test_refused(arrive: Arrive, guarded: Guarded, box: str, login: str) -> None:
    guarded.forgive()
    guest = arrive()
    with pytest.raises(ClientFailed) as refused:
        sign_in_and_push(guest, guarded.logins[login], box)
    assert (guest.refusal or REFUSED[login]) in refused.value.said


@pytest.mark.parametrize("login", REFUSED)
@pytest.mark.parametrize("tool", ["skopeo", "podman", "buildah"])
def test_credentials_of_one_command_are_refused_with_the_reason(
    request: pytest.FixtureRequest, guarded: Guarded, box: str, tool: str, login: str
) -> None:
    """Their logins hide what the registry says; later, when they need a token, they don't."""
    guarded.forgive()
    client = request.getfixturevalue(tool)
    command = "inspect" if tool == "skopeo" else "pull"
    credentials = ("--creds", ":".join(guarded.logins[login]))
    said = client.refused(command, PLAIN, *credentials, f"docker://{guarded.address}/{box}")
    assert REFUSED[login] in said


def test_push_without_right(arrive: Arrive, guarded: Guarded, box: str) -> None:
    guest = arrive()
    guest.sign_in(guarded.logins["reader"])
    with pytest.raises(ClientFailed) as refused:
        guest.push(box)
    assert (guest.denial or "needs the role writer for user:bob") in refused.value.said


def test_without_login_only_what_is_public_is_pulled(arrive: Arrive, guarded: Guarded, box: str) -> None:
    guest = arrive()
    pushed = sign_in_and_push(guest, guarded.logins["user"], box)
    with pytest.raises(ClientFailed) as refused:
        arrive().pull(box)
    assert (guest.denial or f"pull on {box} needs the role reader") in refused.value.said
    guarded.publish(box)
    assert arrive().pull(box) == pushed


def test_docker_keeps_a_refresh_token_in_place_of_the_password(
    docker_classic: Engine, guarded: Guarded, recording: Recording, box: str, folder: Path
) -> None:
    guest = Docker(guarded.at(recording.address), folder, docker_classic)
    login = guarded.logins["user"]
    guest.sign_in(login)
    kept = json.loads((folder / "docker" / "config.json").read_text())["auths"][recording.address]
    assert kept["identitytoken"].startswith("entrepot_refresh_")
    assert login.secret not in b64decode(kept.get("auth", "")).decode()
    recording.clear()
    pushed = guest.push(box)
    assert guest.pull(box) == pushed
    asked = [each for each in recording.exchanges if each.path == "/v2/token"]
    assert {(each.method, each.status) for each in asked} == {("POST", 200)}
    path = f"/users/{login.name}/tokens"
    for token in guarded.api("GET", path)["tokens"]:
        if token["kind"] == "refresh":
            guarded.api("DELETE", f"{path}/{token['id']}")
    with pytest.raises(ClientFailed) as refused:
        guest.pull(box)
    assert "this token is not known: it was revoked" in refused.value.said


@pytest.mark.parametrize("login", ["user", "job"])
@pytest.mark.parametrize(
    "arrive", [name for name, kind in GUESTS.items() if issubclass(kind, Mounting)], indirect=True
)
def test_copy_of_a_private_repository_mounts_the_layers(
    arrive: Arrive, guarded: Guarded, recording: Recording, repository: str, login: str
) -> None:
    """A mount needs a token for both repositories: a client that has none for the first uploads."""
    first, second = f"{repository}/first", f"{repository}/second"
    guest = arrive()
    assert isinstance(guest, Mounting)
    sign_in_and_push(guest, guarded.logins[login], first)
    image = guarded.remote.image(first)
    guest.copy(first, second)
    assert guarded.remote.image(second) == image
    assert recording.mounted(second) >= {layer.digest for layer in image.layers}
    assert recording.uploaded(second) <= len(image.config.data)


@pytest.mark.parametrize("login", GOOD)
def test_buildkit_builds_on_a_private_image(
    docker_classic: Engine, guarded: Guarded, repository: str, folder: Path, login: str
) -> None:
    """It asks for tokens itself, through the command that has the credentials."""
    base = make_image()
    guarded.remote.put(repository, base)
    guest = Docker(guarded, folder, docker_classic)
    buildkit = with_buildkit(guest.client)
    name = f"{repository}/built"
    dockerfile = f"FROM {guest.name(repository)}\nLABEL built=yes\n".encode()
    build = ("build", "--tag", name, "-")
    context = tar({"Dockerfile": dockerfile})
    assert "authorization failed" in buildkit.refused(*build, standard_input=context)
    guest.sign_in(guarded.logins[login])
    buildkit(*build, standard_input=context)
    _, layers = guest.engine.saved(name, folder)
    assert layers == [decompress(layer.data) for layer in base.layers]
    guest.client("rmi", name)


def test_docker_with_containerd_s_store(
    docker_containerd: Engine, guarded: Guarded, box: str, folder: Path
) -> None:
    guest = Docker(guarded, folder, docker_containerd)
    for login in GOOD:
        pushed = sign_in_and_push(guest, guarded.logins[login], box)
        assert guest.pull(box) == pushed
