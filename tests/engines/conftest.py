"""A registry for the whole run, and the clients that push to it and pull from it. See README.md."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.engines.clients import Client, environment
from tests.engines.containerd import containerd, fresh
from tests.engines.containers import with_own_store
from tests.engines.docker import Engine, engine
from tests.engines.guarded import Guarded, guarded_registry
from tests.engines.recorder import Recording, recorded
from tests.engines.remote import Remote
from tests.engines.signatures import with_key
from tests.support.server import start_registry

FOREIGN = os.environ.get("ENTREPOT_TEST_REGISTRY")
"""`host:port` of a running registry to test in place of Entrepot."""


@pytest.fixture(scope="session")
def workspace() -> Iterator[Path]:
    """A folder that goes when the run ends. Its path is short: those of sockets end at 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="engines-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def folder(workspace: Path) -> Iterator[Path]:
    """A folder that goes when the test ends: images are too big to be kept for three runs."""
    own = Path(tempfile.mkdtemp(dir=workspace))
    yield own
    shutil.rmtree(own)


@pytest.fixture(scope="session")
def remote(workspace: Path) -> Iterator[Remote]:
    """The registry under test: an Entrepot of two workers, or the one that ENTREPOT_TEST_REGISTRY names."""
    if FOREIGN is not None:
        yield Remote(FOREIGN)
        return
    running = start_registry(workspace / "registry", workers=2)
    try:
        yield Remote(running.address)
        assert running.stop() == 0, running.log
    finally:
        running.kill()


@pytest.fixture(scope="session")
def guarded(workspace: Path) -> Iterator[Guarded]:
    """An Entrepot with accounts."""
    with guarded_registry(workspace / "guarded") as running:
        yield running


@pytest.fixture
def repository(request: pytest.FixtureRequest) -> str:
    """A repository name that no other test uses, in this run or an earlier one on the same registry."""
    module = request.path.stem.removeprefix("test_")
    return f"engines/{module}-{os.urandom(6).hex()}"


@pytest.fixture
def recording(remote: Remote) -> Iterator[Recording]:
    """The way to the registry on which every request is written down."""
    with recorded(remote.address) as running:
        yield running


@pytest.fixture
def referrers_api(remote: Remote, repository: str) -> None:
    """Skips a test on a foreign registry without the referrers API. Entrepot has it."""
    if FOREIGN is not None and not remote.has_referrers(repository):
        pytest.skip(f"the registry at {FOREIGN} has no referrers API")


@pytest.fixture
def work(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """For a client in this very process: the environment that the others get, and a folder to work in."""
    for name, value in environment(folder / "home").items():
        monkeypatch.setenv(name, value)
    own = folder / "work"
    own.mkdir()
    monkeypatch.chdir(own)
    return own


@pytest.fixture
def oras_home(work: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same for oras, which otherwise tries for two minutes whatever is refused."""
    monkeypatch.setattr("oras.decorator.time", SimpleNamespace(sleep=lambda seconds: None))
    return work


@pytest.fixture(scope="session")
def crane(workspace: Path) -> Client:
    return Client.found("crane", workspace / "crane")


@pytest.fixture(scope="session")
def skopeo(workspace: Path) -> Client:
    """skopeo without a signature policy; as a "rootless" one it keeps its cache of known blobs at home."""
    return Client.found(
        "skopeo", workspace / "skopeo", ["--insecure-policy"], _CONTAINERS_ROOTLESS_UID="1000"
    )


@pytest.fixture(scope="session")
def regctl(workspace: Path, remote: Remote) -> Client:
    client = Client.found("regctl", workspace / "regctl")
    client("registry", "set", "--tls", "disabled", remote.address)
    return client


@pytest.fixture(scope="session")
def cosign_with_key(workspace: Path) -> Client:
    return with_key(workspace / "cosign")


@pytest.fixture(scope="session")
def podman(workspace: Path) -> Client:
    return with_own_store("podman", workspace / "podman")


@pytest.fixture(scope="session")
def buildah(workspace: Path) -> Client:
    return with_own_store("buildah", workspace / "buildah")


@pytest.fixture(scope="session")
def docker_classic(workspace: Path) -> Iterator[Engine]:
    with engine(workspace / "docker-classic", "classic") as running:
        yield running


@pytest.fixture(scope="session")
def docker_containerd(workspace: Path) -> Iterator[Engine]:
    with engine(workspace / "docker-containerd", "containerd") as running:
        yield running


@pytest.fixture(params=["classic", "containerd"])
def docker(request: pytest.FixtureRequest) -> Engine:
    """A Docker Engine with each of its two image stores."""
    found = request.getfixturevalue(f"docker_{request.param}")
    assert isinstance(found, Engine)
    return found


@pytest.fixture(scope="session")
def containerd_client(workspace: Path) -> Iterator[Client]:
    with containerd(workspace / "containerd") as running:
        yield running


@pytest.fixture
def ctr(containerd_client: Client) -> Client:
    """containerd with an empty store."""
    return fresh(containerd_client)
