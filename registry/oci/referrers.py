"""The answer of the referrers API (distribution-spec, "Listing Referrers")."""

import json
from collections.abc import Iterable

from registry.oci.descriptor import Descriptor
from registry.oci.media_types import OCI_INDEX


def referrers_index(descriptors: Iterable[Descriptor]) -> bytes:
    """An image index of `descriptors`, in their order, as compact JSON."""
    index = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [descriptor.as_json() for descriptor in descriptors],
    }
    return json.dumps(index, separators=(",", ":"), allow_nan=False).encode("ascii")
