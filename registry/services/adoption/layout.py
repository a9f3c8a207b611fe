"""Where `distribution` (docker-registry 2 and 3) keeps what: paths below the root of its storage driver.

    docker/registry/v2/blobs/sha256/ab/abcd.../data                          bytes of blobs and of manifests
    docker/registry/v2/repositories/<name>/_layers/sha256/<hex>/link         this repository may read the blob
    .../<name>/_manifests/revisions/sha256/<hex>/link                        it has this manifest
    .../<name>/_manifests/tags/<tag>/current/link                            the digest that the tag points to
    .../<name>/_uploads/...                                                  what has not ended: passed by

Source: distribution, registry/storage/paths.go. A link is a file that holds a digest; deleting takes it away.
"""

import re
from typing import NamedTuple

from registry.oci.digest import ALGORITHMS, Digest

ROOT = "docker/registry/v2"
REPOSITORIES = f"{ROOT}/repositories"

_DIGEST = "|".join(f"{name}/[0-9a-f]{{{length}}}" for name, length in ALGORITHMS.items())
_LAYER = re.compile(f"_layers/({_DIGEST})/link")
_REVISION = re.compile(f"_manifests/revisions/({_DIGEST})/link")
_TAG = re.compile("_manifests/tags/([^/]+)/current/link")


class Layer(NamedTuple):
    """The repository may read this blob."""

    digest: Digest


class Revision(NamedTuple):
    """The repository has this manifest."""

    digest: Digest


class TagLink(NamedTuple):
    """The repository has a tag of this name, which nobody has checked."""

    name: str


Link = Layer | Revision | TagLink


def blob_location(digest: Digest) -> str:
    """Where the bytes of a blob or of a manifest are."""
    return f"{ROOT}/blobs/{digest.algorithm}/{digest.encoded[:2]}/{digest.encoded}/data"


def tag_location(repository: str, tag: str) -> str:
    """The file that holds the digest which a tag points to."""
    return f"{REPOSITORIES}/{repository}/_manifests/tags/{tag}/current/link"


def split(location: str) -> tuple[str, str]:
    """The repository that a file belongs to, whose name nobody has checked, and its path in there."""
    name, _, inside = location.removeprefix(f"{REPOSITORIES}/").partition("/_")
    return name, f"_{inside}"


def read_link(inside: str) -> Link | None:
    """What a file says by its path below its repository; None for those that don't matter."""
    if found := _LAYER.fullmatch(inside):
        return Layer(Digest(found[1].replace("/", ":")))
    if found := _REVISION.fullmatch(inside):
        return Revision(Digest(found[1].replace("/", ":")))
    if found := _TAG.fullmatch(inside):
        return TagLink(found[1])
    return None
