"""What `docker save` and `podman save` write, as a place where images come from.

The form that is older than image layouts: `manifest.json` names a configuration and layers, which are tar
files, mostly not compressed. They have no manifest, so one is made: an OCI manifest of just these bytes, so
that what is stored can be compared with the archive. Newer archives hold an image layout as well, and go by
that.
"""

import asyncio
import gzip
import json
import re
import zlib
from collections.abc import Sequence
from contextlib import closing
from typing import IO, Any, cast

from registry.oci.descriptor import Descriptor
from registry.oci.digest import Digest, digest_from_hash, new_hash
from registry.oci.errors import DigestInvalid
from registry.oci.media_types import OCI_MANIFEST
from registry.oci.quoting import quoted
from registry.oci.strict_json import StrictJSONError, parse_object
from registry.transfer.content import LARGEST_MANIFEST, Content, Pieces, content_of
from registry.transfer.errors import Damaged, Missing
from registry.transfer.files import GZIP, PIECE_BYTES, Files, Readable, pieces, whole
from registry.transfer.layout import Named

MANIFEST = "manifest.json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"

_HEX = re.compile(r"[0-9a-f]{64}")


class DockerArchive:
    """Images of an archive. `read` makes one; it reads every layer to learn its digest."""

    def __init__(self, files: Files) -> None:
        self.images: list[Named] = []
        self._files = files
        self._manifests: dict[Digest, Content] = {}
        self._places: dict[Digest, str] = {}
        self._layers: dict[str, tuple[Descriptor, Digest]] = {}

    @classmethod
    async def read(cls, files: Files) -> "DockerArchive":
        """Raises TransferError, naming what is damaged."""
        data = await whole(files, MANIFEST, LARGEST_MANIFEST)
        try:
            entries = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise Damaged(f"{files.where}: {MANIFEST} is not JSON") from error
        if not isinstance(entries, list) or not entries:
            raise Damaged(f"{files.where}: {MANIFEST} lists no images")
        archive = cls(files)
        for number, entry in enumerate(entries):
            await archive._enter(entry, f"{files.where}: {MANIFEST}, image {number + 1}")
        return archive

    async def _enter(self, entry: Any, where: str) -> None:
        config_name, layers = _text(entry, "Config", where), _texts(entry, "Layers", where)
        names = _texts(entry, "RepoTags", where)
        data = await whole(self._files, config_name, LARGEST_MANIFEST)
        config = Digest.of(data)
        stem = config_name.rpartition("/")[2].removesuffix(".json")
        if _HEX.fullmatch(stem) and stem != config.encoded:
            raise Damaged(
                f"{self._files.where}: {config_name} is damaged, its bytes have the digest {config}"
            )
        expected = _uncompressed(data, f"{self._files.where}: {config_name}")
        if len(expected) != len(layers):
            raise Damaged(f"{where} has {len(layers)} layers, its configuration {len(expected)}")
        self._places[config] = config_name
        parts = [await self._layer(*pair) for pair in zip(layers, expected, strict=True)]
        content = _manifest(Descriptor(OCI_CONFIG, config, len(data)), parts, where)
        self._manifests[content.digest] = content
        self.images += [Named(name, content.digest) for name in names] or [Named(None, content.digest)]

    async def _layer(self, name: str, expected: str) -> Descriptor:
        if name not in self._layers:
            self._layers[name] = await asyncio.to_thread(_hashed, self._files, name)
        found, uncompressed = self._layers[name]
        if uncompressed != expected:
            raise Damaged(
                f"{self._files.where}: the layer {name} is damaged: it should have the digest "
                f"{quoted(expected)}, and has {uncompressed}"
            )
        self._places[found.digest] = name
        return found

    async def digest(self, repository: str, reference: str) -> Digest | None:
        """See Source.digest; images of archives go by their digests."""
        return Digest.parse(reference)

    async def manifest(self, repository: str, reference: str, media_type: str | None = None) -> Content:
        """See Source.manifest: one that `read` made."""
        found = self._manifests.get(Digest.parse(reference))
        if found is None:
            raise Missing(f"{self._files.where} holds no image {reference}")
        return found

    def blob(self, repository: str, blob: Descriptor, offset: int) -> Pieces:
        """See Source.blob."""
        return pieces(self._files, self._places[blob.digest], offset)

    async def referrers(self, repository: str, digest: Digest) -> Sequence[Descriptor]:
        """There are none in this form."""
        return ()

    async def attached(self, repository: str, digest: Digest) -> Sequence[str]:
        """See Source.attached."""
        return ()


def _manifest(config: Descriptor, layers: Sequence[Descriptor], where: str) -> Content:
    """Always the same bytes for the same image, so that an import can be repeated."""
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": config.as_json(),
        "layers": [layer.as_json() for layer in layers],
    }
    data = json.dumps(document, separators=(",", ":")).encode()
    return content_of(data, None, OCI_MANIFEST, where)


def _hashed(files: Files, name: str) -> tuple[Descriptor, Digest]:
    """A layer as it lies in the archive, and the digest of what it is without compression."""
    try:
        with closing(files.open(name, 0)) as file:
            start = file.read(len(GZIP))
        with closing(files.open(name, 0)) as file:
            digest, size = _digest(file)
        if start != GZIP:
            return Descriptor(OCI_LAYER, digest, size), digest
        with closing(files.open(name, 0)) as file, gzip.GzipFile(fileobj=cast(IO[bytes], file)) as stream:
            return Descriptor(f"{OCI_LAYER}+gzip", digest, size), _digest(stream)[0]
    except (OSError, EOFError, zlib.error) as error:
        raise Damaged(f"{files.where}: the layer {name} can't be read: {error}") from error


def _digest(file: Readable) -> tuple[Digest, int]:
    """Of all that can be read, with its length."""
    seen, size = new_hash("sha256"), 0
    while piece := file.read(PIECE_BYTES):
        seen.update(piece)
        size += len(piece)
    return digest_from_hash(seen, "sha256"), size


def _uncompressed(config: bytes, where: str) -> list[str]:
    """The digests that the configuration has for its layers."""
    try:
        document = parse_object(config)
    except StrictJSONError as error:
        raise Damaged(f"{where} can't be read: {error}") from error
    found = document.get("rootfs")
    values = found.get("diff_ids") if isinstance(found, dict) else None
    try:
        return [Digest.parse(value) for value in values or ()]
    except (DigestInvalid, TypeError) as error:
        raise Damaged(f"{where} names no digests of layers") from error


def _text(entry: Any, member: str, where: str) -> str:
    value = entry.get(member) if isinstance(entry, dict) else None
    if not isinstance(value, str):
        raise Damaged(f"{where} has no {member}")
    return value


def _texts(entry: Any, member: str, where: str) -> list[str]:
    values = entry.get(member)
    if values is None:
        return []
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise Damaged(f"{where}: {member} is no list of texts")
    return values
