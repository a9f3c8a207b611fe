"""GET and HEAD of a manifest: headers, conditions, and what old clients get of an index (PROTOCOL 4)."""

import json

import pytest

from registry.oci.media_types import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from tests.http.client import Client
from tests.http.content import (
    EMPTY_CONFIG,
    MISSING,
    REPOSITORY,
    descriptor,
    digest_of,
    document,
    image,
    index,
    push_blob,
    push_image,
    push_manifest,
)

MANIFESTS = f"/v2/{REPOSITORY}/manifests"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_the_header_fields_of_a_manifest(client: Client, method: str) -> None:
    body = await push_image(client, "latest")
    digest = digest_of(body)
    caching = {"latest": "no-cache", digest: "max-age=31536000, immutable"}

    for reference, cache_control in caching.items():
        answer = await client.request(method, f"{MANIFESTS}/{reference}")

        assert answer.status == 200
        assert answer.headers["Content-Type"] == OCI_MANIFEST
        assert answer.headers["Content-Length"] == str(len(body))
        assert answer.headers["Docker-Content-Digest"] == digest
        assert answer.headers["ETag"] == f'"{digest}"'
        assert answer.headers["Cache-Control"] == cache_control
        assert answer.body == (body if method == "GET" else b"")
        assert answer.headers.get("Vary") == ("Accept" if reference == "latest" else None)


async def test_what_is_not_there(client: Client) -> None:
    await push_image(client, "latest")

    for reference in ("v2", "LATEST", MISSING, "sha512:" + 128 * "0"):
        assert (await client.get(f"{MANIFESTS}/{reference}")).refusal == (404, "MANIFEST_UNKNOWN"), reference
        assert (await client.head(f"{MANIFESTS}/{reference}")).status == 404
        assert (await client.get(f"/v2/nobody/knows/manifests/{reference}")).refusal == (404, "NAME_UNKNOWN")


async def test_a_manifest_of_another_repository_is_unknown(client: Client) -> None:
    theirs = await push_image(client, "latest", "theirs")
    await push_image(client, "other", "ours", annotations={"a": "b"})

    for reference in ("latest", digest_of(theirs)):
        assert (await client.get(f"/v2/ours/manifests/{reference}")).refusal == (404, "MANIFEST_UNKNOWN")


async def test_references_that_can_not_be(client: Client) -> None:
    await push_image(client, "latest")
    refusals = {
        "DIGEST_INVALID": ["sha256:baddigeststring", "sha256:", ":", f"sha256:{64 * 'A'}",
                           f"sha256:{64 * '0'}%0A",
                           f"md5:{32 * '0'}", f"SHA256:{64 * '0'}", f"sha256:{65 * '0'}", "a:b:c", "%ff:%ff"],
        "TAG_INVALID": [".a", "-a", 129 * "a", "latest%0A", "latest%00", "a%2Fb", "a+b", "%20", "%ff",
                        "%F0%9F%98%80",
                        "lat%D0%B5st", "..", "%2e%2e", "%252e", "a%5Cb", "", "late%E2%80%AEst", "a@b"],
    }  # fmt: skip

    for code, references in refusals.items():
        for reference in references:
            for method in ("GET", "PUT", "DELETE"):
                answer = await client.request(method, f"{MANIFESTS}/{reference}")
                assert answer.refusal == (400, code), (method, reference)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_what_the_client_has_is_not_sent_again(client: Client, method: str) -> None:
    digest = digest_of(await push_image(client, "latest"))

    for reference in ("latest", digest):
        for form in ('"{}"', "{}", 'W/"{}"', '"x", W/"{}"', "*"):
            headers = {"If-None-Match": form.format(digest)}
            answer = await client.request(method, f"{MANIFESTS}/{reference}", headers=headers)
            assert (answer.status, answer.headers["ETag"]) == (304, f'"{digest}"'), form
            assert answer.headers["Docker-Content-Digest"] == digest

    await push_image(client, "latest", annotations={"moved": "on"})
    moved = await client.request(method, f"{MANIFESTS}/latest", headers={"If-None-Match": f'"{digest}"'})
    assert moved.status == 200


async def test_accept_never_refuses(client: Client) -> None:
    """By digest, and of an image, the stored bytes whatever is accepted; never 406."""
    body = await push_image(client, "latest")
    multi = index([body])
    await push_manifest(client, "multi", multi)
    accepts = ["text/html", "application/json", "", "*/*", "application/*", "a/b;q=0", "nonsense",
               OCI_INDEX, DOCKER_LIST,
               DOCKER_MANIFEST, OCI_MANIFEST]  # fmt: skip

    for accept in accepts:
        for reference, expected in (("latest", body), (digest_of(body), body), (digest_of(multi), multi)):
            answer = await client.get(f"{MANIFESTS}/{reference}", {"Accept": accept})
            assert (answer.status, answer.body) == (200, expected), (accept, reference)


ARM = {"architecture": "arm64", "os": "linux"}
AMD = {"architecture": "amd64", "os": "linux"}


@pytest.mark.parametrize(
    ("index_type", "image_type"),
    [(OCI_INDEX, OCI_MANIFEST), (DOCKER_LIST, DOCKER_MANIFEST)],
    ids=["oci", "docker"],
)
async def test_an_old_client_gets_the_image_for_its_platform(
    client: Client, index_type: str, image_type: str
) -> None:
    await push_blob(client, EMPTY_CONFIG)
    arm, amd = (image(mediaType=image_type, annotations={"for": name}) for name in ("arm64", "amd64"))
    for child in (arm, amd):
        assert (await push_manifest(client, digest_of(child), child)).status == 201
    children = [descriptor(arm, image_type, platform=ARM), descriptor(amd, image_type, platform=AMD)]
    multi = document({"schemaVersion": 2, "mediaType": index_type, "manifests": children})
    assert (await push_manifest(client, "multi", multi)).status == 201
    schema1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"
    child_for = [[image_type], [OCI_MANIFEST, DOCKER_MANIFEST], [f"{OCI_MANIFEST}, {DOCKER_MANIFEST};q=0.5"],
                 [image_type, schema1], [f"{image_type}, {index_type};q=0"]]  # fmt: skip
    index_for = [[], ["*/*"], [image_type, "*/*;q=0.1"], [index_type], [image_type, index_type],
                 ["application/json"],
                 [image_type, "application/json"], [image_type, "application/*"]]  # fmt: skip

    for lines, expected in [*((lines, amd) for lines in child_for), *((lines, multi) for lines in index_for)]:
        for method in ("GET", "HEAD"):
            headers = [("Accept", line) for line in lines]
            answer = await client.request(method, f"{MANIFESTS}/multi", headers=headers)

            assert answer.status == 200, lines
            assert answer.headers["Docker-Content-Digest"] == digest_of(expected), lines
            assert answer.headers["Content-Type"] == json.loads(expected)["mediaType"]
            assert answer.headers["Content-Length"] == str(len(expected))
            assert answer.headers["Vary"] == "Accept"
            assert answer.body == (expected if method == "GET" else b"")


async def test_an_index_without_the_platform_is_served_as_it_is(client: Client) -> None:
    child = await push_image(client)
    multi = document(
        {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [descriptor(child, OCI_MANIFEST, platform=ARM)],
        }
    )
    await push_manifest(client, "multi", multi)

    assert (await client.get(f"{MANIFESTS}/multi", {"Accept": OCI_MANIFEST})).body == multi


async def test_a_child_that_was_deleted_does_not_take_the_index_with_it(client: Client) -> None:
    child = await push_image(client)
    multi = document(
        {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [descriptor(child, OCI_MANIFEST, platform=AMD)],
        }
    )
    await push_manifest(client, "multi", multi)
    assert (await client.delete(f"{MANIFESTS}/{digest_of(child)}")).status == 202

    assert (await client.get(f"{MANIFESTS}/multi", {"Accept": OCI_INDEX})).body == multi
    old_client = await client.get(f"{MANIFESTS}/multi", {"Accept": OCI_MANIFEST})
    assert old_client.refusal == (404, "MANIFEST_UNKNOWN")
