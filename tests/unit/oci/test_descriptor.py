import json

import pytest

from registry.oci.descriptor import Descriptor, parse_descriptor
from registry.oci.digest import Digest
from registry.oci.errors import ManifestInvalid
from tests.unit.oci.documents import DIGEST, LAYER, descriptor, without


def test_every_member_is_read() -> None:
    value = descriptor(
        artifactType="application/vnd.example",
        annotations={"org.example": "yes"},
        urls=["https://example.org/layer"],
        platform={"os": "linux", "architecture": "arm", "variant": "v7", "os.features": ["x"]},
        data="e30=",
        unknown=[1, 2],
    )
    parsed = parse_descriptor(value, "subject")
    assert parsed == Descriptor(
        media_type=LAYER,
        digest=Digest.parse(DIGEST),
        size=7,
        artifact_type="application/vnd.example",
        annotations={"org.example": "yes"},
        urls=("https://example.org/layer",),
        platform={"os": "linux", "architecture": "arm", "variant": "v7", "os.features": ["x"]},
    )
    assert isinstance(parsed.digest, Digest)
    assert json.loads(json.dumps(parsed.as_json())) == without(value, "data", "unknown")


def test_absent_and_null_members_are_alike() -> None:
    bare = parse_descriptor(descriptor(), "config")
    nulls = dict.fromkeys(("artifactType", "annotations", "urls", "platform", "data"))
    assert parse_descriptor(descriptor(**nulls), "config") == bare
    assert (
        parse_descriptor(descriptor(artifactType="", annotations={}, urls=[]), "config").as_json()
        == bare.as_json()
    )
    assert bare.as_json() == {"mediaType": LAYER, "digest": DIGEST, "size": 7}


@pytest.mark.parametrize("size", [0, 1, 2**53, 2**63 - 1])
def test_sizes(size: int) -> None:
    assert parse_descriptor(descriptor(size=size), "config").size == size


@pytest.mark.parametrize(
    "media_type", ["x", "text/html; charset=utf-8", "not a type at all", "a/" + "b" * 253]
)
def test_unknown_media_types_are_welcome(media_type: str) -> None:
    assert parse_descriptor(descriptor(mediaType=media_type), "config").media_type == media_type


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "layers[3] must be an object"),
        ("sha256:" + "a" * 64, "layers[3] must be an object"),
        ([], "layers[3] must be an object"),
        ({}, "layers[3].mediaType is missing"),
        (descriptor(mediaType=None), "layers[3].mediaType is missing"),
        (descriptor(mediaType=""), "layers[3].mediaType is missing"),
        (descriptor(mediaType=7), "layers[3].mediaType must be"),
        (descriptor(mediaType="a/b\r\nX: y"), "layers[3].mediaType must be"),
        (descriptor(mediaType="a/b\0"), "layers[3].mediaType must be"),
        (descriptor(mediaType="ä"), "layers[3].mediaType must be"),
        (descriptor(mediaType="a" * 256), "layers[3].mediaType must be"),
        (descriptor(artifactType=["x"]), "layers[3].artifactType must be"),
        (without(descriptor(), "digest"), "layers[3].digest must be a string"),
        (descriptor(digest=7), "layers[3].digest must be a string"),
        (descriptor(digest=""), "layers[3].digest: '' is not a digest"),
        (descriptor(digest="sha256:abc"), "layers[3].digest: a sha256 digest has 64"),
        (descriptor(digest="sha256:" + "A" * 64), "in lower case"),
        (descriptor(digest="md5:" + "a" * 32), "'md5' is not supported"),
        (without(descriptor(), "size"), "layers[3].size must be"),
        (descriptor(size=None), "layers[3].size must be"),
        (descriptor(size=-1), "layers[3].size must be"),
        (descriptor(size="7"), "layers[3].size must be"),
        (descriptor(size=7.0), "layers[3].size must be"),
        (descriptor(size=True), "layers[3].size must be"),
        (descriptor(size=[7]), "layers[3].size must be"),
        (descriptor(size=2**63), "layers[3].size must be"),
        (descriptor(annotations=[]), "layers[3].annotations must be"),
        (descriptor(annotations={"a": 1}), "layers[3].annotations['a'] must be a string"),
        (descriptor(annotations={"a": None}), "layers[3].annotations['a'] must be a string"),
        (descriptor(urls="https://example.org"), "layers[3].urls must be"),
        (descriptor(urls=[1]), "layers[3].urls must be"),
        (descriptor(platform="linux/amd64"), "layers[3].platform must be"),
    ],
)
def test_the_message_names_the_path(value: object, message: str) -> None:
    with pytest.raises(ManifestInvalid) as caught:
        parse_descriptor(value, "layers[3]")
    assert message in caught.value.message
