"""The suite's own client: signing in, redirects, and judging what no real registry here does wrong."""

import base64
import http.client
import json
from collections.abc import Iterator
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from conformance.authorization import Authorization
from conformance.client import Client, Response, with_query
from conformance.requirements.test_headers_of_every_answer import judge_too_many_requests, judge_warnings
from tests.support.forwarding import in_a_thread

BASIC = "Basic " + base64.b64encode(b"ada:lovelace").decode()


class FakeRegistry(BaseHTTPRequestHandler):
    """/basic and /bearer want credentials, /token gives a token, /redirect leads to another host name."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        given = self.headers.get("Authorization")
        port = self.connection.getsockname()[1]
        path, _, query = self.path.partition("?")
        if path == "/redirect":
            self._answer(307, Location=f"http://localhost:{port}/echo")
        elif path == "/token" and given == BASIC:
            self._answer(200, body={"token": f"token for {query}"})
        elif path == "/basic" and given != BASIC:
            self._answer(401, **{"WWW-Authenticate": 'Basic realm="here"'})
        elif path == "/bearer" and not (given or "").startswith("Bearer "):
            challenge = f'Bearer realm="http://127.0.0.1:{port}/token",service="s",scope="a:b:pull c:d:push"'
            self._answer(401, **{"WWW-Authenticate": challenge})
        else:
            self._answer(200, body={"authorization": given})

    def _answer(self, status: int, body: object = None, **fields: str) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is logged."""


@pytest.fixture
def url() -> Iterator[str]:
    with in_a_thread(ThreadingHTTPServer(("127.0.0.1", 0), FakeRegistry)) as server:
        yield f"http://127.0.0.1:{server.server_address[1]}"


def signed_in(url: str) -> Client:
    return Client(url, Authorization("ada", "lovelace"))


def response(status: int, headers: bytes) -> Response:
    parsed = BytesParser(http.client.HTTPMessage).parsebytes(headers + b"\r\n")
    assert isinstance(parsed, http.client.HTTPMessage)
    return Response("http://registry/", status, parsed, b"")


def test_basic_credentials_answer_a_basic_challenge(url: str) -> None:
    assert Client(url).request("GET", "/basic").status == 401
    assert signed_in(url).request("GET", "/basic").json() == {"authorization": BASIC}


def test_a_token_for_the_scopes_asked_for_answers_a_bearer_challenge(url: str) -> None:
    answer = signed_in(url).request("GET", "/bearer").json()
    assert answer == {"authorization": "Bearer token for service=s&scope=a%3Ab%3Apull&scope=c%3Ad%3Apush"}


def test_a_redirect_to_another_host_does_not_get_the_credentials(url: str) -> None:
    client = signed_in(url)
    client.request("GET", "/basic")
    assert client.request("GET", "/echo").json() == {"authorization": BASIC}
    assert client.request("GET", "/redirect").json() == {"authorization": None}


def test_a_digest_is_added_to_the_query_of_a_location() -> None:
    assert with_query("/upload/1", digest="sha256:a") == "/upload/1?digest=sha256%3Aa"
    assert with_query("/upload/1?_state=x", digest="sha256:a") == "/upload/1?_state=x&digest=sha256%3Aa"


@pytest.mark.parametrize(
    "line",
    ['199 - "text"', '299 registry "text"', '299 - "text" "Sat, 01 Aug 2026 12:00:00 GMT"', "299 - text"],
)
def test_a_warning_in_another_shape_is_found(line: str) -> None:
    judge_warnings(response(200, b'Warning: 299 - "fine"\r\n'))
    with pytest.raises(AssertionError, match="not a warning"):
        judge_warnings(response(200, f"Warning: {line}\r\n".encode()))


def test_too_many_warnings_are_found() -> None:
    lines = b'Warning: 299 - "%b"\r\n' % (b"x" * 2500) * 2
    with pytest.raises(AssertionError, match="4096"):
        judge_warnings(response(200, lines))


def test_429_without_retry_after_is_found() -> None:
    judge_too_many_requests(response(429, b"Retry-After: 5\r\n"))
    with pytest.raises(AssertionError, match="Retry-After"):
        judge_too_many_requests(response(429, b""))
