"""PUT of a manifest (distribution-spec, end-7, end-7b; PROTOCOL section 5)."""

import json
from typing import Any

import pytest

from registry.oci.media_types import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    NONDISTRIBUTABLE_TYPES,
    OCI_INDEX,
    OCI_MANIFEST,
)
from tests.http.client import Client
from tests.http.content import (
    EMPTY_CONFIG,
    MISSING,
    REPOSITORY,
    chunks,
    descriptor,
    digest_of,
    document,
    image,
    index,
    push_blob,
    push_image,
    push_manifest,
    without,
)
from tests.http.serving import Registries

MANIFESTS = f"/v2/{REPOSITORY}/manifests"
LIMIT = 4 * 1024 * 1024


async def test_an_image_by_tag_and_by_digest(client: Client) -> None:
    layers = [b"one layer", b"another layer"]
    for content in (EMPTY_CONFIG, *layers):
        await push_blob(client, content)
    body = image(layers=layers)
    digest = digest_of(body)

    for reference in ("latest", digest):
        answer = await push_manifest(client, reference, body)

        assert answer.status == 201
        assert answer.headers["Docker-Content-Digest"] == digest
        assert answer.headers["Location"] == f"{MANIFESTS}/{reference}"
        assert (await client.get(answer.headers["Location"])).body == body
        assert "OCI-Subject" not in answer.headers
        assert "OCI-Tag" not in answer.headers


async def test_the_bytes_are_kept_as_they_are(client: Client) -> None:
    await push_blob(client, EMPTY_CONFIG)
    compact = image()
    forms = [
        compact,
        b"\n\t " + compact.replace(b",", b" ,\r\n") + b"  \n",
        compact[:-1] + ', "unknown": {"a": [1.5e3, null, true, "\\u00e9é😀"]}}'.encode(),
        compact.replace(b"schemaVersion", b"schema\\u0056ersion"),
    ]

    for body in forms:
        answer = await push_manifest(client, "form", body, media_type=OCI_MANIFEST)
        assert answer.status == 201, body
        assert (await client.get(f"{MANIFESTS}/form")).body == body


async def test_every_kind_of_manifest(client: Client) -> None:
    await push_blob(client, EMPTY_CONFIG)
    child = await push_image(client)
    custom = {"mediaType": "application/vnd.example+json", "digest": digest_of(EMPTY_CONFIG), "size": 2}
    manifests = {
        "artifact": image(config=EMPTY_CONFIG, artifactType="application/vnd.wasm.config.v0+json"),
        "custom types": image(config=EMPTY_CONFIG, layers=[]).replace(b"vnd.oci.image.config", b"x.y/z; a=b"),
        "no layers member": without(image(), "layers"),
        "null layers": image(unknown=1).replace(b'"layers": []', b'"layers": null'),
        "data": document({**json.loads(image()), "config": {**custom, "data": "e30="}}),
        "annotations": image(annotations={"org.example": "é\n\u2028"}),
        "docker": image(mediaType=DOCKER_MANIFEST),
        "index": index([child]),
        "index of an index": index().replace(
            b"[]", json.dumps([descriptor(index([child]), OCI_INDEX)]).encode()
        ),
        "docker list": index([child], mediaType=DOCKER_LIST),
        "empty index": index(),
        "index of a blob": index().replace(
            b"[]", json.dumps([descriptor(EMPTY_CONFIG, "application/vnd.buildkit.cacheconfig.v0")]).encode()
        ),
        "artifact index": index([child], artifactType="application/x"),
    }

    for what, body in manifests.items():
        media_type = json.loads(body)["mediaType"]
        answer = await push_manifest(client, "kind", body, media_type=media_type)
        assert answer.status == 201, (what, answer)
        pulled = await client.get(f"{MANIFESTS}/kind")
        assert (pulled.body, pulled.headers["Content-Type"]) == (body, media_type), what


async def test_the_type_of_a_manifest(client: Client) -> None:
    """Of the header, whose parameters don't matter; of the body; or of what is in it."""
    await push_blob(client, EMPTY_CONFIG)
    untyped = image(mediaType=None)
    taken: list[tuple[str | None, bytes, str]] = [
        (f"{OCI_MANIFEST}; charset=utf-8", image(), OCI_MANIFEST),
        (OCI_MANIFEST.upper(), image(), OCI_MANIFEST),
        (None, image(mediaType=DOCKER_MANIFEST), DOCKER_MANIFEST),
        (DOCKER_MANIFEST, untyped, DOCKER_MANIFEST),
        (None, untyped, OCI_MANIFEST),
        (None, index(mediaType=None), OCI_INDEX),
        ("", untyped, OCI_MANIFEST),
    ]
    for header, body, media_type in taken:
        headers = {} if header is None else {"Content-Type": header}
        assert (await client.put(f"{MANIFESTS}/typed", body, headers)).status == 201, header
        assert (await client.head(f"{MANIFESTS}/typed")).headers["Content-Type"] == media_type


async def test_types_that_are_not_supported(client: Client) -> None:
    await push_blob(client, EMPTY_CONFIG)
    types = [
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/json",
        "text/html",
        "application/octet-stream",
    ]

    for media_type in types:
        for body in (image(mediaType=None), image(mediaType=media_type)):
            answer = await push_manifest(client, "typed", body, media_type=media_type)
            assert answer.refusal == (400, "MANIFEST_INVALID"), media_type
    schema1 = document({"schemaVersion": 1, "name": "a", "tag": "b", "fsLayers": [], "history": []})
    assert (await client.put(f"{MANIFESTS}/typed", schema1)).refusal == (400, "MANIFEST_INVALID")


async def test_the_largest_manifest(client: Client) -> None:
    await push_blob(client, EMPTY_CONFIG)
    largest = image(annotations={"padding": (LIMIT - len(image(annotations={"padding": ""}))) * "x"})
    assert len(largest) == LIMIT

    for body in (largest, chunks(largest)):
        answer = await client.put(f"{MANIFESTS}/large", body, {"Content-Type": OCI_MANIFEST})
        assert answer.status == 201
    assert (await client.get(f"{MANIFESTS}/large")).body == largest
    assert (await push_manifest(client, "large", largest + b" ", media_type=OCI_MANIFEST)).refusal == (
        413,
        "MANIFEST_INVALID",
    )


async def test_a_manifest_that_is_too_large_without_saying_so(client: Client) -> None:
    async with client.socket() as socket:
        await socket.send(
            f"PUT {MANIFESTS}/large HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        await socket.send(b"400001\r\n" + (LIMIT + 1) * b" " + b"\r\n")
        answer = await socket.answer()

    assert answer.refusal == (413, "MANIFEST_INVALID")
    assert answer.headers["Connection"] == "close"


async def test_a_manifest_that_is_said_to_be_too_large_is_not_read(client: Client) -> None:
    answer = await client.exchange(
        f"PUT {MANIFESTS}/large HTTP/1.1\r\nHost: a\r\nContent-Length: {10**15}\r\n\r\n".encode()
    )

    assert answer.refusal == (413, "MANIFEST_INVALID")


async def test_a_wrong_digest(client: Client) -> None:
    await push_blob(client, EMPTY_CONFIG)

    for algorithm in ("sha256", "sha512"):
        digest = digest_of(b"something else", algorithm)
        assert (await push_manifest(client, digest, image())).refusal == (400, "DIGEST_INVALID")
        assert (await client.head(f"{MANIFESTS}/{digest}")).status == 404


async def test_every_missing_blob_is_named(client: Client) -> None:
    await push_blob(client, b"here")
    await push_blob(client, b"elsewhere", "other/repository")
    body = image(config=b"config", layers=[b"here", b"elsewhere", b"nowhere", b"nowhere"])

    answer = await push_manifest(client, "latest", body)

    assert answer.refusal == (400, "MANIFEST_BLOB_UNKNOWN")
    named = [entry["detail"]["digest"] for entry in answer.errors]
    assert sorted(named) == sorted(map(digest_of, (b"config", b"elsewhere", b"nowhere")))
    assert (await client.get(f"{MANIFESTS}/latest")).status == 404


async def test_a_manifest_of_very_many_descriptors_takes_a_bounded_time(client: Client) -> None:
    """As many as 4 MiB can hold, none of them here: one error each."""
    await push_blob(client, EMPTY_CONFIG)
    layers = [{"mediaType": "a/b", "digest": f"sha256:{number:064x}", "size": 1} for number in range(36_000)]
    body = json.dumps({**json.loads(image()), "layers": layers}, separators=(",", ":")).encode()
    assert 0.9 * LIMIT < len(body) <= LIMIT

    answer = await push_manifest(client, "many", body)

    assert answer.refusal == (400, "MANIFEST_BLOB_UNKNOWN")
    assert len(answer.errors) == len(layers)


async def test_layers_that_may_not_be_distributed_need_not_be_here(client: Client) -> None:
    await push_blob(client, EMPTY_CONFIG)
    layers = [
        {"mediaType": media_type, "digest": MISSING, "size": 5, "urls": ["https://example.com/layer"]}
        for media_type in sorted(NONDISTRIBUTABLE_TYPES)
    ]
    body = document({**json.loads(image()), "layers": layers})

    assert (await push_manifest(client, "foreign", body)).status == 201


async def test_the_children_of_an_index_must_be_here(client: Client) -> None:
    here, elsewhere = (
        await push_image(client),
        await push_image(client, None, "other", annotations={"a": "b"}),
    )
    body = index([here, elsewhere])

    answer = await push_manifest(client, "multi", body)

    assert answer.refusal == (400, "MANIFEST_BLOB_UNKNOWN")
    assert [entry["detail"]["digest"] for entry in answer.errors] == [digest_of(elsewhere)]


async def test_a_sparse_is_taken_where_that_is_set(registries: Registries) -> None:
    client = await registries.start(manifests={"sparse": True})
    body = index([image()])

    answer = await push_manifest(client, "sparse", body)

    assert answer.status == 201
    warning = answer.headers["Warning"]
    assert warning.startswith('299 - "')
    assert warning.endswith('"')
    assert digest_of(image()) in warning
    assert (await client.get(f"{MANIFESTS}/sparse")).body == body


async def test_warnings_are_of_a_bounded_length(registries: Registries) -> None:
    client = await registries.start(manifests={"sparse": True})
    children = [image(annotations={"number": str(number)}) for number in range(200)]

    answer = await push_manifest(client, "sparse", index(children))

    assert answer.status == 201
    assert sum(map(len, answer.headers.getall("Warning"))) <= 4096


@pytest.mark.parametrize("form", ["image", "index"])
async def test_the_subject_is_confirmed_even_if_it_is_missing(client: Client, form: str) -> None:
    await push_blob(client, EMPTY_CONFIG)
    for subject in (MISSING, digest_of(b"x", "sha512")):
        members: dict[str, Any] = {"subject": {"mediaType": OCI_MANIFEST, "digest": subject, "size": 7}}
        body = image(**members) if form == "image" else index(**members)

        answer = await push_manifest(client, digest_of(body), body)

        assert (answer.status, answer.headers.get("OCI-Subject")) == (201, subject)


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_several_tags_at_once(client: Client, algorithm: str) -> None:
    await push_blob(client, EMPTY_CONFIG)
    digest = digest_of(image(), algorithm)
    tags = [f"v{number}" for number in range(10)]
    query = "&".join(f"tag={tag}" for tag in [*tags, *tags[:3]])

    answer = await push_manifest(client, f"{digest}?{query}", image())

    assert answer.status == 201
    assert answer.headers.getall("OCI-Tag") == tags, "each once, a line each"
    assert answer.headers["Docker-Content-Digest"] == digest
    for tag in tags:
        assert (await client.head(f"{MANIFESTS}/{tag}")).headers["Docker-Content-Digest"] == digest


async def test_tags_that_can_not_be_set(client: Client) -> None:
    await push_blob(client, EMPTY_CONFIG)
    digest = digest_of(image())
    many = "&".join(f"tag=v{number}" for number in range(65))
    queries = {
        f"latest?tag={'other'}": (400, "UNSUPPORTED"),
        f"{digest}?tag=good&tag=-bad": (400, "TAG_INVALID"),
        f"{digest}?tag=": (400, "TAG_INVALID"),
        f"{digest}?tag={129 * 'a'}": (400, "TAG_INVALID"),
        f"{digest}?tag=good%0A": (400, "TAG_INVALID"),
        f"{digest}?{many}": (414, "UNSUPPORTED"),
    }

    for reference, refusal in queries.items():
        assert (await push_manifest(client, reference, image())).refusal == refusal, reference
    assert (await client.get(f"/v2/{REPOSITORY}/tags/list")).json["tags"] == [], "none of them was set"


async def test_a_manifest_of_another_algorithm_is_another_manifest(client: Client) -> None:
    """A tag pushed through sha512 reports sha512, as the conformance suite wants it."""
    await push_blob(client, EMPTY_CONFIG)
    for algorithm in ("sha256", "sha512", "sha256"):
        digest = digest_of(image(), algorithm)
        assert (await push_manifest(client, f"{digest}?tag=moved", image())).status == 201
        pulled = await client.get(f"{MANIFESTS}/moved")
        assert (pulled.headers["Docker-Content-Digest"], pulled.body) == (digest, image())


async def test_the_same_manifest_again(client: Client) -> None:
    body = await push_image(client, "latest")

    for reference in ("latest", digest_of(body), "other"):
        assert (await push_manifest(client, reference, body)).status == 201
    assert (await client.get(f"/v2/{REPOSITORY}/tags/list")).json["tags"] == ["latest", "other"]


async def test_if_match(client: Client) -> None:
    """For whoever keeps a list in a tag and must not overwrite another one's entry."""
    first = await push_image(client, "list")
    second = image(annotations={"entry": "2"})
    stale, current = digest_of(b"stale"), digest_of(first)

    async def put(tag: str, *fields: str) -> int:
        headers = [("If-Match", field) for field in fields] + [("Content-Type", OCI_MANIFEST)]
        return (await client.put(f"{MANIFESTS}/{tag}", second, headers)).status

    assert await put("list", f'"{stale}"') == 412
    assert await put("nothing", "*") == 412
    assert (await client.head(f"{MANIFESTS}/list")).headers["Docker-Content-Digest"] == current
    assert await put("list", f'"{stale}"', f'"{current}"') == 201
    assert await put("list", "*") == 201
    assert (await client.get(f"{MANIFESTS}/list")).body == second
