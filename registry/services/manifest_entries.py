"""Entering a manifest with its edges, in the transaction of whoever does it: a push, or an adoption."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from registry.index import Connection, manifests, missing
from registry.oci.descriptor import Descriptor
from registry.oci.digest import Digest
from registry.oci.errors import ManifestBlobsUnknown, ManifestInvalid
from registry.oci.manifest import Manifest


@dataclass(frozen=True, slots=True)
class NewManifest:
    """A manifest that was read and compared with its digest, as it will stand in the index. `pushed_at` is in
    seconds since the epoch."""

    digest: Digest
    body: bytes
    manifest: Manifest
    pushed_by: str | None
    pushed_at: float


def enter(
    connection: Connection, repository_id: int, new: NewManifest, *, sparse: bool
) -> tuple[int, tuple[Digest, ...]]:
    """Enter a manifest; its id and, of a sparse one, the digests that it cites and that are not here.

    Raises ManifestInvalid for a size that is not the content's, and ManifestBlobsUnknown with all that is
    missing, unless that is allowed.
    """
    manifest = new.manifest
    blob_ids, sizes = _held(connection, repository_id, manifest)
    _check_sizes((*manifest.blobs, *manifest.children), sizes)
    needed = dict.fromkeys(one.digest for one in (*manifest.required_blobs, *manifest.children))
    lacking = tuple(digest for digest in needed if digest not in sizes)
    if lacking and not sparse:
        raise ManifestBlobsUnknown(lacking)
    manifest_id = manifests.record(
        connection,
        {
            "repository_id": repository_id,
            "digest": new.digest,
            "media_type": manifest.media_type,
            "artifact_type": manifest.artifact_type,
            "size": len(new.body),
            "body": new.body,
            "subject": None if manifest.subject is None else manifest.subject.digest,
            "annotations": json.dumps(manifest.annotations) if manifest.annotations else None,
            "pushed_by": new.pushed_by,
            "pushed_at": new.pushed_at,
        },
    )
    children = [child.digest for child in manifest.children]
    manifests.record_edges(connection, manifest_id, repository_id, blob_ids, children)
    missing.record(connection, manifest_id, repository_id, _cited(manifest) - sizes.keys())
    return manifest_id, lacking


def complete(connection: Connection, manifest_id: int, repository_id: int, manifest: Manifest) -> None:
    """Note for a manifest that the version before entered what it cites and was not there then."""
    if not missing.complete(connection, manifest_id):
        return
    blob_ids, sizes = _held(connection, repository_id, manifest)
    manifests.record_edges(connection, manifest_id, repository_id, blob_ids, ())
    missing.record(connection, manifest_id, repository_id, _cited(manifest) - sizes.keys())


def _cited(manifest: Manifest) -> set[Digest]:
    return {descriptor.digest for descriptor in (*manifest.blobs, *manifest.children)}


def _held(
    connection: Connection, repository_id: int, manifest: Manifest
) -> tuple[Sequence[int], Mapping[str, int]]:
    """Of what a manifest cites: the ids of the blobs that its repository holds, and the sizes of all content.

    A layer that may not be distributed counts when it is there. A child of an index is a manifest or,
    in BuildKit's cache indexes, a blob.
    """
    held = manifests.sizes_of_manifests(
        connection, repository_id, {child.digest for child in manifest.children}
    )
    found = manifests.sizes_of_blobs(connection, repository_id, _cited(manifest) - held.keys())
    sizes = held | {digest: size for digest, (_, size) in found.items()}
    return [blob_id for blob_id, _ in found.values()], sizes


def _check_sizes(descriptors: Iterable[Descriptor], sizes: Mapping[str, int]) -> None:
    """Raise ManifestInvalid for a descriptor whose size is not the content's."""
    for descriptor in descriptors:
        size = sizes.get(descriptor.digest)
        if size is not None and size != descriptor.size:
            raise ManifestInvalid(
                f"the manifest says that {descriptor.digest} has {descriptor.size} bytes; it has {size}"
            )
