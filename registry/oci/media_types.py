"""The media types that mean something to the registry. Any other type of blob is as welcome."""

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"

IMAGE_TYPES = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
"""Manifests of blobs: a config and layers."""

INDEX_TYPES = frozenset({OCI_INDEX, DOCKER_LIST})
"""Manifests of manifests."""

MANIFEST_TYPES = IMAGE_TYPES | INDEX_TYPES
"""All that can be pushed as a manifest."""

SCHEMA1_TYPES = frozenset(
    {
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    }
)
"""Docker's first image format, which the engines themselves have dropped."""

NONDISTRIBUTABLE_TYPES = frozenset(
    {
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
        "application/vnd.docker.image.rootfs.foreign.diff.tar",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    }
)
"""Layers that clients may leave out of a push, because their licence forbids to pass them on."""
