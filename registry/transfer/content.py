"""What is moved, and what it is moved between."""

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import NamedTuple, Protocol

from registry.oci.descriptor import Descriptor
from registry.oci.digest import Digest
from registry.oci.errors import RegistryError
from registry.oci.manifest import Manifest, parse_manifest
from registry.transfer.errors import Damaged

LARGEST_MANIFEST = 16 * 1024 * 1024
"""Bytes. Registries take 4 MiB; a source that holds more is not believed."""

Pieces = AsyncGenerator[bytes, None]
"""Whoever stops early closes it: a connection or a file may be behind it."""

Read = Callable[[int], Pieces]
"""Reads a blob from an offset to its end."""

Moved = Callable[[int], None]
"""Told how many bytes of a blob are at its target now."""


class Content(NamedTuple):
    """The bytes of a manifest, and what they say."""

    digest: Digest
    data: bytes
    manifest: Manifest


class Source(Protocol):
    """Where images come from. `repository` means nothing to layouts and archives."""

    async def digest(self, repository: str, reference: str) -> Digest | None:
        """What a tag points to; None if there is no such tag. A digest is answered as it is."""
        ...

    async def manifest(self, repository: str, reference: str, media_type: str | None = None) -> Content:
        """By tag or digest. `media_type` is what a descriptor says of it. Raises TransferError."""
        ...

    def blob(self, repository: str, blob: Descriptor, offset: int) -> Pieces:
        """The bytes from an offset on. Raises TransferError. Whoever reads compares digests."""
        ...

    async def referrers(self, repository: str, digest: Digest) -> Sequence[Descriptor]:
        """Manifests whose subject this is: signatures, attestations."""
        ...

    async def attached(self, repository: str, digest: Digest) -> Sequence[str]:
        """Tags that are named after this manifest, as cosign does it for signatures without a subject."""
        ...


class Target(Protocol):
    """Where images go."""

    async def digest(self, repository: str, tag: str) -> Digest | None:
        """What a tag points to; None if there is no such tag."""
        ...

    async def has_manifest(self, repository: str, digest: Digest) -> bool:
        """Whether the manifest is here. Its blobs may be missing."""
        ...

    async def has_blob(self, repository: str, blob: Descriptor) -> bool:
        """Whether the blob is here, whole."""
        ...

    async def mount(self, repository: str, blob: Descriptor, origin: str) -> bool:
        """Take the blob over from another repository of this target; False if that is not possible."""
        ...

    async def put_blob(self, repository: str, blob: Descriptor, read: Read, moved: Moved) -> None:
        """Bring a blob; what came at an earlier time is not read again. Raises TransferError."""
        ...

    async def put_manifest(
        self, repository: str, content: Content, tags: Sequence[str], *, root: bool
    ) -> None:
        """Bring a manifest, after everything that it names. `root`: no index of this transfer lists it."""
        ...


def content_of(data: bytes, claimed: Digest | None, media_type: str | None, where: str) -> Content:
    """The manifest in `data`, compared with the digest it goes by. Raises Damaged, naming `where`."""
    digest = Digest.of(data, "sha256" if claimed is None else claimed.algorithm)
    if claimed is not None and digest != claimed:
        raise Damaged(f"{where}: the manifest {claimed} is damaged, its bytes have the digest {digest}")
    try:
        return Content(digest, data, parse_manifest(data, media_type))
    except RegistryError as error:
        raise Damaged(f"{where}: the manifest {digest} can't be used: {error.message}") from error
