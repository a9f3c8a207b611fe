"""What people call an image: `registry.example.com/acme/app:1.0`, and patterns of repositories."""

from typing import NamedTuple

from registry.oci.digest import Digest
from registry.oci.errors import RegistryError
from registry.oci.name import RepositoryName, Tag
from registry.oci.quoting import quoted

DOCKER_HUB = "docker.io"
_HUB_NAMES = (DOCKER_HUB, "index.docker.io", "registry-1.docker.io")
_HUB_SERVER = "registry-1.docker.io"

EVERYTHING_BELOW = "**"


class Reference(NamedTuple):
    """`host` is None where none was named. `tag` and `digest` are None unless they were named.

    `repository` may end with `**`, which stands for every repository that begins with what is before it.
    """

    host: str | None
    repository: str
    tag: str | None = None
    digest: Digest | None = None

    def __str__(self) -> str:
        where = self.repository if self.host is None else f"{self.host}/{self.repository}"
        tagged = where if self.tag is None else f"{where}:{self.tag}"
        return tagged if self.digest is None else f"{tagged}@{self.digest}"

    @property
    def is_pattern(self) -> bool:
        """Whether it stands for many repositories."""
        return self.repository.endswith(EVERYTHING_BELOW)

    @property
    def prefix(self) -> str:
        """What the names of a pattern begin with, the slash included; empty for `**`."""
        return self.repository.removesuffix(EVERYTHING_BELOW)


def parse_reference(text: str, *, hosts: bool = True) -> Reference:
    """Read what people write. With `hosts`, what is before the first slash is a host if it has a dot or a
    colon, or is `localhost`, as every engine has it. Raises ValueError."""
    host: str | None = None
    named, at, encoded = text.partition("@")
    first, slash, rest = named.partition("/")
    if hosts and slash and _is_host(first):
        host, named = first.lower(), rest
    name, colon, tag = named.rpartition(":")
    if not colon:
        name, tag = named, ""
    if host in _HUB_NAMES:
        host = DOCKER_HUB
        if "/" not in name and name != EVERYTHING_BELOW:
            name = f"library/{name}"
    try:
        digest = Digest.parse(encoded) if at else None
        parsed = Reference(host, _repository(name), Tag.parse(tag) if colon else None, digest)
    except RegistryError as error:
        raise ValueError(error.message) from error
    if parsed.is_pattern and (at or colon):
        raise ValueError(f"{quoted(text)} stands for whole repositories, so it can't name a tag or a digest")
    return parsed


def server_of(host: str, *, plain_http: bool = False) -> str:
    """The address at which a host is asked."""
    return f"{'http' if plain_http else 'https'}://{_HUB_SERVER if host == DOCKER_HUB else host}"


def tag_of(name: str) -> str | None:
    """The tag in a name that an archive holds: `1.0`, `app:1.0` and `docker.io/acme/app:1.0` have one."""
    _, colon, last = name.rpartition("/")[2].rpartition(":")
    if not colon and "/" in name:
        return None
    try:
        return Tag.parse(last)
    except RegistryError:
        return None


def repository_of(name: str) -> str | None:
    """The repository in a name that an archive holds, without its host; None for a mere tag."""
    if "/" not in name and ":" not in name:
        return None
    try:
        return parse_reference(name).repository
    except ValueError:
        return None


def _repository(name: str) -> str:
    if not name.endswith(EVERYTHING_BELOW):
        return RepositoryName.parse(name)
    prefix = name.removesuffix(EVERYTHING_BELOW)
    if prefix:
        RepositoryName.parse(prefix.removesuffix("/"))
        if not prefix.endswith("/"):
            raise ValueError(f"{quoted(name)} should be like {prefix}/{EVERYTHING_BELOW}")
    return name


def _is_host(text: str) -> bool:
    return "." in text or ":" in text or text == "localhost"
