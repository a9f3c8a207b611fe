"""Fetching small JSON documents that other servers publish."""

from typing import TYPE_CHECKING, Any
from urllib.request import getproxies, proxy_bypass

from yarl import URL

from auth.addresses import is_loopback
from auth.federation import IssuerUnavailable
from registry.oci.quoting import quoted
from registry.oci.strict_json import StrictJSONError, parse_object

if TYPE_CHECKING:  # commands have what fetches and don't fetch, and it takes a while to import
    import aiohttp

LARGEST = 1024 * 1024
"""Bytes of a document: far more than the keys of any issuer take."""


class Documents:
    """Fetches by https; by http from this machine alone, since others could change what comes.

    No redirect is followed, and neither cookies nor credentials are sent. The system's certificates count,
    and proxies as the environment names them. How long it may take is the caller's business.
    """

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def get(self, url: str) -> dict[str, Any]:
        """The JSON object at a URL. Raises IssuerUnavailable."""
        import aiohttp

        target = checked_url(url)
        try:
            body = await self._read(target)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise IssuerUnavailable(f"{url} can't be fetched: {reason}") from error
        try:
            return parse_object(body)
        except StrictJSONError as error:
            raise IssuerUnavailable(f"what {url} answers can't be read: {error}") from error

    async def aclose(self) -> None:
        """Close connections."""
        if self._session is not None:
            await self._session.close()

    async def _read(self, url: URL) -> bytes:
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"Accept": "application/json", "Accept-Encoding": "identity"},
                auto_decompress=False,  # a small body may become a large one
                timeout=aiohttp.ClientTimeout(total=None),
            )
        async with self._session.get(url, allow_redirects=False, proxy=proxy_for(url)) as response:
            if 300 <= response.status < 400:
                raise IssuerUnavailable(f"{url} answers {response.status}, and no redirect is followed")
            if response.status != 200:
                raise IssuerUnavailable(f"{url} answers {response.status}")
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > LARGEST:
                    raise IssuerUnavailable(f"what {url} answers is larger than {LARGEST} bytes")
            return bytes(body)


def checked_url(url: str) -> URL:
    """A URL that may be asked. Raises IssuerUnavailable."""
    try:
        parsed = URL(url)
        host = parsed.host
    except ValueError:
        host = None
    if not host:
        raise IssuerUnavailable(f"{quoted(url)} is no URL to fetch from")
    if parsed.user is not None or parsed.password is not None:
        raise IssuerUnavailable(f"a URL on {host} holds a user name or a password")
    if parsed.scheme != "https" and not (parsed.scheme == "http" and is_loopback(host)):
        raise IssuerUnavailable(f"{quoted(url)} should be https://")
    return parsed


def proxy_for(url: URL) -> str | None:
    """The proxy that the environment names for a URL.

    aiohttp's `trust_env` would send what it finds in `.netrc` as well.
    """
    if url.host is None or is_loopback(url.host) or proxy_bypass(url.host):
        return None
    return getproxies().get(url.scheme)
