import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.oci.errors import ManifestInvalid
from registry.oci.manifest import Manifest, parse_manifest
from registry.oci.media_types import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    IMAGE_TYPES,
    INDEX_TYPES,
    MANIFEST_TYPES,
    NONDISTRIBUTABLE_TYPES,
    OCI_INDEX,
    OCI_MANIFEST,
    SCHEMA1_TYPES,
)
from tests.unit.oci.documents import CONFIG, DIGEST, descriptor, encode, image, index, without


def refusal(body: bytes, content_type: str | None = None) -> str:
    with pytest.raises(ManifestInvalid) as caught:
        parse_manifest(body, content_type)
    assert caught.value.message.isascii()
    return caught.value.message


def test_an_image() -> None:
    parsed = parse_manifest(encode(image(annotations={"a": "b"})), OCI_MANIFEST)
    assert parsed.media_type == OCI_MANIFEST
    assert not parsed.is_index
    assert [blob.digest for blob in parsed.blobs] == [
        DIGEST,
        *(f"sha256:{number:064x}" for number in range(3)),
    ]
    assert parsed.required_blobs == parsed.blobs
    assert parsed.children == ()
    assert parsed.subject is None
    assert parsed.artifact_type == CONFIG
    assert parsed.annotations == {"a": "b"}


def test_an_index() -> None:
    parsed = parse_manifest(encode(index()), OCI_INDEX)
    assert parsed.is_index
    assert [child.digest for child in parsed.children] == [DIGEST]
    assert parsed.blobs == parsed.required_blobs == ()
    assert parsed.artifact_type is None
    assert parsed.annotations == {}


@pytest.mark.parametrize("media_type", sorted(MANIFEST_TYPES))
@pytest.mark.parametrize("in_header", [True, False])
@pytest.mark.parametrize("in_body", [True, False])
def test_header_or_body_tell_the_type(media_type: str, in_header: bool, in_body: bool) -> None:
    document = (index if media_type in INDEX_TYPES else image)(mediaType=media_type)
    body = encode(document if in_body else without(document, "mediaType"))
    parsed = parse_manifest(body, media_type if in_header else None)
    if in_header or in_body:
        assert parsed.media_type == media_type
    else:  # the body's shape tells, and the format of today is meant
        assert parsed.media_type == (OCI_INDEX if media_type in INDEX_TYPES else OCI_MANIFEST)


@pytest.mark.parametrize(
    "content_type",
    [
        OCI_MANIFEST + "; charset=utf-8",
        OCI_MANIFEST + ";charset=utf-8;x=y",
        " " + OCI_MANIFEST + " ; ",
        OCI_MANIFEST.upper(),
        "",
        " ",
        "; charset=utf-8",
        None,
    ],
)
def test_parameters_and_case_of_the_content_type_do_not_matter(content_type: str | None) -> None:
    assert parse_manifest(encode(image()), content_type).media_type == OCI_MANIFEST


def test_the_shape_tells_the_type_where_nothing_else_does() -> None:
    config_only = without(image(), "mediaType", "layers")
    assert parse_manifest(encode(config_only), None).media_type == OCI_MANIFEST
    assert parse_manifest(encode(without(index(manifests=[]), "mediaType")), None).media_type == OCI_INDEX
    assert "config is missing" in refusal(encode(without(image(), "mediaType", "config")))
    assert "the type of the manifest is unknown" in refusal(encode({"schemaVersion": 2}))
    assert "the type of the manifest is unknown" in refusal(b"{}")


@pytest.mark.parametrize("header", sorted(MANIFEST_TYPES))
@pytest.mark.parametrize("declared", sorted(MANIFEST_TYPES))
def test_header_and_body_must_agree(header: str, declared: str) -> None:
    body = encode((index if declared in INDEX_TYPES else image)(mediaType=declared))
    if header == declared:
        assert parse_manifest(body, header).media_type == declared
    else:
        message = refusal(body, header)
        assert declared in message
        assert header in message


@pytest.mark.parametrize("media_type", sorted(MANIFEST_TYPES))
def test_a_body_that_reads_two_ways_is_refused(media_type: str) -> None:
    both = image() | index() | {"mediaType": media_type}
    assert "has no place" in refusal(encode(both), media_type)
    assert "has no place" in refusal(encode(without(both, "mediaType")))
    strangers = ("manifests",) if media_type in IMAGE_TYPES else ("config", "layers")
    for stranger in (*strangers, "fsLayers"):
        document = (image if media_type in IMAGE_TYPES else index)(mediaType=media_type)
        assert f"{stranger} has no place" in refusal(encode(document | {stranger: []}), media_type)
        assert parse_manifest(encode(document | {stranger: None}), media_type).media_type == media_type


@pytest.mark.parametrize(
    "key", ["MediaType", "mediatype", "SCHEMAVERSION", "Layers", "manifestſ", "Subject", "fslayers"]
)
def test_a_member_that_only_some_readers_recognise_is_refused(key: str) -> None:
    """Go's JSON ignores case, with Unicode's folding: the long s is an s to it."""
    assert "the manifest has the member" in refusal(encode(image() | {key: []}))


@pytest.mark.parametrize("version", [None, 1, 3, "2", 2.0, True, [2], -2, 10**50])
def test_the_schema_version_is_2(version: object) -> None:
    assert refusal(encode(image(schemaVersion=version))) == "schemaVersion must be 2"


def test_the_schema_version_must_be_there() -> None:
    assert refusal(encode(without(index(), "schemaVersion"))) == "schemaVersion must be 2"


@pytest.mark.parametrize("media_type", sorted(SCHEMA1_TYPES))
def test_schema_1_is_refused_by_name(media_type: str) -> None:
    body = encode(
        {"schemaVersion": 1, "name": "a", "tag": "b", "fsLayers": [], "history": [], "signatures": []}
    )
    assert "schema 1 is not supported" in refusal(body, media_type)
    assert "schema 1 is not supported" in refusal(encode(image(mediaType=media_type)))
    assert "schema 1 is not supported" in refusal(body), "its own bodies do not tell their type"


@pytest.mark.parametrize(
    "media_type",
    [
        "application/json",
        "application/octet-stream",
        "application/vnd.oci.artifact.manifest.v1+json",
        "application/vnd.oci.image.manifest.v2+json",
        "application/vnd.oci.image.config.v1+json",
        "*/*",
        "nonsense",
        "\udcff",
        "x" * 8000,
    ],
)
def test_unknown_types_are_refused(media_type: str) -> None:
    message = refusal(encode(without(image(), "mediaType")), media_type)
    assert "is not a supported type of manifest" in message
    assert len(message) < 600


@pytest.mark.parametrize("media_type", [7, [], {}, True, "a\nb", "ä"])
def test_a_media_type_is_a_short_plain_string(media_type: object) -> None:
    assert refusal(encode(image(mediaType=media_type)), OCI_MANIFEST).startswith("mediaType must be")


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(image(layers=[]), id="no layers"),
        pytest.param(image(layers=None), id="layers of a Go nil slice"),
        pytest.param(without(image(), "layers"), id="layers omitted"),
        pytest.param(
            image(config=descriptor(mediaType="application/vnd.oci.empty.v1+json", data="e30=")), id="data"
        ),
        pytest.param(image(config=descriptor(mediaType="application/wasm", size=0)), id="any config"),
        pytest.param(
            image(layers=[descriptor(mediaType="x"), descriptor(mediaType="x")]), id="a layer twice"
        ),
        pytest.param(image(annotations=None, subject=None, artifactType=None), id="nulls"),
        pytest.param(image(unknown={"a": [1, 2.5, None]}, foo="bar"), id="unknown members"),
        pytest.param(image(mediaType=DOCKER_MANIFEST), id="Docker"),
        pytest.param(index(manifests=[]), id="no manifests"),
        pytest.param(index(manifests=None), id="manifests of a Go nil slice"),
        pytest.param(index(mediaType=DOCKER_LIST), id="Docker list"),
        pytest.param(index(manifests=[descriptor(mediaType=OCI_INDEX)]), id="nested"),
        pytest.param(
            index(manifests=[descriptor(), descriptor(mediaType="application/vnd.buildkit.cacheconfig.v0")]),
            id="BuildKit cache of blobs",
        ),
        pytest.param(index(manifests=[descriptor(digest="sha512:" + "b" * 128)]), id="sha512"),
    ],
)
def test_accepted(document: dict[str, Any]) -> None:
    parsed = parse_manifest(encode(document), None)
    blobs = [document["config"], *(document.get("layers") or [])] if "config" in document else []
    assert [blob.digest for blob in parsed.blobs] == [blob["digest"] for blob in blobs]
    assert len(parsed.children) == len(document.get("manifests") or [])


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (image(config=None), "config is missing"),
        (image(config={}), "config.mediaType is missing"),
        (image(config=[]), "config must be an object"),
        (image(config=descriptor(size=-1)), "config.size must be"),
        (image(layers={}), "layers must be an array"),
        (image(layers="x"), "layers must be an array"),
        (image(layers=[descriptor(), descriptor(size="7")]), "layers[1].size must be"),
        (image(layers=[descriptor(), None]), "layers[1] must be an object"),
        (image(layers=[descriptor(digest="sha256:x")]), "layers[0].digest: a sha256"),
        (image(subject="sha256:" + "a" * 64), "subject must be an object"),
        (image(subject=descriptor(digest="md5:x")), "subject.digest: "),
        (image(artifactType=7), "artifactType must be"),
        (image(annotations={"a": {}}), "annotations['a'] must be a string"),
        (image(annotations="x"), "annotations must be"),
        (without(index(), "manifests"), "manifests is missing"),
        (index(manifests={}), "manifests must be an array"),
        (index(manifests=[[]]), "manifests[0] must be an object"),
        (index(manifests=[descriptor()] * 3 + [descriptor(size=2**63)]), "manifests[3].size must be"),
    ],
)
def test_refused(document: dict[str, object], message: str) -> None:
    assert refusal(encode(document)).startswith(message)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xef\xbb\xbf" + encode(image()),
        encode(image())[:-1],
        encode(image()) + b"x",
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_what_is_no_json_is_refused(body: bytes) -> None:
    assert refusal(body, OCI_MANIFEST).startswith("the manifest ")


def test_the_artifact_type_is_that_of_the_referrers_api() -> None:
    def artifact_type(document: dict[str, object]) -> str | None:
        return parse_manifest(encode(document), None).artifact_type

    assert artifact_type(image(artifactType="application/vnd.example")) == "application/vnd.example"
    assert artifact_type(image(artifactType="")) == CONFIG
    assert artifact_type(image(artifactType=None)) == CONFIG
    assert artifact_type(index(artifactType="application/vnd.example")) == "application/vnd.example"
    assert artifact_type(index(artifactType="")) is None


@pytest.mark.parametrize("make", [image, index])
def test_images_and_indexes_have_subjects(make: Callable[..., dict[str, object]]) -> None:
    subject = descriptor(mediaType=OCI_MANIFEST, digest="sha512:" + "c" * 128, size=9)
    parsed = parse_manifest(encode(make(subject=subject)), None)
    assert parsed.subject is not None
    assert parsed.subject.as_json() == subject


def test_layers_that_may_not_be_distributed_are_not_required() -> None:
    layers = [
        descriptor(mediaType=media_type, urls=["https://x"]) for media_type in sorted(NONDISTRIBUTABLE_TYPES)
    ]
    parsed = parse_manifest(encode(image(layers=[*layers, descriptor(urls=["https://x"])])), None)
    assert len(parsed.blobs) == len(layers) + 2
    assert parsed.required_blobs == (parsed.blobs[0], parsed.blobs[-1])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(DIGEST),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3)
    ),
    max_leaves=8,
)
MEMBERS = (
    "schemaVersion",
    "mediaType",
    "artifactType",
    "config",
    "layers",
    "manifests",
    "subject",
    "annotations",
)
ODD_DESCRIPTOR = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("artifactType", "annotations", "urls", "platform"), JSON)
    | {
        "mediaType": st.sampled_from(sorted(MANIFEST_TYPES)) | JSON,
        "digest": st.just(DIGEST) | JSON,
        "size": st.integers() | JSON,
    },
)
ODD_DOCUMENT = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(MEMBERS, JSON)
    | {
        "schemaVersion": st.just(2) | JSON,
        "mediaType": st.sampled_from(sorted(MANIFEST_TYPES | SCHEMA1_TYPES)) | JSON,
        "config": ODD_DESCRIPTOR | JSON,
        "layers": st.lists(ODD_DESCRIPTOR | JSON, max_size=3),
        "manifests": st.lists(ODD_DESCRIPTOR | JSON, max_size=3),
        "subject": ODD_DESCRIPTOR | JSON,
    },
)


@given(
    st.one_of(st.binary(), JSON.map(encode), ODD_DOCUMENT.map(encode)),
    st.none() | st.text() | st.sampled_from(sorted(MANIFEST_TYPES | SCHEMA1_TYPES)),
)
def test_any_bytes_are_a_manifest_or_an_error(body: bytes, content_type: str | None) -> None:
    try:
        parsed = parse_manifest(body, content_type)
    except ManifestInvalid as error:
        json.dumps(error.detail)
        return  # any other exception fails the test
    assert parsed.media_type in MANIFEST_TYPES
    assert json.loads(body)["schemaVersion"] == 2


DESCRIPTOR = st.fixed_dictionaries(
    {
        "mediaType": st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=20),
        "digest": st.integers(0, 2**256 - 1).map("sha256:{:064x}".format),
        "size": st.integers(0, 2**63 - 1),
    },
    optional={
        "annotations": st.dictionaries(st.text(max_size=8), st.text(max_size=8), min_size=1, max_size=3),
        "artifactType": st.sampled_from(["application/vnd.example", "x"]),
        "urls": st.lists(st.text(max_size=8), min_size=1, max_size=2),
        "platform": st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=3),
    },
)


@given(
    st.sampled_from(sorted(MANIFEST_TYPES)),
    DESCRIPTOR,
    st.lists(DESCRIPTOR, max_size=4),
    st.none() | DESCRIPTOR,
    st.dictionaries(st.text(), st.text(), max_size=3),
)
def test_what_goes_in_comes_out(
    media_type: str,
    config: dict[str, object],
    listed: list[dict[str, object]],
    subject: dict[str, object] | None,
    annotations: dict[str, str],
) -> None:
    content = {"manifests": listed} if media_type in INDEX_TYPES else {"config": config, "layers": listed}
    common = {"schemaVersion": 2, "mediaType": media_type, "subject": subject, "annotations": annotations}
    parsed = parse_manifest(encode(common | content), media_type)

    assert isinstance(parsed, Manifest)
    entries = [json.loads(json.dumps(entry.as_json())) for entry in parsed.blobs + parsed.children]
    assert entries == (listed if media_type in INDEX_TYPES else [config, *listed])
    assert (parsed.subject.as_json() if parsed.subject else None) == (
        None if subject is None else subject | ({"urls": tuple(subject["urls"])} if "urls" in subject else {})  # type: ignore[arg-type]
    )
    assert parsed.annotations == annotations


def test_100_000_descriptors_take_bounded_time() -> None:
    listed = [descriptor(digest=f"sha256:{number:064x}", size=number) for number in range(100_000)]
    body = encode(index(manifests=listed))
    started = time.thread_time()
    parsed = parse_manifest(body, OCI_INDEX)
    assert time.thread_time() - started < 8
    assert len(parsed.children) == 100_000
    assert parsed.children[99_999].size == 99_999
