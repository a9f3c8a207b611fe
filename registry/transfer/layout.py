"""Image layouts as a place where images come from: a folder or a tar file (image-spec image-layout.md)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from registry.oci.descriptor import Descriptor, parse_descriptor
from registry.oci.digest import Digest
from registry.oci.errors import RegistryError
from registry.oci.media_types import MANIFEST_TYPES
from registry.oci.strict_json import StrictJSONError, parse_object
from registry.transfer.content import LARGEST_MANIFEST, Content, Pieces, content_of
from registry.transfer.errors import Damaged, Missing
from registry.transfer.files import Files, pieces, whole

MARK = "oci-layout"
INDEX = "index.json"
REFERENCE_NAME = "org.opencontainers.image.ref.name"
IMAGE_NAME = "io.containerd.image.name"
"""How docker and containerd write the whole name of an image beside its tag."""


class Named(NamedTuple):
    """An image of a layout or an archive. `name` is what it is called there, None if it is not."""

    name: str | None
    digest: Digest
    is_referrer: bool = False
    """Whether it has a subject and no name: it goes where its subject goes."""


class LayoutSource:
    """A layout. `read` makes one, which knows what the layout's index lists."""

    def __init__(self, files: Files, listed: Sequence[Descriptor]) -> None:
        self.images: list[Named] = []
        self._files = files
        self._listed = listed
        self._subjects: dict[Digest, list[Descriptor]] = {}

    @classmethod
    async def read(cls, files: Files) -> "LayoutSource":
        """Read the layout's index, and each manifest that it lists. Raises TransferError."""
        mark = await _document(files, MARK, 64 * 1024)
        version = mark.get("imageLayoutVersion")
        if not isinstance(version, str) or not version.startswith("1."):
            raise Damaged(f"{files.where} is no image layout of version 1")
        index = await _document(files, INDEX, LARGEST_MANIFEST)
        values = index.get("manifests")
        if not isinstance(values, list):
            raise Damaged(f"{files.where}: {INDEX} lists no manifests")
        try:
            listed = [parse_descriptor(value, f"manifests[{number}]") for number, value in enumerate(values)]
        except RegistryError as error:
            raise Damaged(f"{files.where}: {INDEX}: {error.message}") from error
        source = cls(files, listed)
        for descriptor in listed:
            await source._enter(descriptor)
        return source

    async def _enter(self, descriptor: Descriptor) -> None:
        if descriptor.media_type not in MANIFEST_TYPES:
            raise Damaged(f"{self._files.where}: {INDEX} lists {descriptor.digest}, which is no manifest")
        content = await self.manifest("", descriptor.digest, descriptor.media_type)
        annotations = descriptor.annotations or {}
        name = annotations.get(IMAGE_NAME) or annotations.get(REFERENCE_NAME)
        subject = content.manifest.subject
        self.images.append(Named(name, content.digest, name is None and subject is not None))
        if subject is not None:
            self._subjects.setdefault(subject.digest, []).append(descriptor)

    async def digest(self, repository: str, reference: str) -> Digest | None:
        """See Source.digest; images of layouts go by their digests."""
        return Digest.parse(reference)

    async def manifest(self, repository: str, reference: str, media_type: str | None = None) -> Content:
        """See Source.manifest."""
        digest = Digest.parse(reference)
        data = await whole(self._files, blob_name(digest), LARGEST_MANIFEST)
        return content_of(data, digest, media_type, self._files.where)

    def blob(self, repository: str, blob: Descriptor, offset: int) -> Pieces:
        """See Source.blob."""
        return pieces(self._files, blob_name(blob.digest), offset)

    async def referrers(self, repository: str, digest: Digest) -> Sequence[Descriptor]:
        """See Source.referrers: those that the layout's index lists."""
        return self._subjects.get(digest, ())

    async def attached(self, repository: str, digest: Digest) -> Sequence[str]:
        """See Source.attached: in a layout they are images with names of their own."""
        return ()


def blob_name(digest: Digest) -> str:
    """Where a layout has its blobs."""
    return f"blobs/{digest.algorithm}/{digest.encoded}"


async def _document(files: Files, name: str, limit: int) -> dict[str, Any]:
    try:
        return parse_object(await whole(files, name, limit))
    except Missing:
        raise Damaged(f"{files.where} is no image layout: it has no {name}") from None
    except StrictJSONError as error:
        raise Damaged(f"{files.where}: {name} can't be read: {error}") from error
