"""Several ranges in one request (RFC 9110, section 14.6), which podman's partial pulls send."""

import re
from email.message import Message
from email.parser import BytesParser

import pytest

from conformance.client import Response
from conformance.content import random_bytes
from conformance.repository import Repository

pytestmark = pytest.mark.section("Several ranges")

SIZE = 4096


def parts(response: Response) -> list[tuple[str, bytes]]:
    """Content-Range and bytes of each part, cut by the lengths that Content-Range tells."""
    content_type = response.header("Content-Type") or ""
    header: Message = BytesParser().parsebytes(f"Content-Type: {content_type}\n\n".encode())
    assert header.get_content_type() == "multipart/byteranges", content_type
    delimiter = b"--" + str(header.get_param("boundary")).encode()
    found = []
    rest = response.body[response.body.index(delimiter) :]
    while not rest.startswith(delimiter + b"--"):
        head, _, rest = rest.partition(b"\r\n\r\n")
        line = re.search(rb"(?i)content-range: *(bytes (\d+)-(\d+)/\d+)", head)
        assert line, f"a part without Content-Range: {head!r}"
        length = int(line[3]) - int(line[2]) + 1
        found.append((line[1].decode(), rest[:length]))
        rest = rest[length:].removeprefix(b"\r\n")
        assert rest.startswith(delimiter), "a part is not as long as its Content-Range says"
    return found


@pytest.mark.should
def test_several_ranges__should_be_answered_in_parts(repository: Repository) -> None:
    """Several ranges answer 206 with multipart/byteranges, or 200 with the whole blob"""
    content, digest = repository.push_blob(random_bytes(SIZE))
    response = repository.get(repository.blob(digest), {"Range": "bytes=0-9, 1000-1099"})
    if response.status == 200:
        assert response.body == content
    else:
        assert response.status == 206
        assert [body for _, body in parts(response)] == [content[:10], content[1000:1100]]


@pytest.mark.expected
def test_several_ranges__expected_one_part_each_in_order(repository: Repository) -> None:
    """Each range asked for is a part of its own, in the order asked, adjoining ones too"""
    content, digest = repository.push_blob(random_bytes(SIZE))
    asked = [(0, 9), (10, 19), (1000, 1099), (1050, 1149), (4000, 4095)]
    ranges = ",".join(f"{first}-{last}" for first, last in asked)
    response = repository.get(repository.blob(digest), {"Range": f"bytes={ranges}"})
    assert response.status == 206
    assert parts(response) == [
        (f"bytes {first}-{last}/{SIZE}", content[first : last + 1]) for first, last in asked
    ]


@pytest.mark.expected
def test_several_ranges__expected_many(repository: Repository) -> None:
    """Sixty ranges in one request are served"""
    content, digest = repository.push_blob(random_bytes(SIZE))
    ranges = ",".join(f"{start}-{start + 9}" for start in range(0, 1200, 20))
    response = repository.get(repository.blob(digest), {"Range": f"bytes={ranges}"})
    assert [body for _, body in parts(response)] == [content[s : s + 10] for s in range(0, 1200, 20)]


@pytest.mark.expected
def test_several_ranges__expected_bound(repository: Repository) -> None:
    """A thousand overlapping ranges answer 400, or no more bytes than the blob has"""
    _, digest = repository.push_blob(random_bytes(SIZE))
    ranges = ",".join(["0-"] * 1000)
    response = repository.get(repository.blob(digest), {"Range": f"bytes={ranges}"})
    assert response.status in (200, 206, 400)
    assert len(response.body) <= SIZE
