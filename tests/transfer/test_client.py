"""The client of any registry, at one that answers as it is told: what it waits for, follows and refuses."""

import base64
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from registry.oci.descriptor import Descriptor
from registry.oci.digest import Digest
from registry.transfer.challenges import parse_challenges
from registry.transfer.client import Client
from registry.transfer.content import Pieces, Read
from registry.transfer.credentials import Credentials, from_engines
from registry.transfer.errors import Damaged, Interrupted, Refused, TransferError
from registry.transfer.patience import Patience, retry_after
from registry.transfer.remote import RemoteSource
from registry.transfer.sessions import Sessions
from registry.transfer.uploads import Uploads
from tests.transfer.conftest import knows

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

HURRY = Patience(attempts=4, first=0)
DATA = bytes(range(256)) * 40
BLOB = Descriptor("application/octet-stream", Digest.of(DATA), len(DATA))


class Told:
    """A registry whose every answer is made by `handler`. `seen` has what it was asked."""

    def __init__(self, handler: Handler) -> None:
        self.seen: list[web.BaseRequest] = []
        self._handler = handler

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        return await self._handler(request)


@pytest.fixture
async def told() -> AsyncIterator[Callable[[Handler], Awaitable[tuple[Told, str]]]]:
    servers: list[TestServer] = []

    async def start(handler: Handler) -> tuple[Told, str]:
        registry = Told(handler)
        application = web.Application(client_max_size=1 << 24)
        application.router.add_route("*", "/{path:.*}", registry.answer)
        servers.append(TestServer(application))
        await servers[-1].start_server()
        return registry, f"http://127.0.0.1:{servers[-1].port}"

    yield start
    for server in servers:
        await server.close()


Start = Callable[[Handler], Awaitable[tuple[Told, str]]]


async def whole(client: Client, blob: Descriptor = BLOB, offset: int = 0) -> bytes:
    return b"".join([piece async for piece in RemoteSource(client).blob("acme/app", blob, offset)])


async def test_a_blob_goes_on_where_its_connection_broke(told: Start) -> None:
    async def broken(request: web.Request) -> web.StreamResponse:
        begin = int(request.headers.get("Range", "bytes=0-")[6:-1])
        response = web.StreamResponse(status=206 if begin else 200)
        if begin:
            response.headers["Content-Range"] = f"bytes {begin}-{len(DATA) - 1}/{len(DATA)}"
        response.content_length = len(DATA) - begin
        await response.prepare(request)
        await response.write(DATA[begin : begin + 3000])
        if begin + 3000 < len(DATA):
            assert request.transport is not None
            request.transport.close()
        return response

    registry, server = await told(broken)
    async with Client(server, patience=Patience(attempts=2, first=0)) as client:
        assert await whole(client) == DATA
    assert len(registry.seen) == 4


async def test_a_registry_without_ranges_is_read_from_the_start(told: Start) -> None:
    async def all_of_it(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=DATA)

    _, server = await told(all_of_it)
    async with Client(server, patience=HURRY) as client:
        assert await whole(client, offset=5000) == DATA[5000:]


async def test_what_is_busy_is_asked_again(told: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr("registry.transfer.patience.asyncio.sleep", sleep)
    answers = [
        web.Response(status=429, headers={"Retry-After": "7"}),
        web.Response(status=503),
        web.json_response({"name": "acme/app", "tags": ["one"]}),
    ]

    async def busy(_request: web.Request) -> web.StreamResponse:
        return answers.pop(0)

    _, server = await told(busy)
    async with Client(server, patience=HURRY) as client:
        assert await RemoteSource(client).tags("acme/app") == ["one"]
    assert waited == [7, 0]


async def test_what_stays_busy_is_told(told: Start) -> None:
    async def busy(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"errors": [{"code": "UNAVAILABLE", "message": "not \x1bnow"}]}, status=503)

    registry, server = await told(busy)
    async with Client(server, patience=HURRY) as client:
        with pytest.raises(Interrupted, match=r"answers 503: not \?now"):
            await RemoteSource(client).tags("acme/app")
    assert len(registry.seen) == 4


async def test_credentials_don_t_follow_a_redirect(told: Start) -> None:
    async def storage(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=DATA)

    elsewhere, storage_server = await told(storage)

    async def sends_on(request: web.Request) -> web.StreamResponse:
        if "Authorization" not in request.headers:
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="here"'})
        return web.Response(status=307, headers={"Location": f"{storage_server}/signed?X=1%2B2"})

    registry, server = await told(sends_on)
    async with Client(server, Credentials("u", "p"), patience=HURRY) as client:
        assert await whole(client) == DATA
    assert registry.seen[1].headers["Authorization"] == f"Basic {base64.b64encode(b'u:p').decode()}"
    [asked] = elsewhere.seen
    assert "Authorization" not in asked.headers
    assert asked.raw_path == "/signed?X=1%2B2"


async def test_a_redirect_in_circles_ends(told: Start) -> None:
    async def circle(request: web.Request) -> web.StreamResponse:
        return web.Response(status=307, headers={"Location": request.path})

    _, server = await told(circle)
    async with Client(server, patience=HURRY) as client:
        with pytest.raises(TransferError, match="leads nowhere"):
            await whole(client)


async def test_tokens_are_got_for_what_is_asked(told: Start) -> None:
    """As docker.io does it; what was allowed once is asked for again together with what comes."""
    asked: list[list[str]] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        if request.path == "/token":
            asked.append(request.query.getall("scope"))
            assert request.query["service"] == "told"
            return web.json_response({"token": "-".join(sorted(request.query.getall("scope")))})
        wanted = "pull" if request.method == "GET" else "pull,push"
        if f":{wanted}" not in request.headers.get("Authorization", ""):
            scope = f"repository:acme/app:{wanted}"
            challenge = f'Bearer realm="{server}/token",service="told",scope="{scope}"'
            return web.Response(status=401, headers={"WWW-Authenticate": challenge})
        return web.json_response({"tags": []})

    _, server = await told(handler)
    async with Client(server, patience=HURRY) as client:
        await RemoteSource(client).tags("acme/app")
        await RemoteSource(client).tags("acme/app")
        await client.request("POST", client.url("/v2/acme/app/x"), "acme/app")
    assert asked == [["repository:acme/app:pull"], ["repository:acme/app:pull,push"]]


async def test_a_refresh_token_goes_where_docker_sends_it(told: Start) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        if request.path == "/token":
            form = await request.post()
            assert (form["grant_type"], form["refresh_token"]) == ("refresh_token", "kept")
            return web.json_response({"access_token": "got"})
        if request.headers.get("Authorization") != "Bearer got":
            return web.Response(status=401, headers={"WWW-Authenticate": f'Bearer realm="{server}/token"'})
        return web.json_response({"tags": ["a"]})

    _, server = await told(handler)
    async with Client(server, Credentials("u", "", "kept"), patience=HURRY) as client:
        assert await RemoteSource(client).tags("acme/app") == ["a"]


@pytest.mark.parametrize("realm", ["http://[", "ftp://elsewhere/token", "https://user@elsewhere/", ""])
async def test_realms_that_are_not_safe(realm: str, told: Start) -> None:
    async def handler(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=401, headers={"WWW-Authenticate": f'Bearer realm="{realm}"'})

    _, server = await told(handler)
    async with Client(server, patience=HURRY) as client:
        with pytest.raises(TransferError, match="not safe"):
            await RemoteSource(client).tags("acme/app")


async def test_a_manifest_under_a_wrong_digest(told: Start) -> None:
    async def handler(_request: web.Request) -> web.StreamResponse:
        body = json.dumps({"schemaVersion": 2, "manifests": []}).encode()
        return web.Response(body=body, content_type="application/vnd.oci.image.index.v1+json")

    _, server = await told(handler)
    async with Client(server, patience=HURRY) as client:
        with pytest.raises(Damaged, match="is damaged, its bytes have the digest"):
            await RemoteSource(client).manifest("acme/app", f"sha256:{'0' * 64}")


async def test_what_is_encoded_on_the_way_is_seen_as_it_is(told: Start) -> None:
    """A proxy that compresses must not let a decoded body pass for the blob."""
    data = gzip.compress(DATA)

    async def handler(request: web.Request) -> web.StreamResponse:
        assert request.headers["Accept-Encoding"] == "identity"
        return web.Response(body=data, headers={"Content-Encoding": "gzip"})

    _, server = await told(handler)
    async with Client(server, patience=HURRY) as client:
        assert await whole(client) == data


class Uploading:
    """Takes one upload as docker-registry does. `lost` answers never come, each after its bytes are kept."""

    def __init__(self, lost: int) -> None:
        self.data = b""
        self.committed: list[str] = []
        self.sent: list[tuple[str, int]] = []
        self._lost = lost

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.sent.append((request.method, len(body)))
        where = {
            "Location": "/v2/acme/app/blobs/uploads/1?state=a%3D",
            "Range": f"0-{max(len(self.data) - 1, 0)}",
        }
        if request.method == "HEAD":
            return web.Response(status=200 if self.committed else 404)
        if request.method == "POST":
            self.data = b""
            return web.Response(status=202, headers=where)
        assert request.raw_path.startswith("/v2/acme/app/blobs/uploads/1?state=a%3D")
        if request.method == "GET":
            return web.Response(status=204, headers=where)
        if request.method == "DELETE":
            return web.Response(status=204)
        self.data += body
        if request.method == "PUT":
            if self.committed:
                return web.Response(status=404)
            if Digest.of(self.data) != request.query["digest"]:
                return web.json_response({"errors": [{"code": "DIGEST_INVALID"}]}, status=400)
            self.committed.append(request.query["digest"])
        if (self._lost and body != b"") or (self._lost and request.method == "PUT"):
            self._lost -= 1
            assert request.transport is not None
            request.transport.close()
        where["Range"] = f"0-{len(self.data) - 1}"
        return web.Response(status=201 if request.method == "PUT" else 202, headers=where)


def reading(data: bytes) -> Read:
    async def read(offset: int) -> Pieces:
        yield data[offset:]

    return read


@pytest.mark.parametrize("lost", [0, 1, 2, 3, 4])
async def test_an_upload_whose_answers_get_lost(lost: int, told: Start, tmp_path: Path) -> None:
    uploading = Uploading(lost)
    _, server = await told(uploading)
    moved: list[int] = []
    async with Client(server, patience=HURRY) as client:
        uploads = Uploads(client, Sessions(tmp_path), 4096)
        await uploads.put("acme/app", BLOB, reading(DATA), moved.append)
    assert uploading.committed == [BLOB.digest]
    assert sum(size for method, size in uploading.sent if method == "PATCH") == len(DATA)
    assert moved[-1] == len(DATA) or lost
    assert list(tmp_path.iterdir()) == []


async def test_a_session_with_other_bytes_is_begun_anew(told: Start, tmp_path: Path) -> None:
    uploading = Uploading(0)
    uploading.data = b"something else"
    _, server = await told(uploading)
    sessions = Sessions(tmp_path)
    sessions.keep(server, "acme/app", BLOB.digest, f"{server}/v2/acme/app/blobs/uploads/1?state=a%3D")
    async with Client(server, patience=HURRY) as client:
        uploads = Uploads(client, sessions, 4096)
        await uploads.put("acme/app", BLOB, reading(DATA), lambda _: None)
    assert uploading.data == DATA


@pytest.mark.parametrize("data", [DATA[:-1], DATA + b"x", b"x" + DATA[1:], b""])
async def test_a_damaged_source_is_never_committed(data: bytes, told: Start, tmp_path: Path) -> None:
    uploading = Uploading(0)
    _, server = await told(uploading)
    async with Client(server, patience=HURRY) as client:
        for chunk in (4096, 1 << 20):
            with pytest.raises(Damaged, match=BLOB.digest):
                await Uploads(client, Sessions(tmp_path), chunk).put(
                    "acme/app",
                    BLOB,
                    reading(data),
                    lambda _: None,
                )
    assert uploading.committed == []
    assert "PUT" not in [method for method, _ in uploading.sent]


async def test_plain_http_that_was_taken_for_tls(told: Start) -> None:
    async def never(_request: web.Request) -> web.StreamResponse:
        raise AssertionError("it was asked")

    _, server = await told(never)
    host = server.removeprefix("http://")
    async with Client(f"https://{host}", patience=HURRY) as client:
        with pytest.raises(TransferError, match=f"answers without TLS; .*: --plain-http {host}, or http://"):
            await client.request("GET", client.url("/v2/"), "")


async def test_a_registry_that_refuses(told: Start, tmp_path: Path) -> None:
    async def refuses(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"errors": [{"code": "DENIED", "message": "the quota is full"}]}, status=403)

    _, server = await told(refuses)
    async with Client(server, patience=HURRY) as client:
        with pytest.raises(Refused, match="403: the quota is full"):
            await Uploads(client, Sessions(tmp_path)).put(
                "acme/app",
                BLOB,
                reading(DATA),
                lambda _: None,
            )


def test_challenges() -> None:
    found = parse_challenges(['Basic realm="x"', 'Bearer realm="https://a/t",service="S, \\"q\\"",scope=one'])
    assert found is not None
    assert found.parameters == {"realm": "https://a/t", "service": 'S, "q"', "scope": "one"}
    assert parse_challenges(["Negotiate"]) is None
    assert retry_after("Sat, 01 Jan 2000 00:00:00 GMT") == 0
    assert retry_after("soon") is None


def test_what_engines_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert from_engines("a.example") is None
    knows(
        tmp_path / ".docker/config.json",
        **{"https://index.docker.io/v1/": ("hub", "p:w"), "a.example": ("u", "p")},
    )
    assert from_engines("docker.io") == Credentials("hub", "p:w")
    knows(tmp_path / ".config/containers/auth.json", **{"a.example": ("podman", "p")})
    assert from_engines("a.example") == Credentials("podman", "p")
    file = tmp_path / "auth.json"
    file.write_text(json.dumps({"auths": {"a.example": {"identitytoken": "t"}, "b.example": {"auth": "?"}}}))
    assert from_engines("a.example", file) == Credentials("", "", "t")
    assert from_engines("b.example", file) is None
    with pytest.raises(TransferError, match="can't be read"):
        from_engines("a.example", tmp_path / "missing")
