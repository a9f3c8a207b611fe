"""Mounting a blob of another repository (distribution-spec, end-11)."""

from tests.http.client import Client
from tests.http.content import MISSING, push_blob
from tests.http.serving import Registries

CONTENT = b"a layer that two images share"
UPLOADS = "/v2/target/blobs/uploads/"


async def test_a_blob_is_mounted_from_its_repository(client: Client) -> None:
    for algorithm in ("sha256", "sha512"):
        digest = await push_blob(client, CONTENT, "source/of/it", algorithm)

        answer = await client.post(f"{UPLOADS}?mount={digest}&from=source%2Fof/it")

        assert answer.status == 201
        assert answer.headers["Location"] == f"/v2/target/blobs/{digest}"
        assert answer.headers["Docker-Content-Digest"] == digest
        assert (await client.get(answer.headers["Location"])).body == CONTENT


async def test_a_blob_is_mounted_from_anywhere(client: Client) -> None:
    digest = await push_blob(client, CONTENT, "source")

    for query in (f"?mount={digest}", f"?mount={digest}&from="):
        answer = await client.post(UPLOADS + query)
        assert (answer.status, answer.headers["Docker-Content-Digest"]) == (201, digest)
    assert (await client.get(f"/v2/target/blobs/{digest}")).body == CONTENT


async def test_mounting_again_and_from_itself(client: Client) -> None:
    digest = await push_blob(client, CONTENT, "target")

    for _ in range(2):
        assert (await client.post(f"{UPLOADS}?mount={digest}&from=target")).status == 201


async def test_what_can_not_be_mounted_is_a_session_and_all_answers_are_alike(client: Client) -> None:
    digest = await push_blob(client, CONTENT, "source")
    await push_blob(client, b"another", "other")
    gone = await push_blob(client, b"deleted", "source")
    await client.delete(f"/v2/source/blobs/{gone}")
    queries = {
        "no such blob": f"?mount={MISSING}",
        "no such blob there": f"?mount={MISSING}&from=source",
        "no such repository": f"?mount={digest}&from=nobody/knows",
        "not in that repository": f"?mount={digest}&from=other",
        "no possible repository": f"?mount={digest}&from=NO%00",
        "deleted": f"?mount={gone}&from=source",
        "deleted, from anywhere": f"?mount={gone}",
    }

    shapes = set()
    for why, query in queries.items():
        answer = await client.post(UPLOADS + query)
        assert answer.status == 202, why
        assert answer.headers["Range"] == "0-0"
        assert answer.headers["Location"].startswith(UPLOADS), why
        shapes.add((tuple(answer.headers), answer.body))
    assert len(shapes) == 1, "nobody learns from the answer what exists elsewhere"
    for target in (digest, gone):
        assert (await client.head(f"/v2/target/blobs/{target}")).status == 404


async def test_the_session_instead_of_a_mount_takes_the_blob(client: Client) -> None:
    await push_blob(client, b"another", "source")
    digest = await push_blob(client, CONTENT, "elsewhere")
    session = await client.post(f"{UPLOADS}?mount={digest}&from=source")

    assert (await client.put(f"{session.headers['Location']}?digest={digest}", CONTENT)).status == 201


async def test_a_digest_that_is_none_can_not_be_mounted(client: Client) -> None:
    for digest in ("", "sha256:short", "latest"):
        assert (await client.post(f"{UPLOADS}?mount={digest}&from=a")).refusal == (400, "DIGEST_INVALID")


async def test_a_mounted_blob_outlives_its_source(registries: Registries) -> None:
    client = await registries.start()
    digest = await push_blob(client, CONTENT, "source")
    await client.post(f"{UPLOADS}?mount={digest}&from=source")

    assert (await client.delete(f"/v2/source/blobs/{digest}")).status == 202
    assert (await client.head(f"/v2/source/blobs/{digest}")).status == 404
    assert (await client.get(f"/v2/target/blobs/{digest}")).body == CONTENT
