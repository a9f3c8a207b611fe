"""Looking back with `?at=`, and what deletion and restoring mean to who pulls."""

import json
from datetime import UTC, datetime, timedelta

from tests.http.answers import Answer
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
)
from tests.http.serving import Registries

MANIFESTS = f"/v2/{REPOSITORY}/manifests"
API = f"/api/v1/repositories/{REPOSITORY}"
JSON = {"Content-Type": "application/json"}


async def history(client: Client, tag: str = "latest") -> list[str]:
    """The times at which a tag changed, the oldest first."""
    entries = (await client.get(f"{API}/-/tags/{tag}/history")).json["entries"]
    return [entry["at"] for entry in reversed(entries)]


async def restore(client: Client, path: str, body: object = None) -> Answer:
    answer = await client.post(f"{API}/-/{path}restore", json.dumps(body or {}).encode(), JSON)
    assert answer.status == 200, answer
    return answer


async def test_a_pull_by_time_gets_what_was_there(client: Client) -> None:
    bodies = [await push_image(client, "latest", annotations={"number": str(number)}) for number in range(3)]
    await client.delete(f"{MANIFESTS}/{digest_of(bodies[0])}")
    await client.delete(f"{MANIFESTS}/latest")
    times = await history(client)

    for at, body in zip(times[:3], bodies, strict=True):
        got = await client.get(f"{MANIFESTS}/latest?at={at}")
        headed = await client.head(f"{MANIFESTS}/latest?at={at}")

        assert (got.status, got.body, headed.status) == (200, body, 200)
        for answer in (got, headed):
            assert answer.headers["Docker-Content-Digest"] == digest_of(body)
            assert answer.headers["ETag"] == f'"{digest_of(body)}"'
            assert answer.headers["Cache-Control"] == "no-cache"
            assert answer.headers["Content-Length"] == str(len(body))
            assert answer.headers["Content-Type"] == json.loads(body)["mediaType"]
        known = await client.get(f"{MANIFESTS}/latest?at={at}", {"If-None-Match": got.headers["ETag"]})
        assert (known.status, known.body) == (304, b"")
        by_digest = await client.get(f"{MANIFESTS}/{digest_of(body)}?at={at}")
        assert (by_digest.status, by_digest.body) == (200, body)
        assert by_digest.headers["Cache-Control"] == "no-cache", "it may have been deleted"
    gone = await client.get(f"{MANIFESTS}/latest?at={times[3]}")
    assert gone.refusal == (404, "MANIFEST_UNKNOWN")
    assert "had no tag latest at" in gone.errors[0]["message"]
    deleted = await client.get(f"{MANIFESTS}/{digest_of(bodies[0])}?at={times[3]}")
    assert deleted.refusal == (404, "MANIFEST_UNKNOWN")
    assert "was deleted from" in deleted.errors[0]["message"]
    assert (await client.get(f"{MANIFESTS}/{digest_of(bodies[0])}")).status == 404
    assert (await client.head(f"{MANIFESTS}/latest?at=1h")).status == 404, "before the first push"
    assert (await client.get(f"/v2/nobody/manifests/latest?at={times[0]}")).refusal == (404, "NAME_UNKNOWN")


async def test_times_that_are_none_are_refused_with_what_would_be_right(client: Client) -> None:
    body = await push_image(client, "latest")
    now = datetime.now(UTC)
    for text, right in {
        "yesterday": "should be a time like 2026-11-21T12:00:00Z",
        "": "should be a time like",
        "2026-13-01T00:00:00Z": "should be a time like",
        (now + timedelta(hours=1)).isoformat().replace("+", "%2B"): "should be a time that has been",
        "9" * 12: "should be a time that has been",
    }.items():
        answer = await client.get(f"{MANIFESTS}/latest?at={text}")
        assert answer.refusal == (400, "UNSUPPORTED"), text
        assert right in answer.errors[0]["message"]
        assert (await client.head(f"{MANIFESTS}/latest?at={text}")).status == 400
    assert (await client.get(f"{MANIFESTS}/latest?at=1h&at=1h")).status == 400
    (at,) = await history(client)
    east = datetime.fromisoformat(at).astimezone(tz=None).isoformat()
    for text in (east, east.replace("+", "%2B"), at):  # a plus that was not encoded arrives as a space
        assert (await client.get(f"{MANIFESTS}/latest?at={text}")).body == body


async def test_blobs_of_what_was_deleted_are_readable_and_lists_do_not_show_it(client: Client) -> None:
    layer = b"layer"
    await push_blob(client, EMPTY_CONFIG)
    await push_blob(client, layer)
    subject = image(layers=[layer])
    await push_manifest(client, "latest", subject)
    signature = image(subject=descriptor(subject, json.loads(subject)["mediaType"]))
    await push_manifest(client, digest_of(signature), signature)
    referrers = f"/v2/{REPOSITORY}/referrers/{digest_of(subject)}"
    assert len((await client.get(referrers)).json["manifests"]) == 1

    for body in (signature, subject):
        assert (await client.delete(f"{MANIFESTS}/{digest_of(body)}")).status == 202

    assert (await client.get(referrers)).json["manifests"] == []
    assert (await client.get(f"/v2/{REPOSITORY}/tags/list")).json["tags"] == []
    assert (await client.get(f"/v2/{REPOSITORY}/blobs/{digest_of(layer)}")).body == layer
    assert (await client.delete(f"/v2/{REPOSITORY}/blobs/{digest_of(layer)}")).status == 202
    assert (await client.get(f"/v2/{REPOSITORY}/blobs/{digest_of(layer)}")).status == 404

    await restore(client, f"manifests/{digest_of(subject)}/")

    assert (await client.get(f"{MANIFESTS}/latest")).body == subject
    assert (await client.get(f"/v2/{REPOSITORY}/blobs/{digest_of(layer)}")).body == layer
    assert (await client.get(referrers)).json["manifests"] == [], "it went before its subject"


async def test_an_index_is_pulled_whole_after_it_was_restored(client: Client) -> None:
    child = await push_image(client)
    body = index([child])
    await push_manifest(client, "multi", body)
    (at,) = await history(client, "multi")
    for one in (body, child):
        await client.delete(f"{MANIFESTS}/{digest_of(one)}")
    assert (await client.get(f"{MANIFESTS}/multi")).status == 404, "what is remembered of it is forgotten"

    await restore(client, "tags/multi/", {"at": at})

    assert (await client.get(f"{MANIFESTS}/multi")).body == body
    assert (await client.get(f"{MANIFESTS}/{digest_of(child)}")).body == child


async def test_nobody_reads_a_deleted_repository(client: Client) -> None:
    body = await push_image(client, "latest")
    times = await history(client)
    assert (await client.delete(API)).status == 204
    paths = [f"{MANIFESTS}/latest?at={times[0]}", f"{MANIFESTS}/{digest_of(body)}?at={times[0]}"]
    for path in (*paths, f"{API}/-/tags/latest/history"):
        assert (await client.get(path)).refusal == (404, "NAME_UNKNOWN")
    await push_image(client, "other", annotations={"another": "repository"})
    for path in paths:
        assert (await client.get(path)).refusal == (404, "MANIFEST_UNKNOWN"), "of the same name"
    assert (await client.delete(API)).status == 204

    listed = (await client.get("/api/v1/removed-repositories")).json["repositories"]
    uid = min(listed, key=lambda row: row["removed_at"])["uid"]
    await restore(client, "", {"uid": uid})

    assert (await client.get(f"{MANIFESTS}/latest")).body == body
    for path in paths:
        assert (await client.get(path)).body == body


async def test_without_a_window_what_is_deleted_is_gone(registries: Registries) -> None:
    client = await registries.start(undo={"window_seconds": 0})
    body = await push_image(client, "latest")
    times = await history(client)
    await client.delete(f"{MANIFESTS}/{digest_of(body)}")

    assert (await client.get(f"{MANIFESTS}/latest?at={times[0]}")).refusal == (404, "MANIFEST_UNKNOWN")
    refused = await client.post(f"{API}/-/manifests/{digest_of(body)}/restore", b"{}", JSON)
    assert refused.refusal == (404, "MANIFEST_UNKNOWN")
    assert "undo.window_seconds" in refused.errors[0]["message"]
