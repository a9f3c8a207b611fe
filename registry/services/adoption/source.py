"""The tree that is adopted, as it is read. Nothing here writes to it."""

from collections import Counter
from dataclasses import dataclass, field

from auth.patterns import RepositoryPattern
from registry.oci.digest import Digest
from registry.oci.errors import DigestInvalid, RegistryError
from registry.services.adoption.layout import (
    REPOSITORIES,
    Layer,
    Revision,
    TagLink,
    blob_location,
    read_link,
    split,
    tag_location,
)
from storage_drivers import Adoptable, NotFound, StorageDriver

LARGEST_LINK = 200
"""Bytes: a digest, and room for a line end."""


class Unfit(RegistryError):
    """Something of the tree can't be adopted; the message says why."""


@dataclass(frozen=True, slots=True)
class Tree:
    """What a repository has. Times, of manifests and tags, are those of their links."""

    layers: set[Digest] = field(default_factory=set)
    revisions: dict[Digest, float] = field(default_factory=dict)
    tags: dict[str, float] = field(default_factory=dict)


class Source:
    """Reads through a driver on whose root the tree lies. All raise StorageError."""

    def __init__(self, driver: StorageDriver) -> None:
        """Raises Unfit for a driver that shows no files."""
        if not isinstance(driver, Adoptable):
            raise Unfit(f"the storage driver {driver.name} can't adopt: use filesystem or s3")
        self._files = driver
        self._driver: StorageDriver = driver

    async def survey(self, pattern: RepositoryPattern) -> dict[str, int]:
        """The repositories that match, in byte order, and how many manifests each has. A name that no
        repository here can have is among them."""
        folder = f"{REPOSITORIES}/{pattern.prefix}".rpartition("/")[0]
        count: Counter[str] = Counter()
        async for found in self._files.files(f"{REPOSITORIES}/{pattern}" if pattern.is_exact else folder):
            name, inside = split(found.location)
            count[name] += isinstance(read_link(inside), Revision)
        return {name: count[name] for name in sorted(count) if pattern.matches(name)}

    async def tree(self, repository: str) -> Tree:
        """What a repository has. A link of no bytes, as a crash leaves it, counts as none."""
        tree = Tree()
        for part in ("_layers", "_manifests"):
            async for found in self._files.files(f"{REPOSITORIES}/{repository}/{part}"):
                match read_link(split(found.location)[1]):
                    case Layer(digest) if found.size:
                        tree.layers.add(digest)
                    case Revision(digest) if found.size:
                        tree.revisions[digest] = found.modified
                    case TagLink(name):
                        tree.tags[name] = found.modified
        return tree

    async def body(self, digest: Digest, most: int) -> bytes:
        """The bytes of a manifest, compared with its digest; at most so many. Raises Unfit."""
        location = blob_location(digest)
        try:
            size = (await self._driver.stat(location)).size
            if size > most:
                raise Unfit(f"it has {size} bytes; manifests.max_bytes allows {most}")
            body = b"".join([part async for part in self._driver.read(location, 0, size)])
        except NotFound:
            raise Unfit("its bytes are not there") from None
        if (actual := Digest.of(body, digest.algorithm)) != digest:
            raise Unfit(f"its bytes have the digest {actual}")
        return body

    async def target(self, repository: str, tag: str) -> Digest:
        """The digest that a tag points to. Raises Unfit."""
        location = tag_location(repository, tag)
        try:
            size = (await self._driver.stat(location)).size
            parts = [part async for part in self._driver.read(location, 0, min(size, LARGEST_LINK))]
            return Digest.parse(b"".join(parts).decode("ascii", "replace").strip())
        except NotFound:
            raise Unfit("it was deleted meanwhile") from None
        except DigestInvalid as error:
            raise Unfit(f"its link is damaged: {error.message}") from None
