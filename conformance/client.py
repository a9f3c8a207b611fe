"""A small synchronous HTTP client that hides nothing: header lines as they come, bodies as they are sent."""

import contextlib
import http.client
import json
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode, urljoin, urlsplit

from conformance.authorization import Authorization

HeaderLines = Mapping[str, str] | Sequence[tuple[str, str]]
REDIRECTS = (301, 302, 303, 307, 308)
TIMEOUT = 30
"""Seconds that a registry may stay silent."""
ARRIVAL = 0.5
"""Seconds in which what was sent has surely been read: the bytes that a kernel still holds may be lost."""


@dataclass(frozen=True, repr=False)
class Response:
    """One answer. `url` is the address that gave it, after redirects."""

    url: str
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def header(self, name: str) -> str | None:
        """The value of the first line of this name, or None."""
        value: str | None = self.headers.get(name)
        return value

    def lines(self, name: str) -> list[str]:
        """The values of every line of this name."""
        return list(self.headers.get_all(name, []))

    def json(self) -> object:
        """The parsed body; a failed assertion when it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise AssertionError(f"{self} has a body that is not JSON: {self.body[:200]!r}") from error

    @property
    def error_codes(self) -> list[str]:
        """The codes in an OCI error body; empty when the body is none."""
        try:
            document = json.loads(self.body)
        except ValueError:
            return []
        errors = document.get("errors") if isinstance(document, dict) else None
        return [str(error.get("code")) for error in errors or [] if isinstance(error, dict)]

    def __repr__(self) -> str:
        return f"<{self.status} {', '.join(self.error_codes)}>".replace(" >", ">")


class Client:
    """Talks to one registry, a connection for each request, and follows redirects of GET and HEAD."""

    def __init__(self, url: str, authorization: Authorization | None = None) -> None:
        self.url = url.rstrip("/")
        self._authorization = authorization

    @property
    def credentials(self) -> dict[str, str]:
        """The header field that the last request went with, if somebody is signed in."""
        header = self._authorization.header if self._authorization else None
        return {"Authorization": header} if header else {}

    def absolute(self, target: str) -> str:
        """The URL of a path, or of a Location in either of its legal forms."""
        return urljoin(f"{self.url}/", target)

    def request(
        self,
        method: str,
        target: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: HeaderLines = (),
    ) -> Response:
        """Send one request and read its answer whole.

        Bytes go with a Content-Length, several pieces with chunked transfer-encoding, None as an empty body.
        `headers` may repeat a name. Raises OSError or http.client.HTTPException when there is no answer.
        """
        lines = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
        pieces = body if body is None or isinstance(body, bytes) else list(body)
        url = self.absolute(target)
        response = self._exchange(method, url, pieces, lines)
        if response.status == 401 and self._authorization:
            self._authorization.answer(response.lines("WWW-Authenticate"), self._token)
            response = self._exchange(method, url, pieces, lines)
        hops = 0
        while method in ("GET", "HEAD") and response.status in REDIRECTS and hops < 5:
            location = response.header("Location")
            assert location, f"{response} redirects nowhere"
            response = self._exchange(method, urljoin(response.url, location), pieces, lines)
            hops += 1
        return response

    def cut_off(
        self, method: str, target: str, declared: int, body: bytes, headers: HeaderLines = ()
    ) -> None:
        """Declare `declared` bytes, send only `body`, and leave once it had time to arrive."""
        lines = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
        connection = self._open(method, self.absolute(target), [*lines, ("Content-Length", str(declared))])
        connection.send(body)
        time.sleep(ARRIVAL)
        connection.close()

    def raw(self, message: bytes) -> bytes:
        """Send these very bytes over TCP and read until the registry closes; for plain http:// only. Whoever
        is signed in has to stand in them: see `credentials`."""
        parts = urlsplit(self.url)
        assert parts.scheme == "http", "raw bytes can only be sent without TLS"
        answer = b""
        with socket.create_connection((parts.hostname or "", parts.port or 80), TIMEOUT) as connection:
            connection.sendall(message)
            while piece := connection.recv(65536):
                answer += piece
        return answer

    def _token(self, url: str, headers: HeaderLines) -> bytes:
        """What a token server answers to a GET."""
        response = self._exchange("GET", url, None, list(dict(headers).items()), authorize=False)
        assert response.status == 200, f"the token server answers {response}"
        return response.body

    def _open(
        self, method: str, url: str, lines: list[tuple[str, str]], *, authorize: bool = True
    ) -> http.client.HTTPConnection:
        """A connection on which the head of the request has gone out."""
        parts = urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT)
        target = parts.path or "/"
        connection.putrequest(method, f"{target}?{parts.query}" if parts.query else target, False, True)
        own_host = parts.netloc == urlsplit(self.url).netloc
        if self._authorization and self._authorization.header and authorize and own_host:
            connection.putheader("Authorization", self._authorization.header)
        for name, value in lines:
            connection.putheader(name, value)
        connection.endheaders()
        return connection

    def _exchange(
        self,
        method: str,
        url: str,
        body: bytes | list[bytes] | None,
        lines: list[tuple[str, str]],
        *,
        authorize: bool = True,
    ) -> Response:
        if isinstance(body, list):
            lines = [*lines, ("Transfer-Encoding", "chunked")]
            message = (
                b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in body if piece) + b"0\r\n\r\n"
            )
        else:
            message = body or b""
            given = any(name.lower() == "content-length" for name, _ in lines)
            if not given and (message or method in ("POST", "PUT", "PATCH")):
                lines = [*lines, ("Content-Length", str(len(message)))]
        connection = self._open(method, url, lines, authorize=authorize)
        try:
            # A registry may answer before it has read everything, and close: that answer comes next.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                if message:
                    connection.send(message)
            answer = connection.getresponse()
            return Response(url, answer.status, answer.headers, answer.read())
        finally:
            connection.close()


def with_query(location: str, **parameters: str) -> str:
    """An upload's Location with parameters added to whatever query it has."""
    separator = "&" if urlsplit(location).query else "?"
    return f"{location}{separator}{urlencode(parameters)}"
