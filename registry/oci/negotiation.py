"""What a client that knows no indexes gets when it pulls one by tag (RFC 9110 section 12.5.1).

Only such old clients are served anything but the stored bytes, and nobody is ever answered 406.
"""

import re
from collections.abc import Iterator, Sequence

from registry.oci.descriptor import Descriptor
from registry.oci.manifest import Manifest
from registry.oci.media_types import IMAGE_TYPES, SCHEMA1_TYPES

_REFUSAL = re.compile(r"\s*q\s*=\s*0(?:\.0{0,3})?\s*", re.IGNORECASE)


def platform_child(manifest: Manifest, accept: Sequence[str]) -> Descriptor | None:
    """The linux/amd64 image of an index, for a client whose `accept` lines list image types only.

    None if the stored bytes are right: they are no index, the client takes anything (no Accept at all, or
    a wildcard), it lists a type other than an image's, or the index has no such image. For pulls by tag.
    """
    if not manifest.is_index:
        return None
    accepted = set(_accepted_types(accept))
    if not accepted or not accepted <= IMAGE_TYPES | SCHEMA1_TYPES:
        return None
    return next((child for child in manifest.children if _is_linux_amd64_image(child)), None)


def _accepted_types(accept: Sequence[str]) -> Iterator[str]:
    for line in accept:
        for element in line.split(","):
            media_type, *parameters = element.split(";")
            if media_type.strip() and not any(map(_REFUSAL.fullmatch, parameters)):
                yield media_type.strip().lower()


def _is_linux_amd64_image(child: Descriptor) -> bool:
    platform = child.platform or {}
    return (
        child.media_type in IMAGE_TYPES
        and platform.get("os") == "linux"
        and platform.get("architecture") == "amd64"
    )
