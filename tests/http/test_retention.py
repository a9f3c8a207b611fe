"""Retention while clients push: what is acknowledged stays as the rules say, whenever it came."""

import asyncio
import json
from typing import Any

from tests.http.client import Client
from tests.http.content import (
    EMPTY_CONFIG,
    REPOSITORY,
    digest_of,
    image,
    index,
    push_blob,
    push_image,
    push_manifest,
)

MANIFESTS = f"/v2/{REPOSITORY}/manifests"
JSON = {"Content-Type": "application/json"}


async def call(client: Client, method: str, path: str, body: object) -> Any:
    answer = await client.request(method, f"/api/v1{path}", json.dumps(body).encode(), JSON)
    assert answer.status == 200, answer
    return answer.json


async def set_rule(client: Client, **conditions: object) -> None:
    await call(client, "PUT", "/retention/rules/rule", {"repositories": "**", **conditions})


async def test_an_image_in_use_outlives_the_rules(client: Client) -> None:
    await push_blob(client, EMPTY_CONFIG)
    child = image(annotations={"number": "1"})
    await push_manifest(client, digest_of(child), child)
    listing = index([child])
    await push_manifest(client, "v1", listing)
    await push_image(client, "v2", annotations={"number": "2"})
    await set_rule(client, keep_last=0)
    report = {"reporter": "prod", "lease_seconds": "1h", "digests": [f"{REPOSITORY}@{digest_of(child)}"]}
    assert (await call(client, "POST", "/in-use", report))["digests"] == 1

    assert (await call(client, "POST", "/retention/summary", {}))["tags_dropped"] == 1
    done = await call(client, "POST", "/retention/run", {"repositories": REPOSITORY})
    assert (done["tags"], done["manifests"]) == (1, 1)
    assert (await client.get(f"{MANIFESTS}/v2")).status == 404
    assert (await client.get(f"{MANIFESTS}/v1")).body == listing

    await call(client, "POST", "/in-use", report | {"digests": []})
    done = await call(client, "POST", "/retention/run", {"repositories": REPOSITORY})
    assert (done["tags"], done["manifests"]) == (1, 2)
    history = (await client.get(f"/api/v1/repositories/{REPOSITORY}/-/tags/v1/history")).json["entries"]
    assert history[0]["by"] == "retention:rule"


async def test_no_acknowledged_push_is_lost(client: Client) -> None:
    """Each client moves its own tag, which the rule keeps, through the same few images: those are always on
    the point of being deleted."""
    await push_blob(client, EMPTY_CONFIG)
    bodies = [image(annotations={"number": str(number)}) for number in range(4)]
    await set_rule(client, tags=["*"], keep_tags=["kept-*"], untagged_seconds=0.001)
    ended = False

    async def push(number: int) -> None:
        for turn in range(15):
            child = bodies[(number + turn) % len(bodies)]
            pushed = await client.put(f"{MANIFESTS}/{digest_of(child)}", child, media_type(child))
            assert pushed.status == 201, pushed
            listing = index([child], annotations={"of": str(number)})
            pushed = await client.put(f"{MANIFESTS}/kept-{number}", listing, media_type(listing))
            if pushed.status != 201:  # the child went before the index came
                assert pushed.refusal == (400, "MANIFEST_BLOB_UNKNOWN")
                continue
            assert (await client.get(f"{MANIFESTS}/kept-{number}")).body == listing
            assert (await client.get(f"{MANIFESTS}/{digest_of(child)}")).body == child
            await client.put(f"{MANIFESTS}/old-{number}", child, media_type(child))

    async def retain() -> int:
        deleted = 0
        while not ended:
            done = await client.post(
                "/api/v1/retention/run", json.dumps({"repositories": REPOSITORY}).encode(), JSON
            )
            assert done.status == 200, done
            deleted += done.json["manifests"]
        return deleted

    retaining = asyncio.create_task(retain())
    await asyncio.gather(*(push(number) for number in range(4)))
    ended = True
    assert await retaining > 0


def media_type(body: bytes) -> dict[str, str]:
    return {"Content-Type": json.loads(body)["mediaType"]}
