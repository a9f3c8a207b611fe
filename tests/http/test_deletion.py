"""DELETE of tags, manifests and blobs, and the switches for it (distribution-spec, end-9, end-10)."""

from tests.http.client import Client
from tests.http.content import (
    EMPTY_CONFIG,
    MISSING,
    REPOSITORY,
    digest_of,
    image,
    index,
    push_blob,
    push_image,
    push_manifest,
)
from tests.http.serving import Registries

MANIFESTS = f"/v2/{REPOSITORY}/manifests"
BLOBS = f"/v2/{REPOSITORY}/blobs"


async def test_a_tag_goes_alone(client: Client) -> None:
    body = await push_image(client, "a")
    await push_manifest(client, "b", body)

    answer = await client.delete(f"{MANIFESTS}/a")

    assert (answer.status, answer.body) == (202, b"")
    assert (await client.get(f"{MANIFESTS}/a")).refusal == (404, "MANIFEST_UNKNOWN")
    assert (await client.delete(f"{MANIFESTS}/a")).refusal == (404, "MANIFEST_UNKNOWN")
    for reference in ("b", digest_of(body)):
        assert (await client.get(f"{MANIFESTS}/{reference}")).body == body


async def test_a_manifest_takes_every_tag_on_it(client: Client) -> None:
    body = await push_image(client, "a")
    await push_manifest(client, "b", body)
    other = await push_image(client, "c", annotations={"an": "other"})

    assert (await client.delete(f"{MANIFESTS}/{digest_of(body)}")).status == 202

    for reference in ("a", "b", digest_of(body)):
        assert (await client.head(f"{MANIFESTS}/{reference}")).status == 404
    assert (await client.get(f"/v2/{REPOSITORY}/tags/list")).json["tags"] == ["c"]
    assert (await client.get(f"{MANIFESTS}/c")).body == other
    again = await client.delete(f"{MANIFESTS}/{digest_of(body)}")
    assert again.refusal == (404, "MANIFEST_UNKNOWN")


async def test_a_manifest_stays_in_other_repositories(client: Client) -> None:
    body = await push_image(client, "a")
    await push_image(client, "a", "other")

    await client.delete(f"{MANIFESTS}/{digest_of(body)}")

    assert (await client.get("/v2/other/manifests/a")).body == body


async def test_what_is_not_there_can_not_be_deleted(client: Client) -> None:
    await push_image(client, "a")

    for path, code in {
        f"{MANIFESTS}/b": "MANIFEST_UNKNOWN",
        f"{MANIFESTS}/{MISSING}": "MANIFEST_UNKNOWN",
        f"/v2/nobody/manifests/{MISSING}": "NAME_UNKNOWN",
        "/v2/nobody/manifests/a": "NAME_UNKNOWN",
        f"{BLOBS}/{MISSING}": "BLOB_UNKNOWN",
        f"/v2/nobody/blobs/{digest_of(EMPTY_CONFIG)}": "BLOB_UNKNOWN",
    }.items():
        assert (await client.delete(path)).refusal == (404, code), path


async def test_a_blob_and_the_same_again(client: Client) -> None:
    """Deleted, gone, pushed again, there again (PROTOCOL section 9, 7)."""
    for content in (b"small", 300_000 * b"large"):
        digest = await push_blob(client, content)
        assert (await client.get(f"{BLOBS}/{digest}")).body == content

        answer = await client.delete(f"{BLOBS}/{digest}")
        assert (answer.status, answer.body) == (202, b"")
        assert (await client.head(f"{BLOBS}/{digest}")).status == 404
        assert (await client.get(f"{BLOBS}/{digest}")).refusal == (404, "BLOB_UNKNOWN")
        assert (await client.delete(f"{BLOBS}/{digest}")).refusal == (404, "BLOB_UNKNOWN")

        await push_blob(client, content)
        assert (await client.get(f"{BLOBS}/{digest}")).body == content


async def test_a_blob_that_a_manifest_needs_stays(client: Client) -> None:
    config = await push_blob(client, EMPTY_CONFIG)
    layer = await push_blob(client, b"layer")
    body = image(layers=[b"layer"])
    await push_manifest(client, "latest", body)

    for digest in (config, layer):
        assert (await client.delete(f"{BLOBS}/{digest}")).refusal == (405, "DENIED")
        assert (await client.head(f"{BLOBS}/{digest}")).status == 200
    assert (await client.delete(f"{MANIFESTS}/{digest_of(body)}")).status == 202
    for digest in (config, layer):
        assert (await client.delete(f"{BLOBS}/{digest}")).status == 202


async def test_a_blob_of_another_repository_stays_there(client: Client) -> None:
    digest = await push_blob(client, b"shared")
    await push_blob(client, b"shared", "other")

    assert (await client.delete(f"{BLOBS}/{digest}")).status == 202
    assert (await client.head(f"{BLOBS}/{digest}")).status == 404
    assert (await client.get(f"/v2/other/blobs/{digest}")).body == b"shared"


async def test_a_manifest_and_the_same_again(client: Client) -> None:
    body = await push_image(client, "latest")
    await client.get(f"{MANIFESTS}/latest")

    for _ in range(2):
        assert (await client.delete(f"{MANIFESTS}/{digest_of(body)}")).status == 202
        assert (await client.get(f"{MANIFESTS}/latest")).status == 404
        assert (await push_manifest(client, "latest", body)).status == 201
        assert (await client.get(f"{MANIFESTS}/latest")).body == body


async def test_a_manifest_can_not_come_back_without_its_blobs(client: Client) -> None:
    body = await push_image(client, "latest")
    await client.delete(f"{MANIFESTS}/{digest_of(body)}")
    await client.delete(f"{BLOBS}/{digest_of(EMPTY_CONFIG)}")

    assert (await push_manifest(client, "latest", body)).refusal == (400, "MANIFEST_BLOB_UNKNOWN")


async def test_an_index_and_its_children_are_deleted_in_any_order(client: Client) -> None:
    child = await push_image(client)
    body = index([child])
    await push_manifest(client, "multi", body)

    assert (await client.delete(f"{MANIFESTS}/{digest_of(child)}")).status == 202
    assert (await client.get(f"{MANIFESTS}/multi")).body == body
    assert (await client.delete(f"{MANIFESTS}/{digest_of(body)}")).status == 202


async def test_a_blob_that_an_index_lists_stays(client: Client) -> None:
    """BuildKit's cache indexes list layers."""
    digest = await push_blob(client, b"cached layer")
    listing = b'[{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": "%s", "size": 12}]'
    await push_manifest(client, "cache", index().replace(b"[]", listing % digest.encode()))

    assert (await client.delete(f"{BLOBS}/{digest}")).refusal == (405, "DENIED")


async def test_each_kind_of_deletion_can_be_switched_off(registries: Registries) -> None:
    for kind in ("tags", "manifests", "blobs"):
        client = await registries.start(deletion={kind: False})
        body = await push_image(client, "latest", kind)
        spare = await push_blob(client, b"spare", kind)
        paths = {
            "tags": f"/v2/{kind}/manifests/latest",
            "manifests": f"/v2/{kind}/manifests/{digest_of(body)}",
            "blobs": f"/v2/{kind}/blobs/{spare}",
        }

        assert (await client.delete(paths[kind])).refusal == (405, "UNSUPPORTED"), kind
        assert (await client.head(paths[kind])).status == 200
        for other in ("tags", "manifests", "blobs"):
            if other != kind and (kind, other) != ("tags", "manifests"):  # these are looked at below
                assert (await client.delete(paths[other])).status == 202, (kind, other)


async def test_a_manifest_without_tags_is_deleted_though_tags_are_not(registries: Registries) -> None:
    client = await registries.start(deletion={"tags": False})
    body = await push_image(client)

    assert (await client.delete(f"{MANIFESTS}/{digest_of(body)}")).status == 202
