"""Clients in which nobody is signed in yet, all alike: sign in, push, pull, as a user of each would."""

import io
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import oras.client

from tests.engines.charts import package
from tests.engines.clients import Client, ClientFailed
from tests.engines.containerd import fresh, put_in, taken_out
from tests.engines.containers import PLAIN
from tests.engines.docker import Engine
from tests.engines.guarded import Guarded, Login
from tests.engines.images import Image, make_image, random_files
from tests.engines.layouts import read_layout, write_layout
from tests.engines.signatures import sign, verify


class Guest(ABC):
    """One client at a registry. In `folder` are its credentials, and what it pushes and pulls."""

    fixture: ClassVar[str | None] = None
    """What has a daemon or a store that takes long to make, and is shared."""

    refusal: ClassVar[str | None] = None
    """What this client says where the registry refuses credentials; None: what the registry says."""

    denial: ClassVar[str | None] = None
    """The same, where a right is missing."""

    client: Client

    def __init__(self, guarded: Guarded, folder: Path, shared: object) -> None:
        """`shared` is what the fixture gives."""
        self.guarded = guarded
        self.address = guarded.address
        self.folder = folder
        self.start(shared)

    @abstractmethod
    def start(self, shared: object) -> None:
        """Have the client, with credentials of its own."""

    @abstractmethod
    def sign_in(self, login: Login) -> None:
        """Raises ClientFailed, by those that ask the registry before they need anything of it."""

    @abstractmethod
    def push(self, repository: str) -> object:
        """Push something new to a repository whose name ends in `/box`; returns what. Raises ClientFailed."""

    @abstractmethod
    def pull(self, repository: str) -> object:
        """Pull what was pushed: it should equal that. Raises ClientFailed."""

    def name(self, repository: str) -> str:
        return f"{self.address}/{repository}:latest"

    def layout(self) -> tuple[Path, Image]:
        """A new image, in a folder and at hand."""
        image = make_image()
        return write_layout(self.new_folder(), latest=image), image

    def new_folder(self) -> Path:
        """A path where nothing is."""
        return self.folder / os.urandom(4).hex()


class Mounting(Guest):
    """A client that mounts what it copies from one repository to another."""

    @abstractmethod
    def copy(self, source: str, target: str) -> None:
        """Copy what was pushed. Raises ClientFailed."""


def with_own_credentials(client: object, folder: Path) -> Client:
    """The same program, that keeps credentials in `folder`."""
    assert isinstance(client, Client)
    authentication = folder / "auth.json"
    authentication.write_text("{}")
    own = {"HOME": folder, "DOCKER_CONFIG": folder / "docker", "REGISTRY_AUTH_FILE": authentication}
    return replace(client, environment={**client.environment, **{key: str(own[key]) for key in own}})


class Crane(Mounting):
    """crane. Its login only writes a file."""

    def start(self, shared: object) -> None:
        self.client = Client.found("crane", self.folder)

    def sign_in(self, login: Login) -> None:
        options = ("--username", login.name, "--password-stdin")
        self.client("auth", "login", *options, self.address, standard_input=login.secret.encode())

    def push(self, repository: str) -> object:
        layout, image = self.layout()
        self.client("push", layout, self.name(repository))
        return image

    def pull(self, repository: str) -> object:
        back = self.new_folder()
        self.client("pull", "--format=oci", self.name(repository), back)
        return read_layout(back)

    def copy(self, source: str, target: str) -> None:
        self.client("copy", self.name(source), self.name(target))


class Skopeo(Guest):
    """skopeo."""

    fixture = "skopeo"
    refusal = "invalid username/password"

    def start(self, shared: object) -> None:
        self.client = with_own_credentials(shared, self.folder)

    def sign_in(self, login: Login) -> None:
        options = (PLAIN, "--username", login.name, "--password-stdin")
        self.client("login", *options, self.address, standard_input=login.secret.encode())

    def push(self, repository: str) -> object:
        layout, image = self.layout()
        name = f"docker://{self.name(repository)}"
        self.client("copy", "--dest-tls-verify=false", f"oci:{layout}:latest", name)
        return image

    def pull(self, repository: str) -> object:
        back = self.new_folder()
        self.client("copy", "--src-tls-verify=false", f"docker://{self.name(repository)}", f"oci:{back}")
        return read_layout(back)


class Regctl(Mounting):
    """regctl."""

    refusal = "unauthorized"
    denial = "unauthorized"

    def start(self, shared: object) -> None:
        self.client = Client.found("regctl", self.folder)
        self.client("registry", "set", "--tls", "disabled", self.address)

    def sign_in(self, login: Login) -> None:
        options = ("--user", login.name, "--pass-stdin")
        self.client("registry", "login", *options, self.address, standard_input=login.secret.encode())

    def push(self, repository: str) -> object:
        layout, image = self.layout()
        self.client("image", "copy", f"ocidir://{layout}:latest", self.name(repository))
        return image

    def pull(self, repository: str) -> object:
        back = self.new_folder()
        self.client("image", "copy", self.name(repository), f"ocidir://{back}:latest")
        return read_layout(back)

    def copy(self, source: str, target: str) -> None:
        self.client("image", "copy", self.name(source), self.name(target))


class Ctr(Mounting):
    """containerd. It has no login: credentials are given with each command."""

    fixture = "ctr"
    refusal = "401 Unauthorized"
    denial = "insufficient_scope: authorization failed"
    user: tuple[str, ...] = ()

    def start(self, shared: object) -> None:
        assert isinstance(shared, Client)
        self.client = shared

    def sign_in(self, login: Login) -> None:
        self.user = ("--user", f"{login.name}:{login.secret}")

    def push(self, repository: str) -> object:
        image = make_image()
        folder = self.new_folder()
        folder.mkdir()
        put_in(self.client, folder, self.name(repository), image)
        self.client("images", "push", "--plain-http", *self.user, self.name(repository))
        return image

    def pull(self, repository: str) -> object:
        return taken_out(self.pulled(repository), self.folder, self.name(repository))

    def copy(self, source: str, target: str) -> None:
        # Only what was pulled carries the label that says which repository it can be mounted from.
        other = self.pulled(source)
        other("images", "tag", self.name(source), self.name(target))
        other("images", "push", "--plain-http", *self.user, self.name(target))

    def pulled(self, repository: str) -> Client:
        """An empty store that has pulled it."""
        other = fresh(self.client)
        options = ("--plain-http", "--snapshotter", "native", *self.user)
        other("images", "pull", *options, self.name(repository))
        return other


class Podman(Guest):
    """podman, and buildah, which has the same commands for this. They compress layers anew, so the identity
    of an image is its configuration's."""

    fixture = "podman"
    refusal = "invalid username/password"

    def start(self, shared: object) -> None:
        self.client = with_own_credentials(shared, self.folder)

    def sign_in(self, login: Login) -> None:
        options = (PLAIN, "--username", login.name, "--password-stdin")
        self.client("login", *options, self.address, standard_input=login.secret.encode())

    def push(self, repository: str) -> object:
        layout, image = self.layout()
        # They make a name from the path of a layout, and not every path makes one.
        local = self.client.within(layout.parent)
        identity = local("pull", "--quiet", f"oci:{layout.name}:latest").strip()
        assert image.config.digest == f"sha256:{identity}"
        try:
            self.client("push", PLAIN, identity, f"docker://{self.name(repository)}")
        finally:
            self.client("rmi", "--force", identity)
        return identity

    def pull(self, repository: str) -> object:
        identity = self.client("pull", PLAIN, "--quiet", self.name(repository)).strip()
        self.client("rmi", "--force", identity)
        return identity


class Buildah(Podman):
    """buildah."""

    fixture = "buildah"


class Docker(Mounting):
    """The Docker Engine, by default with its classic store."""

    fixture = "docker_classic"
    denial = "requested access to the resource is denied"

    def start(self, shared: object) -> None:
        assert isinstance(shared, Engine)
        self.client = with_own_credentials(shared.docker, self.folder)
        self.engine = replace(shared, docker=self.client)

    def sign_in(self, login: Login) -> None:
        options = ("--username", login.name, "--password-stdin")
        self.client("login", *options, self.address, standard_input=login.secret.encode())

    def push(self, repository: str) -> object:
        name = self.name(repository)
        self.engine.build(name, random_files(1), random_files(1))
        identity = self.engine.identity(name)
        try:
            self.client("push", name)
        finally:
            self.client("rmi", "--force", identity)
        return identity

    def pull(self, repository: str) -> object:
        name = self.name(repository)
        self.client("pull", name)
        identity = self.engine.identity(name)
        self.client("rmi", "--force", identity)
        return identity

    def copy(self, source: str, target: str) -> None:
        self.client("pull", self.name(source))
        self.client("tag", self.name(source), self.name(target))
        try:
            self.client("push", self.name(target))
        finally:
            self.client("rmi", "--force", self.engine.identity(self.name(source)))


class Helm(Guest):
    """helm. A chart's own name ends that of its repository."""

    def start(self, shared: object) -> None:
        self.client = Client.found("helm", self.folder)

    def sign_in(self, login: Login) -> None:
        options = ("--plain-http", "--username", login.name, "--password-stdin")
        self.client("registry", "login", *options, self.address, standard_input=login.secret.encode())

    def push(self, repository: str) -> object:
        folder = self.new_folder()
        chart = package(self.client, folder, "1.0.0")
        home = repository.removesuffix("/box")
        self.client("push", chart, f"oci://{self.address}/{home}", "--plain-http")
        return chart.read_bytes()

    def pull(self, repository: str) -> object:
        back = self.new_folder()
        back.mkdir()
        options = ("--version", "1.0.0", "--plain-http", "--destination", back)
        self.client("pull", f"oci://{self.address}/{repository}", *options)
        return (back / "box-1.0.0.tgz").read_bytes()


class Cosign(Guest):
    """cosign: it pushes the signature of an image that is there, and pulls it to verify. Its login only
    writes a file."""

    fixture = "cosign_with_key"

    def start(self, shared: object) -> None:
        self.client = with_own_credentials(shared, self.folder)

    def sign_in(self, login: Login) -> None:
        options = ("--username", login.name, "--password-stdin")
        self.client("login", *options, self.address, standard_input=login.secret.encode())

    def push(self, repository: str) -> object:
        image = make_image()
        self.guarded.remote.put(repository, image)
        sign(self.client, f"{self.address}/{repository}@{image.digest}")
        return [image.digest]

    def pull(self, repository: str) -> object:
        return verify(self.client, self.name(repository))


class Oras(Guest):
    """The Python client oras, in this very process. Its login only writes a file. It pushes with Basic: of
    tokens it takes only one, which is for pulling (oras-py issue 187)."""

    fixture = "oras_home"

    def start(self, shared: object) -> None:
        self.pushing, self.pulling = (
            oras.client.OrasClient(hostname=self.address, insecure=True, auth_backend=backend)
            for backend in ("basic", "token")
        )

    def sign_in(self, login: Login) -> None:
        for client in (self.pushing, self.pulling):
            file = self.folder / "config.json"
            client.login(login.name, login.secret, hostname=self.address, config_path=str(file))

    def push(self, repository: str) -> object:
        content = os.urandom(2000)
        Path("model.bin").write_bytes(content)
        with failures(self.pushing):
            self.pushing.push(target=self.name(repository), files=["model.bin"])
        return content

    def pull(self, repository: str) -> object:
        back = self.new_folder()
        with failures(self.pulling):
            self.pulling.pull(target=self.name(repository), outdir=str(back))
        return (back / "model.bin").read_bytes()


@contextmanager
def failures(client: object) -> Iterator[None]:
    """What the client in this process raises and logs, as what a program of its own would have said."""
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    logger = logging.getLogger("oras.logger")
    logger.addHandler(handler)
    try:
        yield
    except Exception as error:
        raise ClientFailed(client, f"{said.getvalue()}{error}") from error
    finally:
        logger.removeHandler(handler)


GUESTS: dict[str, type[Guest]] = {
    "crane": Crane,
    "skopeo": Skopeo,
    "regctl": Regctl,
    "ctr": Ctr,
    "podman": Podman,
    "buildah": Buildah,
    "docker": Docker,
    "helm": Helm,
    "cosign": Cosign,
    "oras": Oras,
}
