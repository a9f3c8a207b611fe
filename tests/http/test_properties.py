"""Whatever is sent, no answer is a 5xx, and once routed every refusal is an OCI error body.

The form of every answer is checked by the client itself (`check_invariants`).
"""

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from registry.oci.media_types import OCI_INDEX, OCI_MANIFEST
from tests.http.client import Client
from tests.http.content import EMPTY_CONFIG, MISSING, REPOSITORY, digest_of, image, push_blob, start_upload

bounded = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
"""The registry is the same for all examples of a test: what one leaves behind is there for the next."""

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
TARGET_BYTES = st.integers(0x21, 0xFF).filter(lambda byte: byte != 0x7F)

target = st.lists(TARGET_BYTES, max_size=40).map(bytes)
"""Bytes that an HTTP parser takes as part of a request's target."""

field_value = st.lists(st.integers(0x20, 0xFF).filter(lambda byte: byte != 0x7F), max_size=60).map(bytes)
"""Bytes that an HTTP parser takes as the value of a header field."""

segment = st.one_of(
    target,
    st.sampled_from(
        [b"a", b"_catalog", b"blobs", b"manifests", b"uploads", b"tags", b"list", b"referrers", b"latest",
        b"", b"..", b"%00",
         b"%ff", b"%2f", b"v2", MISSING.encode(), b"sha256:", b"%"]
    ),
)  # fmt: skip
parameter = st.tuples(
    st.sampled_from(
        [b"n", b"last", b"digest", b"mount", b"from", b"tag", b"artifactType", b"digest-algorithm", b"ns"]
    ),
    st.one_of(
        target, st.sampled_from([b"1", b"%00", b"%ff", b"a%00b", MISSING.encode(), b"-1", b"%ED%A0%80"])
    ),
)


async def send(
    client: Client, method: str, path: bytes, fields: list[tuple[bytes, bytes]], body: bytes = b""
) -> None:
    head = b"".join(name + b": " + value + b"\r\n" for name, value in fields)
    length = str(len(body)).encode()
    async with client.socket() as socket:
        await socket.send(
            method.encode()
            + b" "
            + path
            + b" HTTP/1.1\r\nHost: a\r\nContent-Length: "
            + length
            + b"\r\n"
            + head
            + b"\r\n"
            + body
        )
        answer = await socket.answer(method)
    assert answer.status < 500, answer


@bounded
@given(
    method=st.sampled_from(METHODS),
    path=st.lists(segment, max_size=7),
    query=st.lists(parameter, max_size=3),
    body=st.binary(max_size=20),
)
async def test_any_path_and_query(
    client: Client, method: str, path: list[bytes], query: list[tuple[bytes, bytes]], body: bytes
) -> None:
    joined = b"&".join(name + b"=" + value for name, value in query)

    await send(client, method, b"/v2/" + b"/".join(path) + b"?" + joined, [], body)


@bounded
@given(
    route=st.sampled_from(
        [("GET", "tags/list"), ("GET", "../_catalog"), ("GET", f"referrers/{MISSING}"), ("POST",
        "blobs/uploads/"),
         ("PUT", f"manifests/{digest_of(image())}"), ("PUT", "blobs/uploads/x")]
    ),
    query=st.lists(parameter, min_size=1, max_size=3),
)  # fmt: skip
async def test_any_query_of_a_known_path(
    client: Client, route: tuple[str, str], query: list[tuple[bytes, bytes]]
) -> None:
    await push_blob(client, EMPTY_CONFIG)
    method, rest = route
    path = f"/v2/{REPOSITORY}/{rest}".replace(f"{REPOSITORY}/../", "")
    body = image() if method == "PUT" else b""

    await send(
        client,
        method,
        path.encode() + b"?" + b"&".join(name + b"=" + value for name, value in query),
        [],
        body,
    )


FIELDS = ["Range", "If-Range", "If-None-Match", "If-Match", "Accept", "Accept-Encoding", "Content-Type",
          "Content-Encoding",
          "Content-Range", "Forwarded", "X-Forwarded-Host", "Expect", "Connection", "Authorization",
          "Cookie", "Upgrade", "TE",
          "OCI-Namespace", "If-Modified-Since", "X-HTTP-Method-Override"]  # fmt: skip


@bounded
@given(
    method=st.sampled_from(["GET", "HEAD", "PUT", "DELETE"]),
    path=st.sampled_from(
        [f"blobs/{digest_of(EMPTY_CONFIG)}", "manifests/latest", "tags/list", f"referrers/{MISSING}"]
    ),
    fields=st.lists(st.tuples(st.sampled_from(FIELDS).map(str.encode), field_value), max_size=4),
)
async def test_any_header_fields(
    client: Client, method: str, path: str, fields: list[tuple[bytes, bytes]]
) -> None:
    await push_blob(client, EMPTY_CONFIG)

    await send(
        client, method, f"/v2/{REPOSITORY}/{path}".encode(), fields, image() if method == "PUT" else b""
    )


range_text = st.one_of(
    field_value,
    st.lists(
        st.tuples(st.integers(-1, 40), st.one_of(st.none(), st.integers(-1, 10**20))).map(
            lambda pair: f"{'' if pair[0] < 0 else pair[0]}-{'' if pair[1] is None else pair[1]}"
        ),
        max_size=5,
    ).map(lambda ranges: f"bytes={','.join(ranges)}".encode()),
)


@bounded
@given(header=range_text)
async def test_any_range(client: Client, header: bytes) -> None:
    """What is sent is what was asked for: 200 with all, 206 with a part of the length that it says."""
    content = bytes(range(30))
    digest = await push_blob(client, content)

    answer = await client.exchange(
        f"GET /v2/{REPOSITORY}/blobs/{digest} HTTP/1.1\r\nHost: a\r\nRange: ".encode() + header + b"\r\n\r\n"
    )

    assert answer.status in (200, 206, 400, 416), answer
    if answer.status == 200:
        assert answer.body == content
    if answer.status == 206 and "Content-Range" in answer.headers:
        span, _, size = answer.headers["Content-Range"].removeprefix("bytes ").partition("/")
        first, last = map(int, span.split("-"))
        assert (answer.body, size) == (content[first : last + 1], "30")


@bounded
@given(
    header=st.one_of(
        field_value,
        st.tuples(st.integers(0, 12), st.integers(0, 12)).map(lambda pair: f"{pair[0]}-{pair[1]}".encode()),
        st.tuples(st.integers(0, 2**70), st.integers(0, 2**70)).map(
            lambda pair: f"{pair[0]}-{pair[1]}".encode()
        ),
    ),
    length=st.integers(0, 12),
)
async def test_any_content_range(client: Client, header: bytes, length: int) -> None:
    """Bytes are taken if, and only if, they are said to be where they belong and as many as there are."""
    location = await start_upload(client)
    request = f"PATCH {location} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\nContent-Range: ".encode()

    answer = await client.exchange(request + header + b"\r\n\r\n" + length * b"x")

    fits = header.strip() == f"0-{length - 1}".encode()
    assert answer.status == 202 if fits else answer.status in (400, 416), answer
    kept = (await client.get(location)).headers["Location"].rpartition(".")[2]
    assert kept == str(length if fits else 0)


json_value: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=True),
        st.text(max_size=8),
        st.just(MISSING),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(
                st.sampled_from(["mediaType", "digest", "size", "urls", "annotations", "platform"]),
                st.text(max_size=4),
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=8,
)
members = [
    "schemaVersion",
    "mediaType",
    "artifactType",
    "config",
    "layers",
    "manifests",
    "subject",
    "annotations",
    "x",
]


@bounded
@given(
    body=st.one_of(
        st.binary(max_size=80),
        json_value.map(lambda value: json.dumps(value).encode("utf-8", "surrogatepass")),
        st.dictionaries(st.sampled_from(members), json_value, max_size=3).map(
            lambda changed: json.dumps({**json.loads(image()), **changed}).encode("utf-8", "surrogatepass")
        ),
    ),
    media_type=st.one_of(
        st.none(), st.sampled_from([OCI_MANIFEST, OCI_INDEX]), field_value.map(lambda v: v.decode("latin-1"))
    ),
)
async def test_any_manifest(client: Client, body: bytes, media_type: str | None) -> None:
    """It is refused, or it comes back as it was sent."""
    await push_blob(client, EMPTY_CONFIG)
    fields = f"Content-Length: {len(body)}\r\n"
    if media_type is not None:
        fields += f"Content-Type: {media_type}\r\n"
    head = f"PUT /v2/{REPOSITORY}/manifests/any HTTP/1.1\r\nHost: a\r\n{fields}\r\n"

    answer = await client.exchange(head.encode("latin-1") + body)

    assert answer.status in (201, 400), answer
    if answer.status == 201:
        pulled = await client.get(f"/v2/{REPOSITORY}/manifests/any")
        assert pulled.body == body
        assert pulled.headers["Docker-Content-Digest"] == digest_of(body)


@bounded
@given(data=st.binary(min_size=1, max_size=200))
async def test_any_bytes_at_all(client: Client, data: bytes) -> None:
    """Whatever comes instead of HTTP, the next client is served."""
    async with client.socket() as socket:
        await socket.send(data + b"\r\n\r\n")
    assert (await client.get("/v2/")).status == 200
