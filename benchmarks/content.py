"""What is pushed and pulled: random blobs, image manifests, and large bodies that are cheap to send."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from benchmarks.client import Connection

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
ACCEPT = (
    "application/vnd.docker.distribution.manifest.v2+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, */*"
)
"""The line that containerd sends."""

CHUNK_BYTES = 32 * 1024
"""The chunks of a chunked body: the buffer of Go's io.Copy, so what docker sends."""


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass(frozen=True)
class Blob:
    """A small blob, in memory."""

    data: bytes

    @cached_property
    def digest(self) -> str:
        return digest_of(self.data)


def random_blob(size: int) -> Blob:
    """A blob of `size` bytes that no server has seen."""
    return Blob(os.urandom(size))


def image_manifest(config: Blob, layers: Sequence[Blob]) -> bytes:
    """An OCI image manifest of these blobs."""

    def descriptor(media_type: str, blob: Blob) -> dict[str, object]:
        return {"mediaType": media_type, "digest": blob.digest, "size": len(blob.data)}

    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": descriptor(CONFIG_TYPE, config),
        "layers": [descriptor(LAYER_TYPE, layer) for layer in layers],
    }
    return json.dumps(manifest, separators=(",", ":")).encode("ascii")


class LargeContent:
    """`size` random bytes, of which the last 32 differ each time: a new digest without hashing all again.

    The bytes lie in anonymous memory and go out by sendfile, so that a push costs its client next to nothing.
    `chunked` frames them for `Transfer-Encoding: chunked`.
    """

    TAIL_BYTES = 32

    def __init__(self, size: int, *, chunked: bool = False) -> None:
        self.size = size
        self.chunked = chunked
        self._prefix_hash = hashlib.sha256()
        self._file = os.memfd_create("benchmark")
        with os.fdopen(os.dup(self._file), "wb") as file:
            remaining = size - self.TAIL_BYTES
            while remaining:
                piece = os.urandom(min(remaining, CHUNK_BYTES))
                remaining -= len(piece)
                self._prefix_hash.update(piece)
                file.write(_chunk(piece) if chunked else piece)
            self._sent_bytes = file.tell()

    def close(self) -> None:
        os.close(self._file)

    def new_tail(self) -> tuple[bytes, str]:
        """The last bytes of the next body, and the digest of the whole."""
        tail = os.urandom(self.TAIL_BYTES)
        whole = self._prefix_hash.copy()
        whole.update(tail)
        return tail, f"sha256:{whole.hexdigest()}"

    @property
    def framing(self) -> dict[str, str]:
        """The header that says where the body ends."""
        return {"Transfer-Encoding": "chunked"} if self.chunked else {"Content-Length": str(self.size)}

    def send(self, connection: Connection, tail: bytes) -> None:
        """Send the body."""
        connected = connection.socket().fileno()
        offset = 0
        while offset < self._sent_bytes:
            offset += os.sendfile(connected, self._file, offset, self._sent_bytes - offset)
        connection.send(_chunk(tail) + b"0\r\n\r\n" if self.chunked else tail)

    def write(self, path: Path, tail: bytes) -> None:
        """Write the body to a file, as it is without chunks."""
        with path.open("wb") as file:
            offset = 0
            while offset < self._sent_bytes:
                offset += os.sendfile(file.fileno(), self._file, offset, self._sent_bytes - offset)
            file.write(tail)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
