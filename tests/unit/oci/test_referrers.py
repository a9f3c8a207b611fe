import json

from registry.oci.descriptor import Descriptor
from registry.oci.digest import Digest
from registry.oci.manifest import parse_manifest
from registry.oci.media_types import OCI_INDEX, OCI_MANIFEST
from registry.oci.referrers import referrers_index


def test_no_referrers_are_an_empty_list() -> None:
    assert referrers_index([]) == (
        b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}'
    )


def test_the_descriptors_keep_their_order_and_are_a_valid_index() -> None:
    descriptors = [
        Descriptor(
            media_type=OCI_MANIFEST,
            digest=Digest.of(str(number).encode()),
            size=number,
            artifact_type="application/vnd.example" if number % 2 else None,
            annotations={"schlüssel": 'wert "€" \0'} if number % 3 else None,
        )
        for number in range(10)
    ]
    body = referrers_index(iter(descriptors))
    assert parse_manifest(body, OCI_INDEX).children == tuple(descriptors)
    assert "artifactType" not in json.loads(body)["manifests"][0]
    assert "annotations" not in json.loads(body)["manifests"][0]
