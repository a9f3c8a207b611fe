import pytest

from registry.oci.manifest import Manifest, parse_manifest
from registry.oci.media_types import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, SCHEMA1_TYPES
from registry.oci.negotiation import platform_child
from tests.unit.oci.documents import descriptor, encode, image, index

AMD64 = descriptor(
    mediaType=DOCKER_MANIFEST, digest="sha256:" + "1" * 64, platform={"os": "linux", "architecture": "amd64"}
)
OTHERS = [
    descriptor(mediaType=DOCKER_MANIFEST),
    descriptor(mediaType=DOCKER_MANIFEST, platform={"os": "linux", "architecture": "arm64"}),
    descriptor(mediaType=DOCKER_MANIFEST, platform={"os": "windows", "architecture": "amd64"}),
    descriptor(mediaType=OCI_MANIFEST, platform={"os": "unknown", "architecture": "unknown"}),
    descriptor(mediaType=OCI_MANIFEST, platform={"os": ["linux"], "architecture": {"amd64": 1}}),
    descriptor(mediaType=OCI_INDEX, platform={"os": "linux", "architecture": "amd64"}),
    descriptor(platform={"os": "linux", "architecture": "amd64"}),
]


def stored(*children: object, media_type: str = DOCKER_LIST) -> Manifest:
    return parse_manifest(encode(index(mediaType=media_type, manifests=list(children))), None)


@pytest.mark.parametrize(
    "accept",
    [
        [DOCKER_MANIFEST],
        [OCI_MANIFEST],
        [f"{DOCKER_MANIFEST}, {OCI_MANIFEST}"],
        [DOCKER_MANIFEST, OCI_MANIFEST],
        [f"{DOCKER_MANIFEST.upper()};q=0.9 ,, "],
        [", ".join([DOCKER_MANIFEST, *sorted(SCHEMA1_TYPES)])],
        [DOCKER_MANIFEST, f"{DOCKER_LIST};q=0", "*/*; q=0.000"],
    ],
)
@pytest.mark.parametrize("media_type", [DOCKER_LIST, OCI_INDEX])
def test_a_client_without_indexes_gets_the_image(accept: list[str], media_type: str) -> None:
    child = platform_child(stored(*OTHERS, AMD64, media_type=media_type), accept)
    assert child is not None
    assert child.digest == AMD64["digest"]


@pytest.mark.parametrize(
    "accept",
    [
        [],
        [""],
        [" , "],
        ["*/*"],
        [DOCKER_MANIFEST, "*/*"],
        [f"{DOCKER_MANIFEST}, */*;q=0.1"],
        [DOCKER_MANIFEST, "application/*"],
        [DOCKER_MANIFEST, DOCKER_LIST],
        [f"{DOCKER_MANIFEST}, {OCI_INDEX}"],
        [f"{DOCKER_MANIFEST}, {DOCKER_LIST};q=0.001"],
        [DOCKER_MANIFEST, "application/json"],
        ["text/html"],
    ],
)
def test_everybody_else_gets_what_is_stored(accept: list[str]) -> None:
    assert platform_child(stored(*OTHERS, AMD64), accept) is None


def test_what_is_stored_is_all_there_is() -> None:
    assert platform_child(stored(*OTHERS), [DOCKER_MANIFEST]) is None
    assert platform_child(stored(), [DOCKER_MANIFEST]) is None
    assert platform_child(parse_manifest(encode(image()), None), [DOCKER_MANIFEST]) is None
