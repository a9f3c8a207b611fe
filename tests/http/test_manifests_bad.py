"""PUT of what is no manifest, or of one that two readers could read differently (HARDENING 4, PROTOCOL 5)."""

import json
from typing import Any

from registry.oci.media_types import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from tests.http.client import Client
from tests.http.content import (
    EMPTY_CONFIG,
    REPOSITORY,
    descriptor,
    digest_of,
    image,
    index,
    push_blob,
    push_image,
    push_manifest,
    without,
)

MANIFESTS = f"/v2/{REPOSITORY}/manifests"
DEEP = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
GOOD = image()
BAD_MANIFESTS: dict[str, bytes] = {
    "empty": b"",
    "no JSON": b"hello",
    "truncated": GOOD[:-1],
    "trailing": GOOD + b"{}",
    "an array": b"[" + GOOD + b"]",
    "a string": b'"x"',
    "bad UTF-8": GOOD[:-1] + b', "a": "\xff"}',
    "UTF-16": GOOD.decode().encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf" + GOOD,
    "deep": DEEP,
    "deep arrays": GOOD[:-1] + b', "a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "5,000 digits": GOOD[:-1] + b', "a": ' + b"9" * 5000 + b"}",
    "duplicate keys": GOOD[:-1] + b', "config": {}}',
    "nested duplicate keys": GOOD[:-1] + b', "a": {"b": 1, "b": 1}}',
    "NaN": GOOD[:-1] + b', "a": NaN}',
    "Infinity": GOOD[:-1] + b', "a": -Infinity}',
    "1e999": GOOD[:-1] + b', "a": 1e999}',
    "lone surrogate": GOOD[:-1] + b', "a": "\\ud800"}',
    "NUL": GOOD + b"\0",
    "schemaVersion 1": image(schemaVersion=1),
    "schemaVersion '2'": image(schemaVersion="2"),
    "schemaVersion 2.0": GOOD.replace(b'"schemaVersion": 2', b'"schemaVersion": 2.0'),
    "schemaVersion true": image(schemaVersion=True),
    "no schemaVersion": image(schemaVersion=None),
    "other mediaType": image(mediaType=DOCKER_MANIFEST),
    "mediaType 1": image(mediaType=1),
    "no config": without(GOOD, "config"),
    "manifests too": image(manifests=[]),
    "fsLayers too": image(fsLayers=[]),
    "MediaType": GOOD[:-1] + b', "MediaType": "' + OCI_INDEX.encode() + b'"}',
    "layers an object": image()[:-1].replace(b'"layers": []', b'"layers": {}') + b"}",
    "layer a string": GOOD.replace(b'"layers": []', b'"layers": ["x"]'),
    "layer null": GOOD.replace(b'"layers": []', b'"layers": [null]'),
    "config a list": GOOD.replace(b'"config": {', b'"config": [{').replace(b"}, ", b"}], ", 1),
    "annotations a list": image(annotations=[]),
    "annotation a number": image(annotations={"a": 1}),
    "subject a string": image(subject="sha256:0"),
    "subject without digest": image(subject={"mediaType": "a/b", "size": 1}),
    "artifactType a list": image(artifactType=[]),
}


def with_config(**members: Any) -> bytes:
    return image().replace(
        json.dumps(descriptor(EMPTY_CONFIG, "application/vnd.oci.image.config.v1+json")).encode(),
        json.dumps({**descriptor(EMPTY_CONFIG, "a/b"), **members}).encode(),
    )


BAD_MANIFESTS |= {
    "size -1": with_config(size=-1),
    "size a string": with_config(size="2"),
    "size not the blob's": with_config(size=3),
    "size 2.0": with_config(size=2.0),
    "size true": with_config(size=True),
    "size 2^63": with_config(size=2**63),
    "size null": with_config(size=None),
    "digest a number": with_config(digest=1),
    "digest short": with_config(digest="sha256:abc"),
    "digest upper case": with_config(digest=f"sha256:{64 * 'A'}"),
    "digest of an unknown algorithm": with_config(digest=f"md5:{32 * '0'}"),
    "digest with newline": with_config(digest=f"{digest_of(EMPTY_CONFIG)}\n"),
    "mediaType null": with_config(mediaType=None),
    "mediaType with a newline": with_config(mediaType="a/b\r\nX: y"),
    "urls a string": with_config(urls="http://a"),
}


async def test_bad_manifests_are_refused(client: Client) -> None:
    await push_blob(client, EMPTY_CONFIG)

    for what, body in BAD_MANIFESTS.items():
        answer = await push_manifest(client, "bad", body, media_type=OCI_MANIFEST)
        assert answer.refusal == (400, "MANIFEST_INVALID"), what
        by_digest = await push_manifest(client, digest_of(body), body, media_type=OCI_MANIFEST)
        assert by_digest.refusal == (400, "MANIFEST_INVALID"), what
    assert (await client.get(f"{MANIFESTS}/bad")).status == 404


async def test_bad_indexes_are_refused(client: Client) -> None:
    await push_blob(client, EMPTY_CONFIG)
    child = await push_image(client)
    bad = {
        "layers too": index([child], layers=[]),
        "config too": index([child], config=descriptor(EMPTY_CONFIG)),
        "no manifests": without(index(), "manifests"),
        "manifests an object": index().replace(b"[]", b"{}"),
        "size not the child's": index([child]).replace(b'"size": ', b'"size": 1'),
    }

    for what, body in bad.items():
        answer = await push_manifest(client, "bad", body, media_type=OCI_INDEX)
        assert answer.refusal == (400, "MANIFEST_INVALID"), what
