"""Manifests: what is read out of the bytes that a client pushes (image-spec manifest.md, image-index.md).

The bytes themselves are never rewritten; whoever calls keeps them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from registry.oci.descriptor import Descriptor, parse_annotations, parse_descriptor, parse_media_type
from registry.oci.errors import ManifestInvalid
from registry.oci.media_types import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    NONDISTRIBUTABLE_TYPES,
    OCI_INDEX,
    OCI_MANIFEST,
    SCHEMA1_TYPES,
)
from registry.oci.quoting import quoted
from registry.oci.strict_json import StrictJSONError, parse_object

_KNOWN_MEMBERS = (
    "schemaVersion",
    "mediaType",
    "artifactType",
    "config",
    "layers",
    "manifests",
    "subject",
    "annotations",
    "fsLayers",
)
_SCHEMA1 = "Docker image manifest schema 1 is not supported; push the image again with a current engine"
_MEMBER_BY_FOLDED = {member.casefold(): member for member in _KNOWN_MEMBERS}


@dataclass(frozen=True, slots=True)
class Manifest:
    """A valid manifest or index.

    `artifact_type` is what the referrers API reports: the manifest's own, else the type of an image's
    config; None for an index without one. `blobs` are the config and the layers, in order; `children` the
    entries of an index, which may be manifests or (BuildKit's caches) blobs.
    """

    media_type: str
    artifact_type: str | None
    subject: Descriptor | None
    blobs: tuple[Descriptor, ...]
    children: tuple[Descriptor, ...]
    annotations: Mapping[str, str]

    @property
    def is_index(self) -> bool:
        """Whether it lists manifests rather than blobs."""
        return self.media_type in INDEX_TYPES

    @property
    def required_blobs(self) -> tuple[Descriptor, ...]:
        """The blobs that must be there before the manifest: all but layers that may not be distributed."""
        return tuple(blob for blob in self.blobs if blob.media_type not in NONDISTRIBUTABLE_TYPES)


def parse_manifest(body: bytes, content_type: str | None) -> Manifest:
    """Read `body`, pushed with the header `Content-Type: content_type`. Raises ManifestInvalid.

    Parameters of the content type don't matter; without one the body tells its own type.
    """
    try:
        document = parse_object(body)
    except StrictJSONError as error:
        raise ManifestInvalid(f"the manifest can't be read: {error}") from error
    _check_spelling(document)
    media_type = _media_type(document, content_type)
    version = document.get("schemaVersion")
    if version != 2 or type(version) is not int:
        raise ManifestInvalid("schemaVersion must be 2")
    subject = document.get("subject")
    artifact_type = parse_media_type(document.get("artifactType"), "artifactType")
    blobs: tuple[Descriptor, ...] = ()
    children: tuple[Descriptor, ...] = ()
    if media_type in INDEX_TYPES:
        _check_unambiguous(document, media_type, ("config", "layers", "fsLayers"))
        if "manifests" not in document:
            raise ManifestInvalid("manifests is missing: an index must have it, even if it is empty")
        children = _descriptors(document, "manifests")
    else:
        _check_unambiguous(document, media_type, ("manifests", "fsLayers"))
        if document.get("config") is None:
            raise ManifestInvalid("config is missing: an image manifest must have one")
        config = parse_descriptor(document["config"], "config")
        artifact_type = artifact_type or config.media_type
        blobs = (config, *_descriptors(document, "layers"))
    return Manifest(
        media_type=media_type,
        artifact_type=artifact_type,
        subject=None if subject is None else parse_descriptor(subject, "subject"),
        blobs=blobs,
        children=children,
        annotations=parse_annotations(document.get("annotations"), "annotations") or {},
    )


def _media_type(document: Mapping[str, Any], content_type: str | None) -> str:
    """The one type that header and body agree on."""
    sent = (content_type or "").partition(";")[0].strip().lower()
    declared = parse_media_type(document.get("mediaType"), "mediaType")
    if sent and declared and sent != declared:
        raise ManifestInvalid(
            f"mediaType is {quoted(declared)}, but the manifest was sent with Content-Type {quoted(sent)}"
        )
    media_type = sent or declared or _guess(document)
    if media_type in SCHEMA1_TYPES:
        raise ManifestInvalid(_SCHEMA1)
    if media_type not in MANIFEST_TYPES:
        raise ManifestInvalid(
            f"{quoted(media_type)} is not a supported type of manifest; use one of "
            + ", ".join(sorted(MANIFEST_TYPES))
        )
    return media_type


def _guess(document: Mapping[str, Any]) -> str:
    if document.get("schemaVersion") == 1:
        raise ManifestInvalid(_SCHEMA1)
    if document.get("manifests") is not None:
        return OCI_INDEX
    if document.get("config") is not None or document.get("layers") is not None:
        return OCI_MANIFEST
    raise ManifestInvalid("the type of the manifest is unknown: neither Content-Type nor mediaType tells it")


def _check_spelling(document: Mapping[str, Any]) -> None:
    """Refuse `MediaType` for `mediaType`: Go's JSON takes one for the other, most others do not."""
    for key in document:
        member = _MEMBER_BY_FOLDED.get(key.casefold(), key)
        if member != key:
            raise ManifestInvalid(f"the manifest has the member {quoted(key)}; write {member}")


def _check_unambiguous(document: Mapping[str, Any], media_type: str, strangers: tuple[str, ...]) -> None:
    """Refuse a document that another reader could take for a manifest of another kind (CVE-2021-41190)."""
    for member in strangers:
        if document.get(member) is not None:
            raise ManifestInvalid(f"{member} has no place in a manifest of the type {media_type}")


def _descriptors(document: Mapping[str, Any], member: str) -> tuple[Descriptor, ...]:
    values = document.get(member)
    if values is None:
        return ()
    if not isinstance(values, list):
        raise ManifestInvalid(f"{member} must be an array of descriptors")
    return tuple(parse_descriptor(value, f"{member}[{index}]") for index, value in enumerate(values))
