"""Requests that break HTTP or the grammar of names: refused as errors, never with a 5xx (HARDENING 4)."""

import zlib

import pytest

from tests.http.client import Client, Socket
from tests.http.content import (
    EMPTY_CONFIG,
    MISSING,
    REPOSITORY,
    digest_of,
    push_blob,
    push_image,
    start_upload,
)

UPLOADS = f"/v2/{REPOSITORY}/blobs/uploads/"

POST = b"POST {u} HTTP/1.1\r\nHost: a\r\n"
GET = b"GET /v2/ HTTP/1.1\r\nHost: a\r\n"
REFUSED = {
    "two lengths": POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "the same length twice": POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "a list of lengths": POST + b"Content-Length: 3, 3\r\n\r\nabc",
    "length and chunks": POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    "negative length": POST + b"Content-Length: -1\r\n\r\n",
    "length +3": POST + b"Content-Length: +3\r\n\r\nabc",
    "length 1_0": POST + b"Content-Length: 1_0\r\n\r\nabcdefghij",
    "length 0x3": POST + b"Content-Length: 0x3\r\n\r\nabc",
    "endless length": POST + b"Content-Length: " + 50 * b"9" + b"\r\n\r\n",
    "unknown transfer coding": POST + b"Transfer-Encoding: gzip\r\n\r\nabc",
    "chunked twice": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunked is not the last": POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "no Host": b"GET /v2/ HTTP/1.1\r\n\r\n",
    "two Hosts": GET + b"Host: b\r\n\r\n",
    "the same Host twice": GET + b"Host: a\r\n\r\n",
    "two Authorizations": GET + b"Authorization: Basic YTpi\r\nAuthorization: Bearer x\r\n\r\n",
    "two Content-Ranges": b"PATCH {s} HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n"
    b"Content-Range: 0-0\r\nContent-Range: 1-1\r\n\r\nx",
    "two Ranges": b"GET /v2/a/blobs/{d} HTTP/1.1\r\nHost: a\r\nRange: bytes=0-0\r\nRange: bytes=1-1\r\n\r\n",
    "space before the colon": b"GET /v2/ HTTP/1.1\r\nHost : a\r\n\r\n",
    "folded header": GET + b"X-A: b\r\n c\r\n\r\n",
    "header without colon": GET + b"nonsense\r\n\r\n",
    "NUL in a header": GET + b"X-A: b\0c\r\n\r\n",
    "CR in a header": GET + b"X-A: b\rc\r\n\r\n",
    "space in the target": b"GET /v2/ a HTTP/1.1\r\nHost: a\r\n\r\n",
    "version 9": b"GET /v2/ HTTP/9.9\r\nHost: a\r\n\r\n",
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello \r\n\r\n",
    "no method": b" /v2/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "a method of odd characters": b"G(T /v2/ HTTP/1.1\r\nHost: a\r\n\r\n",
}  # fmt: skip


KEPT_OPEN = {"no Host", "two Hosts", "the same Host twice", "two Authorizations", "two Ranges"}
"""Where the end of the request is not in doubt."""


@pytest.mark.parametrize("index_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("what", REFUSED)
async def test_what_could_be_read_in_two_ways_is_refused(client: Client, what: str) -> None:
    session = await start_upload(client)
    data = REFUSED[what]
    for mark, text in {b"{u}": UPLOADS, b"{s}": session, b"{d}": MISSING}.items():
        data = data.replace(mark, text.encode())

    async with client.socket() as socket:
        await socket.send(data)
        answer = await socket.answer()

        assert answer.status == 400
        if what not in KEPT_OPEN:
            assert answer.headers["Connection"] == "close", "what follows can't be told from a body"
            assert await socket.closed()
    assert (await client.get(session)).headers["Range"] == "0-0", "nothing was taken"


async def test_long_headers_are_refused(client: Client) -> None:
    for data in (
        GET + b"X-Long: " + 100_000 * b"a" + b"\r\n\r\n",
        GET + b"" + 100_000 * b"a" + b": b\r\n\r\n",
        b"GET /v2/" + 100_000 * b"a" + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    ):
        answer = await client.exchange(data)
        assert answer.status in (400, 414, 431)
        assert answer.headers["Connection"] == "close"


async def test_endless_headers_are_refused(client: Client) -> None:
    """Header after header, none of them long: the registry must not go on collecting them."""
    fields = 1000 * b"X-A: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n"

    async def send(socket: Socket, count: int) -> None:
        for _ in range(count):
            await socket.send(fields)

    async with client.socket() as socket:
        await socket.send(GET + b"")
        with pytest.raises(ConnectionError):  # 64 MiB is more than the sockets' own buffers hold
            await send(socket, 64 * 1024 * 1024 // len(fields))


async def test_long_urls(client: Client) -> None:
    for path in (
        f"/v2/{'a' * 8192}/tags/list",
        f"/v2/{'a/' * 4096}a/manifests/latest",
        f"/v2/a/manifests/{'a' * 8192}",
        f"/v2/a/blobs/sha256:{'a' * 8192}",
        f"/v2/a/blobs/uploads/{'a' * 8192}",
    ):
        answer = await client.get(path)
        assert answer.status in (400, 404, 414), path
    assert (await client.get(f"/v2/_catalog?last={'a' * 8192}")).status == 200


METHODS = {
    "/v2/": {"GET", "HEAD"},
    "/v2/_catalog": {"GET"},
    "/v2/a/tags/list": {"GET"},
    f"/v2/a/referrers/{MISSING}": {"GET"},
    "/v2/a/manifests/latest": {"GET", "HEAD", "PUT", "DELETE"},
    f"/v2/a/blobs/{MISSING}": {"GET", "HEAD", "DELETE"},
    "/v2/a/blobs/uploads/": {"POST"},
    "/v2/a/blobs/uploads/x": {"GET", "HEAD", "PATCH", "PUT", "DELETE"},
}


async def test_a_wrong_method_is_told_the_right_ones(client: Client) -> None:
    for path, methods in METHODS.items():
        for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} - methods:
            answer = await client.request(method, path)
            assert answer.status == 405, (method, path)
            assert methods <= set(answer.headers["Allow"].split(", ")), path
            if method != "HEAD":
                assert answer.code == "UNSUPPORTED"
    assert (await client.exchange(b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n")).status in (400, 404, 405)


BAD_NAMES = [
    "UPPER", "a/Upper", "-a", "a-", "_a", ".a", "a.", "a..b", "a___b", "a._b", "a//b", "/a", "a/", "a/-b",
    "a%20b", "a%00", "a%0A",
    "%0Aa", "..", "../..", "a/../b", "a/./b", "%2e%2e", "%2e%2e/%2e%2e/etc", "%2e%2e%2fetc", "a%2Fb",
    "a%2fb", "%252e", "a%5cb",
    "a\\b", "%ff", "%c3%28", "%ED%A0%80", "caf%C3%A9", "%D0%B0bc", "a%E2%80%AEb", "a%F0%9F%98%80", "a:b",
    "a@b", "a+b", "a,b", "a;b",
    "a&b", "a=b", "a~b", "a*", "a'b", 'a"b', "a<b", "a|b", "a%", "a%zz", 256 * "a", 127 * "a/" + "aa",
    "%D9%A1",
]  # fmt: skip


async def test_bad_names(client: Client) -> None:
    requests = [("GET", "tags/list"), ("GET", "manifests/latest"), ("PUT", "manifests/latest"), ("POST",
                "blobs/uploads/"),
                ("GET", f"blobs/{MISSING}"), ("GET", f"referrers/{MISSING}"), ("DELETE",
                f"blobs/{MISSING}")]  # fmt: skip
    for name in BAD_NAMES:
        for method, rest in requests:
            async with client.socket() as socket:
                await socket.send(
                    f"{method} /v2/{name}/{rest} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n".encode()
                )
                answer = await socket.answer()
            assert answer.status in (400, 404), (method, name)
            if len(name) < 8 and name.isascii() and "%" not in name and "." not in name:
                assert answer.refusal == (400, "NAME_INVALID"), (method, name)
    assert (await client.get("/v2/_catalog")).json == {"repositories": []}


async def test_good_names(client: Client) -> None:
    names = ["a", "0", "a-b", "a--b", "a---b", "a.b", "a_b", "a__b", "a/b/c/d/e/f", "blobs", "manifests",
             "uploads", "tags",
             "list", "v2", "blobs/uploads", "a/blobs/uploads", "tags/list", "referrers/x",
             "manifests/latest", 255 * "a"]  # fmt: skip
    for name in names:
        body = await push_image(client, "latest", name)
        assert (await client.get(f"/v2/{name}/manifests/latest")).body == body, name
        assert (await client.get(f"/v2/{name}/manifests/{digest_of(body)}")).body == body, name
        assert (await client.get(f"/v2/{name}/blobs/{digest_of(EMPTY_CONFIG)}")).body == EMPTY_CONFIG, name
        assert (await client.get(f"/v2/{name}/tags/list")).json == {"name": name, "tags": ["latest"]}
        assert (await client.get(f"/v2/{name}/referrers/{digest_of(body)}")).status == 200
        session = await start_upload(client, name)
        assert (await client.put(f"{session}?digest={digest_of(b'x')}", b"x")).status == 201
        await push_image(client, "%6Catest", name)
    assert (await client.get("/v2/_catalog")).json == {"repositories": sorted(names)}


async def test_bad_digests(client: Client) -> None:
    await push_blob(client, EMPTY_CONFIG)
    bad = ["latest", "sha256", "sha256:", ":", f"sha256:{63 * '0'}", f"sha256:{65 * '0'}",
           f"sha256:{64 * 'A'}", f"sha256:{64 * 'g'}",
           f"SHA256:{64 * '0'}", f"sha512:{64 * '0'}", f"md5:{32 * '0'}", f"{MISSING}%0A", f"{MISSING}%00",
           f"%20{MISSING}",
           f"sha256%3A{63 * '0'}", f"..%2F..%2F{MISSING}", "%ff", "%2e%2e",
           f"sha256:{64 * '%D9%A1'}"]  # fmt: skip
    for digest in bad:
        for method in ("GET", "DELETE"):
            answer = await client.request(method, f"/v2/{REPOSITORY}/blobs/{digest}")
            assert answer.refusal == (400, "DIGEST_INVALID"), (method, digest)
        assert (await client.head(f"/v2/{REPOSITORY}/blobs/{digest}")).status == 400
    encoded = digest_of(EMPTY_CONFIG).replace(":", "%3A")
    assert (await client.get(f"/v2/{REPOSITORY}/blobs/{encoded}")).body == EMPTY_CONFIG, (
        "a colon may be encoded"
    )


async def test_bad_queries(client: Client) -> None:
    await push_image(client, "latest")
    for query in ("last=%ff", "last=%c3%28", "last=%ED%A0%80", "&".join(f"a{n}=" for n in range(2000))):
        for path in (f"/v2/{REPOSITORY}/tags/list", "/v2/_catalog", f"/v2/{REPOSITORY}/referrers/{MISSING}"):
            answer = await client.get(f"{path}?{query}")
            assert answer.status in (200, 400), (path, query)
        assert (await client.post(f"{UPLOADS}?{query}")).status in (202, 400)


async def test_bytes_that_are_no_text_in_the_target(client: Client) -> None:
    session = await start_upload(client)
    targets = [b"/v2/\xff/tags/list", b"/v2/a\xc3\xa9/manifests/latest", b"/v2/_catalog?last=\xff",
               b"/v2/_catalog?n=\xd9\xa1",
               b"/v2/" + REPOSITORY.encode() + b"/tags/list?last=\xe9", session.encode() + b"\xff",
               b"/\xff", b"/v2/\x80",
               b"/v2/a/referrers/" + MISSING.encode() + b"?artifactType=\xff&last=\xfe",
               b"/v2/a/manifests/\xff"]  # fmt: skip
    await push_image(client, "latest")
    for target in targets:
        answer = await client.exchange(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n")
        assert answer.status in (200, 400, 404), target
    posted = await client.exchange(
        b"POST "
        + UPLOADS.encode()
        + b"?mount=\xff&from=\xff HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
    )
    assert posted.status == 400


async def test_a_body_that_claims_to_be_compressed_stays_as_it_is(client: Client) -> None:
    """A few bytes must not become many, and digests are of what was sent."""
    bomb = zlib.compress(50_000_000 * b"\0")
    session = await start_upload(client)

    appended = await client.patch(session, bomb, {"Content-Encoding": "deflate"})
    assert appended.headers["Range"] == f"0-{len(bomb) - 1}"
    assert (await client.put(f"{appended.headers['Location']}?digest={digest_of(bomb)}")).status == 201
    manifest = await client.put(
        f"/v2/{REPOSITORY}/manifests/latest", zlib.compress(b"{}"), {"Content-Encoding": "deflate"}
    )
    assert manifest.refusal == (400, "MANIFEST_INVALID")


async def test_whoever_is_refused_is_not_told_to_go_on(client: Client) -> None:
    """`Expect: 100-continue`: the answer at once where there is nothing to send, else 100 before it."""
    async with client.socket() as socket:
        await socket.send(
            f"PATCH {UPLOADS}unknown HTTP/1.1\r\nHost: a\r\n".encode()
            + b"Expect: 100-continue\r\nContent-Length: 9\r\n\r\n"
        )
        answer = await socket.answer()
        assert answer.refusal == (404, "BLOB_UPLOAD_UNKNOWN")
        assert answer.headers["Connection"] == "close"
    async with client.socket() as socket:
        head = f"POST {UPLOADS}?digest={digest_of(b'123456789')} HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n"
        await socket.send(head.encode() + b"Expect: 100-continue\r\n\r\n")
        assert await socket.line() == b"HTTP/1.1 100 Continue\r\n"
        assert await socket.line() == b"\r\n"
        await socket.send(b"123456789")
        assert (await socket.answer()).status == 201


async def test_an_expectation_that_is_not_known(client: Client) -> None:
    answer = await client.exchange(GET + b"Expect: the-moon\r\n\r\n")

    assert answer.status in (200, 417)


async def test_an_early_answer_reaches_a_client_that_is_still_sending(client: Client) -> None:
    """The rest of the body is read for a while: a reset would destroy the answer on its way."""
    answer = await client.put(f"/v2/UPPER/blobs/uploads/x?digest={MISSING}", 3_000_000 * b"x")

    assert answer.refusal == (400, "NAME_INVALID")
    assert answer.headers["Connection"] == "close"


async def test_the_connection_stays_open_after_an_error(client: Client) -> None:
    async with client.socket() as socket:
        for path, status in {
            "/v2/a/tags/list": 404,
            "/v2/UPPER/tags/list": 400,
            "/nothing": 404,
            "/v2/": 200,
        }.items():
            await socket.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            assert (await socket.answer()).status == status


async def test_http_1_0(client: Client) -> None:
    async with client.socket() as socket:
        await socket.send(b"GET /v2/ HTTP/1.0\r\n\r\n")
        assert (await socket.answer()).status == 200
        assert await socket.closed()


async def test_the_absolute_form_of_a_target(client: Client) -> None:
    """RFC 9112 section 3.2.2: a server must accept it."""
    answer = await client.exchange(
        b"GET http://registry.example/v2/ HTTP/1.1\r\nHost: registry.example\r\n\r\n"
    )

    assert (answer.status, answer.json) == (200, {})
