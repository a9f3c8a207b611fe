"""A client of one registry: requests as the Distribution API has them, with whatever signing in it takes."""

import io
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import NamedTuple, Self

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

from registry.identity.documents import proxy_for
from registry.oci.quoting import quoted
from registry.transfer.challenges import Authorization
from registry.transfer.credentials import Credentials
from registry.transfer.errors import Interrupted, Refused, TransferError
from registry.transfer.patience import AGAIN, Patience, retry_after

LARGEST_ANSWER = 32 * 1024 * 1024
"""Bytes of an answer that is read whole: manifests and lists."""

NO_TLS = "WRONG_VERSION_NUMBER"
"""OpenSSL's reason when what comes is no TLS record, such as an answer of plain HTTP."""

MOST_REDIRECTS = 5
CONNECT_SECONDS = 30
SILENCE_SECONDS = 600
"""How long a registry may say nothing: it may have to read a whole blob again before it answers."""


class Answer(NamedTuple):
    """`url` is where the answer came from: a relative Location starts there."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes
    url: URL


class Client:
    """Sends requests to one registry; to others only where it redirects to, and then without credentials.

    `ca_file` has certificates to trust beside the system's. A context manager, which closes connections.
    """

    def __init__(
        self,
        server: str,
        credentials: Credentials | None = None,
        *,
        ca_file: str | None = None,
        patience: Patience | None = None,
    ) -> None:
        """Raises TransferError for certificates that can't be read."""
        self.server = server
        self.patience = Patience() if patience is None else patience
        self._base = URL(server)
        self._authorization = Authorization(self._base, credentials, self._ask)
        try:
            context = ssl.create_default_context()
            if ca_file is not None:
                context.load_verify_locations(ca_file)
        except OSError as error:  # ssl.SSLError is one
            raise TransferError(f"{ca_file} holds no certificates that can be read: {error}") from error
        self._tls = context
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "entrepot", "Accept-Encoding": "identity"},
            auto_decompress=False,  # what is decoded on the way does not have its digest any more
            connector=aiohttp.TCPConnector(ssl=self._tls),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS
            ),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    @property
    def name(self) -> str:
        """The registry's host, for messages."""
        return self._base.authority

    def url(self, path: str) -> URL:
        """The address of a path that begins with `/v2/`."""
        return URL(f"{self.server}{path}", encoded=True)

    async def request(
        self,
        method: str,
        url: URL,
        repository: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        *,
        patient: bool = True,
    ) -> Answer:
        """The answer, whatever its status; one after which the same may work is waited for if `patient`.

        Raises Interrupted when that does not help, TransferError for what is no answer.
        """
        attempt = 0
        while True:
            attempt += 1
            try:
                async with self.open(method, url, repository, headers, body) as response:
                    data = await self._read(response)
                    return Answer(response.status, response.headers, data, response.url)
            except Interrupted as problem:
                if not patient:
                    raise
                await self.patience.wait(attempt, problem)

    @asynccontextmanager
    async def open(
        self,
        method: str,
        url: URL,
        repository: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One attempt, whose answer is still to be read. Raises as `request`, also while it is read."""
        signed_in = False
        hops = 0
        while True:
            own = url.origin() == self._base.origin()
            field = self._authorization.field(repository) if own else None
            sent = {**(headers or {}), **({"Authorization": field} if field else {})}
            async with self._send(method, url, sent, body) as response:
                if response.status == 401 and own and not signed_in:
                    signed_in = True
                    await self._read(response)
                    challenges = response.headers.getall("WWW-Authenticate", [])
                    if await self._authorization.answer(repository, field, challenges):
                        continue
                elif response.status in (301, 302, 303, 307, 308) and method in ("GET", "HEAD"):
                    hops += 1
                    url = self._redirected(response, hops)
                    continue
                if response.status in AGAIN:
                    data = await self._read(response)
                    after = retry_after(response.headers.get("Retry-After"))
                    raise Interrupted(str(refusal(self.name, response.status, data)), after)
                yield response
                return

    @asynccontextmanager
    async def _send(
        self, method: str, url: URL, headers: Mapping[str, str], body: bytes | None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        assert self._session is not None, "a client is a context manager"
        try:
            async with self._session.request(
                method,
                url,
                headers=headers,
                data=None if body is None else io.BytesIO(body),
                skip_auto_headers=("Content-Type",),
                allow_redirects=False,
                proxy=proxy_for(url),
            ) as response:
                yield response
        except aiohttp.ClientConnectorCertificateError as error:
            raise TransferError(
                f"the certificate of {url.authority} is not trusted: {error.certificate_error}"
            ) from error
        except aiohttp.ClientSSLError as error:
            if getattr(error.os_error, "reason", "") == NO_TLS:
                raise TransferError(
                    f"{url.authority} answers without TLS; if it speaks plain HTTP, say so: "
                    f"--plain-http {url.authority}, or http:// in --server"
                ) from error
            raise TransferError(f"{url.authority} does not speak TLS as it should: {error}") from error
        except (aiohttp.ClientError, OSError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise Interrupted(f"{url.authority} can't be reached: {reason}") from error

    async def _ask(
        self, method: str, url: URL, headers: Mapping[str, str], body: bytes | None
    ) -> tuple[int, bytes]:
        async with self._send(method, url, headers, body) as response:
            data = await self._read(response)
            if response.status in AGAIN:
                after = retry_after(response.headers.get("Retry-After"))
                raise Interrupted(f"{url.authority} answers {response.status} and gives no token", after)
            return response.status, data

    def _redirected(self, response: aiohttp.ClientResponse, hops: int) -> URL:
        location = response.headers.get("Location", "")
        try:
            url = response.url.join(URL(location, encoded=True))
        except ValueError:
            url = URL()
        if hops > MOST_REDIRECTS or not url.host or url.scheme not in ("http", "https"):
            raise TransferError(f"{self.name} sends to {quoted(location)}, and that leads nowhere")
        if url.scheme == "http" and response.url.scheme == "https":
            raise TransferError(f"{self.name} sends to {url.authority} without encryption")
        return url

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for piece in response.content.iter_any():
            body += piece
            if len(body) > LARGEST_ANSWER:
                raise TransferError(f"what {self.name} answers is larger than {LARGEST_ANSWER} bytes")
        return bytes(body)


def refusal(server: str, status: int, body: bytes) -> Refused:
    """What a registry says it is that it does not like (distribution-spec, "Error Codes")."""
    try:
        said = "; ".join(
            str(error.get("message") or error.get("code") or "") for error in json.loads(body)["errors"]
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        said = ""
    printable = "".join(char if char.isprintable() else "?" for char in said[:500])
    hint = "; sign in there first" if status == 401 else ""
    return Refused(status, f"{server} answers {status}{f': {printable}' if printable else ''}{hint}")
