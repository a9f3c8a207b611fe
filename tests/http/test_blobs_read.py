"""GET and HEAD of a blob: whole, in ranges, on conditions (distribution-spec, end-2; RFC 9110)."""

import re
from email import message_from_bytes
from typing import Any

import pytest

from tests.http.client import Client
from tests.http.content import MISSING, REPOSITORY, digest_of, push_blob

SMALL = bytes(range(256)) * 20
LARGE = bytes(range(251)) * 1200
"""More than the registry keeps in memory: it is sent from the file."""


@pytest.mark.parametrize("content", [SMALL, LARGE, b"", b"{}"], ids=["small", "large", "empty", "config"])
@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_a_blob_comes_back_as_it_was_pushed(client: Client, content: bytes, algorithm: str) -> None:
    digest = await push_blob(client, content, algorithm=algorithm)

    for answer in (
        await client.get(f"/v2/{REPOSITORY}/blobs/{digest}"),
        await client.head(f"/v2/{REPOSITORY}/blobs/{digest}"),
    ):
        assert answer.status == 200
        assert answer.headers["Docker-Content-Digest"] == digest
        assert answer.headers["Content-Length"] == str(len(content))
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert answer.headers["ETag"] == f'"{digest}"'
        assert answer.headers["Accept-Ranges"] == "bytes"
        assert "max-age=31536000" in answer.headers["Cache-Control"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Disposition"] == "attachment"
    assert (await client.get(f"/v2/{REPOSITORY}/blobs/{digest}")).body == content


async def test_an_unknown_blob_is_unknown(client: Client) -> None:
    await push_blob(client, SMALL)

    for repository in (REPOSITORY, "nobody/knows"):
        assert (await client.get(f"/v2/{repository}/blobs/{MISSING}")).refusal == (404, "BLOB_UNKNOWN")
        assert (await client.head(f"/v2/{repository}/blobs/{MISSING}")).status == 404


async def test_a_blob_of_another_repository_is_unknown(client: Client) -> None:
    digest = await push_blob(client, SMALL, "theirs")
    await push_blob(client, b"something else", "ours")

    assert (await client.get(f"/v2/ours/blobs/{digest}")).refusal == (404, "BLOB_UNKNOWN")
    assert (await client.head(f"/v2/ours/blobs/{digest}")).status == 404
    ranged = await client.get(f"/v2/ours/blobs/{digest}", {"Range": "bytes=0-1"})
    assert ranged.refusal == (404, "BLOB_UNKNOWN")


RANGES = {
    "bytes=500-1499": (500, 1500),
    "bytes=500-": (500, None),
    "bytes=-500": (-500, None),
    "bytes=0-0": (0, 1),
    "bytes=2000-99999999": (2000, None),
    "bytes=-99999999": (0, None),
    "Bytes=0-9": (0, 10),
    "bytes=0-9,": (0, 10),
}
"""What is asked, and the slice that it means."""


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
async def test_a_range(client: Client, content: bytes) -> None:
    digest = await push_blob(client, content)

    for header, (start, stop) in RANGES.items():
        answer = await client.get(f"/v2/{REPOSITORY}/blobs/{digest}", {"Range": header})

        first, last, _ = slice(start, stop).indices(len(content))
        assert answer.status == 206, header
        assert answer.body == content[start:stop], header
        assert answer.headers["Content-Range"] == f"bytes {first}-{last - 1}/{len(content)}"
        assert answer.headers["Docker-Content-Digest"] == digest


async def test_a_range_outside_the_blob(client: Client) -> None:
    digest = await push_blob(client, SMALL)

    for header in (f"{len(SMALL)}-", "500-0", "99999-999999", "-0", f"{10**40}-", "0-1,9-8"):
        answer = await client.get(f"/v2/{REPOSITORY}/blobs/{digest}", {"Range": f"bytes={header}"})

        assert answer.refusal == (416, "SIZE_INVALID"), header
        assert answer.headers["Content-Range"] == f"bytes */{len(SMALL)}"


async def test_no_range_of_an_empty_blob_exists(client: Client) -> None:
    digest = await push_blob(client, b"")

    answer = await client.get(f"/v2/{REPOSITORY}/blobs/{digest}", {"Range": "bytes=0-"})

    assert answer.refusal == (416, "SIZE_INVALID")
    assert answer.headers["Content-Range"] == "bytes */0"


async def test_a_range_that_says_nothing_is_ignored(client: Client) -> None:
    digest = await push_blob(client, SMALL)

    for header in (
        "lines=0-9",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=0-9x",
        "bytes=1_0-2_0",
        "bytes=٠-٩",
    ):
        head = f"GET /v2/{REPOSITORY}/blobs/{digest} HTTP/1.1\r\nHost: a\r\nRange: {header}\r\n\r\n"
        answer = await client.exchange(head.encode())

        assert (answer.status, answer.body) == (200, SMALL), header


async def test_a_range_of_a_head_request_is_ignored(client: Client) -> None:
    digest = await push_blob(client, SMALL)

    answer = await client.head(f"/v2/{REPOSITORY}/blobs/{digest}", {"Range": "bytes=0-9"})

    assert (answer.status, answer.headers["Content-Length"]) == (200, str(len(SMALL)))


def parts_of(content_type: str, body: bytes) -> list[tuple[str, bytes]]:
    """Content-Range and bytes of each part of a multipart body, as Python's own mail parser reads it."""
    message = message_from_bytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body)
    assert not message.defects
    parts: Any = message.get_payload()
    return [(part["Content-Range"], part.get_payload(decode=True)) for part in parts]


@pytest.mark.parametrize("large", [False, True], ids=["small", "large"])
async def test_several_ranges_come_one_part_each_in_the_order_asked(client: Client, large: bool) -> None:
    """podman takes the parts for the ranges it asked for, one by one: none merged, none sorted."""
    content = (b"0123456789abcdef" * 64) * (100 if large else 1)
    digest = await push_blob(client, content)

    answer = await client.get(
        f"/v2/{REPOSITORY}/blobs/{digest}", {"Range": "bytes=100-199, 0-49,50-99 ,40-60, -16"}
    )

    size = len(content)
    assert answer.status == 206
    assert re.fullmatch(r"multipart/byteranges; boundary=\w+", answer.headers["Content-Type"])
    assert "Content-Range" not in answer.headers
    assert parts_of(answer.headers["Content-Type"], answer.body) == [
        (f"bytes 100-199/{size}", content[100:200]),
        (f"bytes 0-49/{size}", content[:50]),
        (f"bytes 50-99/{size}", content[50:100]),
        (f"bytes 40-60/{size}", content[40:61]),
        (f"bytes {size - 16}-{size - 1}/{size}", content[-16:]),
    ]


async def test_a_range_past_the_end_is_left_out_of_several(client: Client) -> None:
    digest = await push_blob(client, SMALL)

    answer = await client.get(f"/v2/{REPOSITORY}/blobs/{digest}", {"Range": "bytes=0-1,99999-"})

    assert (answer.status, answer.body) == (206, SMALL[:2])


async def test_a_thousand_ranges_are_bounded(client: Client) -> None:
    digest = await push_blob(client, SMALL)
    path = f"/v2/{REPOSITORY}/blobs/{digest}"

    overlapping = await client.get(path, {"Range": "bytes=" + ",".join(["0-"] * 1000)})
    many = await client.get(path, {"Range": "bytes=" + ",".join(f"{n}-{n}" for n in range(1024))})
    too_many = await client.get(path, {"Range": "bytes=" + ",".join(["0-0"] * 1025)})

    assert (overlapping.status, overlapping.body) == (200, SMALL)
    assert len(parts_of(many.headers["Content-Type"], many.body)) == 1024
    assert too_many.refusal == (400, "UNSUPPORTED"), "which tells podman to ask for fewer"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_what_the_client_has_is_not_sent_again(client: Client, method: str) -> None:
    digest = await push_blob(client, SMALL)

    for form in ('"{}"', "{}", 'W/"{}"', '"sha256:0", "{}"', "*"):
        headers = {"If-None-Match": form.format(digest)}
        answer = await client.request(method, f"/v2/{REPOSITORY}/blobs/{digest}", headers=headers)

        assert answer.status == 304, form
        assert answer.headers["ETag"] == f'"{digest}"'


async def test_what_the_client_has_not_is_sent(client: Client) -> None:
    digest = await push_blob(client, SMALL)

    answer = await client.get(f"/v2/{REPOSITORY}/blobs/{digest}", {"If-None-Match": f'"{digest_of(b"")}"'})

    assert (answer.status, answer.body) == (200, SMALL)


async def test_if_none_match_of_an_unknown_blob_is_no_match(client: Client) -> None:
    answer = await client.get(f"/v2/{REPOSITORY}/blobs/{MISSING}", {"If-None-Match": "*"})

    assert answer.refusal == (404, "BLOB_UNKNOWN")


async def test_several_lines_of_if_none_match_are_one_list(client: Client) -> None:
    digest = await push_blob(client, SMALL)

    answer = await client.get(
        f"/v2/{REPOSITORY}/blobs/{digest}", [("If-None-Match", '"x"'), ("If-None-Match", f'"{digest}"')]
    )

    assert answer.status == 304


async def test_if_range_holds_for_the_digest_only(client: Client) -> None:
    digest = await push_blob(client, SMALL)
    forms = {f'"{digest}"': 206, f'W/"{digest}"': 200, "Sat, 21 Nov 2026 00:00:00 GMT": 200, '"x"': 200}

    for form, status in forms.items():
        headers = {"Range": "bytes=0-9", "If-Range": form}
        answer = await client.get(f"/v2/{REPOSITORY}/blobs/{digest}", headers)

        assert (answer.status, answer.body) == (status, SMALL[:10] if status == 206 else SMALL), form


async def test_content_is_never_encoded(client: Client) -> None:
    digest = await push_blob(client, LARGE)

    answer = await client.get(f"/v2/{REPOSITORY}/blobs/{digest}", {"Accept-Encoding": "zstd, gzip, deflate"})

    assert answer.body == LARGE


async def test_two_requests_sent_at_once_are_answered_in_their_order(client: Client) -> None:
    large, small = await push_blob(client, LARGE), await push_blob(client, SMALL)
    heads = [
        f"GET /v2/{REPOSITORY}/blobs/{digest} HTTP/1.1\r\nHost: a\r\n\r\n" for digest in (large, small, large)
    ]

    async with client.socket() as socket:
        await socket.send("".join(heads).encode())

        assert [(await socket.answer()).body for _ in heads] == [LARGE, SMALL, LARGE]
