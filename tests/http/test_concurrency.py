"""Many clients at once: nobody's push is lost, doubled or refused (HARDENING 3, PROTOCOL 9)."""

import asyncio
from pathlib import Path

from tests.http.client import Client, Socket
from tests.http.content import (
    EMPTY_CONFIG,
    REPOSITORY,
    digest_of,
    image,
    push_blob,
    push_image,
    push_manifest,
    start_upload,
)
from tests.http.serving import Registries

MANIFESTS = f"/v2/{REPOSITORY}/manifests"
MANY = 50


def stored_files(data: Path) -> list[Path]:
    return [path for path in (data / "storage").rglob("*") if path.is_file()]


async def test_many_pushers_of_one_blob(registries: Registries, tmp_path: Path) -> None:
    clients = [await registries.start(), await registries.start()]
    content = 10_000 * b"shared"
    digest = digest_of(content)

    async def push(number: int) -> int:
        client, repository = clients[number % 2], f"r{number % 5}"
        if number % 3:
            location = await start_upload(client, repository)
            return (await client.put(f"{location}?digest={digest}", content)).status
        return (await client.post(f"/v2/{repository}/blobs/uploads/?digest={digest}", content)).status

    assert set(await asyncio.gather(*map(push, range(MANY)))) == {201}
    for number in range(5):
        assert (await clients[0].get(f"/v2/r{number}/blobs/{digest}")).body == content
    assert len(stored_files(tmp_path)) == 1


async def test_many_pushers_of_one_tag(registries: Registries) -> None:
    clients = [await registries.start(), await registries.start()]
    await push_blob(clients[0], EMPTY_CONFIG)
    bodies = [image(annotations={"pusher": str(number)}) for number in range(MANY)]

    answers = await asyncio.gather(
        *(push_manifest(clients[number % 2], "latest", body) for number, body in enumerate(bodies))
    )

    assert {answer.status for answer in answers} == {201}
    winners = {(await client.get(f"{MANIFESTS}/latest")).body for client in clients}
    assert len(winners) == 1
    assert winners <= set(bodies)
    for body in bodies:
        assert (await clients[0].get(f"{MANIFESTS}/{digest_of(body)}")).body == body
    assert (await clients[1].get(f"/v2/{REPOSITORY}/tags/list")).json["tags"] == ["latest"]


async def test_many_pushers_of_the_same_manifest(registries: Registries) -> None:
    clients = [await registries.start(), await registries.start()]
    for client in clients:
        await push_blob(client, EMPTY_CONFIG)

    answers = await asyncio.gather(
        *(push_manifest(clients[number % 2], f"v{number % 10}", image()) for number in range(MANY))
    )

    assert {answer.status for answer in answers} == {201}
    assert len((await clients[0].get(f"/v2/{REPOSITORY}/tags/list")).json["tags"]) == 10


async def test_many_new_repositories_of_one_name(registries: Registries) -> None:
    clients = [await registries.start(), await registries.start()]

    pushes = [push_blob(clients[number % 2], str(number).encode(), "brand/new") for number in range(MANY)]

    digests = await asyncio.gather(*pushes)
    assert (await clients[0].get("/v2/_catalog")).json == {"repositories": ["brand/new"]}
    for digest in digests:
        assert (await clients[1].head(f"/v2/brand/new/blobs/{digest}")).status == 200


async def test_one_of_two_writers_of_a_session_wins(client: Client) -> None:
    location = await start_upload(client)
    async with client.socket() as first:
        await begin_patch(first, location, 10, b"first")

        loser = await client.patch(location, b"second one")
        await first.send(b" here")
        winner = await first.answer()

    assert loser.refusal == (416, "BLOB_UPLOAD_INVALID")
    assert loser.headers["Location"]
    assert loser.headers["Range"] == "0-0"
    assert (winner.status, winner.headers["Range"]) == (202, "0-9")
    digest = digest_of(b"first here")
    assert (await client.put(f"{winner.headers['Location']}?digest={digest}")).status == 201


async def begin_patch(socket: Socket, location: str, length: int, first: bytes) -> None:
    """Send the first bytes of a PATCH that has the session then: only who has it is told to go on."""
    head = f"PATCH {location} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
    await socket.send(head.encode())
    assert await socket.line() == b"HTTP/1.1 100 Continue\r\n"
    assert await socket.line() == b"\r\n"
    await socket.send(first)


async def test_writers_at_two_processes(registries: Registries) -> None:
    clients = [await registries.start(), await registries.start()]
    for _ in range(5):
        location = await start_upload(clients[0])

        answers = await asyncio.gather(*(client.patch(location, 10 * b"x") for client in clients * 2))

        assert sorted(answer.status for answer in answers) == [202, 416, 416, 416]
        assert (await clients[1].get(location)).headers["Range"] == "0-9"


async def test_many_puts_of_one_session(client: Client) -> None:
    """A client that asks again while the first PUT runs: 416 then, 201 afterwards, and one blob."""
    content = 100_000 * b"x"
    closing = f"{await start_upload(client)}?digest={digest_of(content)}"

    answers = await asyncio.gather(*(client.put(closing, content) for _ in range(8)))

    statuses = [answer.status for answer in answers]
    assert 201 in statuses
    assert set(statuses) <= {201, 416}
    assert (await client.put(closing, content)).status == 201
    assert (await client.get(f"/v2/{REPOSITORY}/blobs/{digest_of(content)}")).body == content


async def test_a_session_cancelled_while_bytes_come(registries: Registries, tmp_path: Path) -> None:
    clients = [await registries.start(), await registries.start()]
    for canceller in clients:
        location = await start_upload(clients[0])
        async with clients[0].socket() as socket:
            await begin_patch(socket, location, 10, b"first")
            assert (await canceller.delete(location)).status == 204
            await socket.send(b" here")
            assert (await socket.answer()).refusal == (404, "BLOB_UPLOAD_UNKNOWN")

        assert (await clients[0].get(location)).refusal == (404, "BLOB_UPLOAD_UNKNOWN")
    assert stored_files(tmp_path) == [], "its bytes are gone"


async def test_a_blob_deleted_while_manifests_that_need_it_come(registries: Registries) -> None:
    """Either the blob stays, or the manifest is refused: never a manifest without its blob."""
    clients = [await registries.start(), await registries.start()]
    for number in range(12):
        config = f"config {number}".encode()
        digest = await push_blob(clients[0], config)
        body = image(config=config)

        pushed, deleted = await asyncio.gather(
            push_manifest(clients[number % 2], f"v{number}", body),
            clients[(number // 2) % 2].delete(f"/v2/{REPOSITORY}/blobs/{digest}"),
        )

        outcome = (pushed.status, deleted.status)
        assert outcome in {(201, 405), (400, 202)}, outcome
        there = (await clients[0].get(f"/v2/{REPOSITORY}/blobs/{digest}")).status
        assert there == (200 if pushed.status == 201 else 404)


async def test_a_manifest_deleted_while_it_is_tagged(registries: Registries) -> None:
    """No tag is ever listed that does not pull."""
    clients = [await registries.start(), await registries.start()]
    body = image()
    for number in range(8):
        await push_image(clients[0], "keep")

        tagged, deleted = await asyncio.gather(
            push_manifest(clients[number % 2], f"v{number}", body),
            clients[1].delete(f"{MANIFESTS}/{digest_of(body)}"),
        )

        assert (tagged.status, deleted.status) == (201, 202)
        for tag in (await clients[0].get(f"/v2/{REPOSITORY}/tags/list")).json["tags"]:
            assert (await clients[1].get(f"{MANIFESTS}/{tag}")).body == body


async def test_readers_never_see_a_moving_tag_fail(registries: Registries) -> None:
    clients = [await registries.start(), await registries.start()]
    bodies = [image(annotations={"n": str(number)}) for number in range(20)]
    await push_image(clients[0], "moving")
    moving = True

    async def read(client: Client) -> int:
        count = 0
        while moving:
            answer = await client.get(f"{MANIFESTS}/moving")
            assert answer.status == 200
            assert answer.headers["Docker-Content-Digest"] == digest_of(answer.body)
            count += 1
        return count

    readers = [asyncio.create_task(read(client)) for client in clients * 2]
    for number, body in enumerate(bodies):
        assert (await push_manifest(clients[number % 2], "moving", body)).status == 201
    moving = False
    assert min(await asyncio.gather(*readers)) > 0


async def test_a_client_that_leaves_does_not_hold_its_session(client: Client) -> None:
    location = await start_upload(client)
    async with client.socket() as socket:
        await begin_patch(socket, location, 10, b"first")
        await asyncio.sleep(0.1)
        socket.abort()

    async with asyncio.timeout(10):
        while (answer := await client.patch(location.removesuffix("0") + "5", b"-next")).status != 202:
            await asyncio.sleep(0.02)
    assert (await client.put(f"{answer.headers['Location']}?digest={digest_of(b'first-next')}")).status == 201


async def test_a_reader_that_leaves_harms_nobody(client: Client) -> None:
    content = 4_000_000 * b"x"
    digest = await push_blob(client, content)
    for _ in range(10):
        async with client.socket(receive_buffer=4096) as socket:
            await socket.send(f"GET /v2/{REPOSITORY}/blobs/{digest} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            await socket.line()
            socket.abort()

    assert (await client.get(f"/v2/{REPOSITORY}/blobs/{digest}")).body == content
