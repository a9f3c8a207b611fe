"""Descriptors: how one piece of content points to another (image-spec descriptor.md).

A member that is null counts as absent, as Go's JSON packages, which wrote most manifests, have it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from registry.oci.digest import Digest
from registry.oci.errors import DigestInvalid, ManifestInvalid
from registry.oci.quoting import quoted

SIZE_LIMIT = 2**63 - 1
"""Bytes; what a signed 64-bit integer holds, in SQL as in Go."""

# RFC 6838 section 4.2 in spirit: any value is welcome, but it travels in header fields and index columns.
_MEDIA_TYPE = re.compile(r"[ -~]{1,255}")


@dataclass(frozen=True, slots=True)
class Descriptor:
    """`size` in bytes. `platform` is the object as sent; its members are whatever the client put there."""

    media_type: str
    digest: Digest
    size: int
    artifact_type: str | None = None
    annotations: Mapping[str, str] | None = None
    urls: tuple[str, ...] = ()
    platform: Mapping[str, object] | None = None

    def as_json(self) -> dict[str, object]:
        """The descriptor as a JSON object, without the members it does not have."""
        members: dict[str, object] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        if self.artifact_type is not None:
            members["artifactType"] = self.artifact_type
        if self.annotations:
            members["annotations"] = self.annotations
        if self.urls:
            members["urls"] = self.urls
        if self.platform is not None:
            members["platform"] = self.platform
        return members


def parse_descriptor(value: object, path: str) -> Descriptor:
    """Read the descriptor found at `path` of a manifest, e.g. `layers[3]`.

    Raises ManifestInvalid, naming the path of the member that is wrong. Unknown members pass.
    """
    if not isinstance(value, dict):
        raise ManifestInvalid(f"{path} must be an object: a descriptor")
    media_type = parse_media_type(value.get("mediaType"), f"{path}.mediaType")
    if media_type is None:
        raise ManifestInvalid(f"{path}.mediaType is missing")
    return Descriptor(
        media_type=media_type,
        digest=_digest(value.get("digest"), path),
        size=_size(value.get("size"), path),
        artifact_type=parse_media_type(value.get("artifactType"), f"{path}.artifactType"),
        annotations=parse_annotations(value.get("annotations"), f"{path}.annotations"),
        urls=_urls(value.get("urls"), path),
        platform=_platform(value.get("platform"), path),
    )


def parse_media_type(value: object, path: str) -> str | None:
    """A media type; None if absent, null or empty. Raises ManifestInvalid."""
    if value is None or value == "":
        return None
    if not isinstance(value, str) or _MEDIA_TYPE.fullmatch(value) is None:
        raise ManifestInvalid(f"{path} must be a string of at most 255 printable ASCII characters")
    return value


def parse_annotations(value: object, path: str) -> Mapping[str, str] | None:
    """A map from strings to strings; None if absent or null. Raises ManifestInvalid."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise ManifestInvalid(f"{path} must be an object of strings")
    for key, text in value.items():
        if not isinstance(text, str):
            raise ManifestInvalid(f"{path}[{quoted(key)}] must be a string")
    return value


def _digest(value: object, path: str) -> Digest:
    if not isinstance(value, str):
        raise ManifestInvalid(f"{path}.digest must be a string such as sha256:<64 hexadecimal digits>")
    try:
        return Digest.parse(value)
    except DigestInvalid as error:
        raise ManifestInvalid(f"{path}.digest: {error.message}") from error


def _size(value: object, path: str) -> int:
    # bool is an int to Python; true is no size.
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= SIZE_LIMIT:
        raise ManifestInvalid(f"{path}.size must be a number of bytes: an integer from 0 to {SIZE_LIMIT}")
    return value


def _urls(value: object, path: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(url, str) for url in value):
        raise ManifestInvalid(f"{path}.urls must be an array of strings")
    return tuple(value)


def _platform(value: object, path: str) -> Mapping[str, object] | None:
    if value is not None and not isinstance(value, dict):
        raise ManifestInvalid(f"{path}.platform must be an object")
    return value
