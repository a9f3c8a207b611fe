"""Uploads in chunks: Content-Range, order, what is kept when something goes wrong (distribution-spec, end-5;
PROTOCOL sections 2 and 9)."""

import asyncio

import pytest

from tests.http.answers import Answer
from tests.http.client import Client
from tests.http.content import REPOSITORY, chunks, digest_of, start_upload

CONTENT = bytes(range(256)) * 12
FIRST, SECOND = CONTENT[:1024], CONTENT[1024:]


async def offset_of(client: Client, location: str) -> int:
    """How many bytes the session keeps (1 and 0 look alike in Range, so its address tells)."""
    answer = await client.get(location)
    assert answer.status == 204
    return int(answer.headers["Location"].rpartition(".")[2])


def check_wrong_offset(answer: Answer, location: str, kept: int) -> None:
    """416, with all that a client needs to go on."""
    assert answer.refusal == (416, "BLOB_UPLOAD_INVALID")
    assert answer.headers["Range"] == f"0-{max(kept - 1, 0)}"
    assert answer.headers["Location"] == f"{location.rpartition('.')[0]}.{kept}"
    assert answer.headers["Docker-Upload-UUID"] in location


@pytest.mark.parametrize("closing_chunk", [False, True], ids=["PATCHes alone", "the last chunk in the PUT"])
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_chunks_in_order(client: Client, closing_chunk: bool, algorithm: str) -> None:
    location = await start_upload(client)
    digest = digest_of(CONTENT, algorithm)
    pieces = [CONTENT[start : start + 1024] for start in range(0, len(CONTENT), 1024)]
    for number, piece in enumerate(pieces[:-1] if closing_chunk else pieces):
        start = 1024 * number
        answer = await client.patch(location, piece, {"Content-Range": f"{start}-{start + len(piece) - 1}"})
        assert (answer.status, answer.headers["Range"]) == (202, f"0-{start + len(piece) - 1}")
        assert answer.body == b""
        location = answer.headers["Location"]

    if closing_chunk:
        headers = {"Content-Range": f"{len(CONTENT) - 1024}-{len(CONTENT) - 1}"}
        closed = await client.put(f"{location}?digest={digest}", pieces[-1], headers)
    else:
        closed = await client.put(f"{location}?digest={digest}")

    assert closed.status == 201
    assert (await client.get(f"/v2/{REPOSITORY}/blobs/{digest}")).body == CONTENT


async def test_chunks_without_content_range_are_appended(client: Client) -> None:
    location = await start_upload(client)
    for body in (FIRST, chunks(SECOND[:7], SECOND[7:])):
        location = (await client.patch(location, body)).headers["Location"]

    assert (await client.put(f"{location}?digest={digest_of(CONTENT)}")).status == 201


async def test_a_chunk_at_the_wrong_place_takes_nothing(client: Client) -> None:
    location = await start_upload(client)
    gap = await client.patch(location, SECOND, {"Content-Range": f"1024-{len(CONTENT) - 1}"})
    check_wrong_offset(gap, location, 0)
    first = await client.patch(location, FIRST, {"Content-Range": "0-1023"})

    for start in (0, 1, 1023, 1025, 5000, 2**62):
        headers = {"Content-Range": f"{start}-{start + 99}"}
        check_wrong_offset(await client.patch(location, 100 * b"x", headers), location, 1024)
        closing = f"{first.headers['Location']}?digest={digest_of(CONTENT)}"
        check_wrong_offset(await client.put(closing, 100 * b"x", headers), location, 1024)

    rest = await client.put(
        f"{gap.headers['Location'].rpartition('.')[0]}.1024?digest={digest_of(CONTENT)}", SECOND
    )
    assert rest.status == 201


async def test_a_content_range_that_can_not_be(client: Client) -> None:
    """400 or 416 whatever it is, and nothing taken."""
    location = await start_upload(client)
    for text in ("abc", "5-2", "", "-", "0-", "-9", "0-9/10", "bytes 0-9/10", "bytes=0-9", "0 - 9", "٠-٩",
                 "0-9,10-19",
                 f"0-{2**70}", f"{2**70}-{2**70 + 9}", "0x0-0x9", "1_0-1_9", "+0-9", "0-0-9"):  # fmt: skip
        request = (
            f"PATCH {location} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nContent-Range: {text}\r\n\r\n"
        )

        answer = await client.exchange(request.encode() + 10 * b"x")

        assert answer.status in (400, 416), text
    assert await offset_of(client, location) == 0


async def test_a_content_range_of_another_length_takes_nothing(client: Client) -> None:
    location = await start_upload(client)

    for range_length, body in (
        (9, 10 * b"x"),
        (11, 10 * b"x"),
        (9, chunks(10 * b"x")),
        (11, chunks(10 * b"x")),
    ):
        headers = {"Content-Range": f"0-{range_length - 1}"}
        assert (await client.patch(location, body, headers)).refusal == (400, "SIZE_INVALID")
    closed = await client.put(
        f"{location}?digest={digest_of(10 * b'x')}", 10 * b"x", {"Content-Range": "0-8"}
    )
    assert closed.refusal == (400, "SIZE_INVALID")
    assert await offset_of(client, location) == 0
    assert (await client.put(f"{location}?digest={digest_of(CONTENT)}", CONTENT)).status == 201


async def test_an_empty_chunk_changes_nothing(client: Client) -> None:
    location = await start_upload(client)
    for body in (None, b"", chunks()):
        answer = await client.patch(location, body)
        assert (answer.status, answer.headers["Range"]) == (202, "0-0")

    assert await offset_of(client, location) == 0


async def test_a_replayed_chunk_is_told_apart(client: Client) -> None:
    """A streamed chunk sent again after its answer was lost: the address it was sent to tells."""
    location = await start_upload(client)
    assert (await client.patch(location, FIRST)).status == 202

    check_wrong_offset(await client.patch(location, FIRST), location, 1024)
    check_wrong_offset(await client.patch(location, FIRST, {"Content-Range": "0-1023"}), location, 1024)
    check_wrong_offset(await client.put(f"{location}?digest={digest_of(FIRST)}", FIRST), location, 1024)

    assert await offset_of(client, location) == 1024
    assert (await client.put(f"{location}?digest={digest_of(FIRST)}")).status == 201, (
        "an empty PUT adds nothing"
    )


async def test_an_address_without_an_offset_appends(client: Client) -> None:
    """Some clients make the address themselves, of Docker-Upload-UUID."""
    location = (await start_upload(client)).rpartition(".")[0]
    for body in (FIRST, SECOND):
        assert (await client.patch(location, body)).status == 202

    assert (await client.put(f"{location}?digest={digest_of(CONTENT)}")).status == 201


@pytest.mark.parametrize("framing", ["Content-Length: 5000", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
async def test_what_came_before_the_client_left_is_kept(client: Client, framing: str, method: str) -> None:
    location = await start_upload(client)
    target = location if method == "PATCH" else f"{location}?digest={digest_of(CONTENT)}"
    body = FIRST if "Length" in framing else f"{len(FIRST):x}\r\n".encode() + FIRST + b"\r\n"
    async with client.socket() as socket:
        await socket.send(f"{method} {target} HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n".encode() + body)
        await asyncio.sleep(0.1)
        socket.abort()

    await until_kept(client, location, 1024)
    assert (await client.head(f"/v2/{REPOSITORY}/blobs/{digest_of(FIRST)}")).status == 404, "not final"
    headers = {"Content-Range": f"1024-{len(CONTENT) - 1}"}
    rest = await client.put(
        f"{location.rpartition('.')[0]}.1024?digest={digest_of(CONTENT)}", SECOND, headers
    )
    assert rest.status == 201
    assert (await client.get(f"/v2/{REPOSITORY}/blobs/{digest_of(CONTENT)}")).body == CONTENT


async def until_kept(client: Client, location: str, size: int) -> None:
    async with asyncio.timeout(10):
        while await offset_of(client, location) != size:
            await asyncio.sleep(0.02)


async def test_a_chunk_that_is_framed_wrongly_is_refused(client: Client) -> None:
    location = await start_upload(client)

    answer = await client.exchange(
        f"PATCH {location} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        + b"5\r\nhello\r\nnot a length\r\n"
    )

    assert answer.status == 400
    assert answer.headers["Connection"] == "close"
    assert await offset_of(client, location) in (0, 5)


async def test_a_whole_upload_that_breaks_off_leaves_nothing(client: Client) -> None:
    digest = digest_of(FIRST)
    async with client.socket() as socket:
        head = f"POST /v2/{REPOSITORY}/blobs/uploads/?digest={digest} HTTP/1.1\r\nHost: a\r\n"
        await socket.send(head.encode() + b"Content-Length: 2000\r\n\r\n" + FIRST)
        await asyncio.sleep(0.1)
        socket.abort()
    await asyncio.sleep(0.1)

    assert (await client.head(f"/v2/{REPOSITORY}/blobs/{digest}")).status == 404
