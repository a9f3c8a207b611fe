"""The public keys of OIDC issuers and of other token servers, fetched from them and kept for a while."""

import asyncio
import logging
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from auth.federation import IssuerUnavailable
from auth.keys import PublicKey, by_kid, parse_jwks
from registry.identity.documents import Documents, checked_url
from registry.oci.quoting import quoted

log = logging.getLogger(__name__)

Clock = Callable[[], float]
"""Seconds, that never go back."""

ANSWER_SECONDS = 5
"""How long fetching keys may take in all."""

KEEP_SECONDS = 10 * 60
"""How long keys count without asking again."""

LONGEST_SECONDS = 24 * 60 * 60
"""How long they count while the issuer can't be asked."""

REFETCH_SECONDS = 30
"""How often an issuer is asked at most for key ids that it did not have, and again while it fails."""

RETRY_SECONDS = 5
"""How often it is asked at most while it fails and there are no keys."""

SOURCES = 100
"""Issuers whose keys a process keeps."""


class IssuerKeys:
    """`auth.federation.KeySource` over HTTP, by OpenID Connect Discovery 1.0."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._documents = Documents()
        self._sources: OrderedDict[tuple[str, str], KeptKeys] = OrderedDict()

    async def keys(self, issuer: str, kid: str | None) -> tuple[PublicKey, ...]:
        """The issuer's keys, as new as it takes to know `kid`. Raises IssuerUnavailable."""
        return await self._source("issuer", issuer, lambda: self._discover(issuer)).keys(kid)

    async def fetch_jwks(self, url: str, kid: str | None = None) -> tuple[PublicKey, ...]:
        """The keys of the JWK Set at a URL, as new as it takes to know `kid`. Raises IssuerUnavailable."""
        return await self._source("jwks", url, lambda: self._fetch(url)).keys(kid)

    async def aclose(self) -> None:
        """End what is being fetched."""
        for source in self._sources.values():
            await source.aclose()
        await self._documents.aclose()

    def _source(self, kind: str, name: str, fetch: "Fetch") -> "KeptKeys":
        source = self._sources.setdefault((kind, name), KeptKeys(name, fetch, self._clock))
        self._sources.move_to_end((kind, name))
        if len(self._sources) > SOURCES:
            self._sources.popitem(last=False)
        return source

    async def _discover(self, issuer: str) -> tuple[PublicKey, ...]:
        """Section 4 of the specification: the document names the keys, and must be the issuer's own."""
        document = await self._documents.get(issuer.rstrip("/") + "/.well-known/openid-configuration")
        named, keys_url = document.get("issuer"), document.get("jwks_uri")
        if named != issuer:
            raise IssuerUnavailable(f"{issuer} publishes the configuration of another issuer: {shown(named)}")
        if not isinstance(keys_url, str):
            raise IssuerUnavailable(f"the configuration of {issuer} has no jwks_uri")
        if checked_url(issuer).scheme == "https" and checked_url(keys_url).scheme != "https":
            raise IssuerUnavailable(f"the jwks_uri of {issuer} should be https://")
        return await self._fetch(keys_url)

    async def _fetch(self, url: str) -> tuple[PublicKey, ...]:
        document = await self._documents.get(url)
        try:
            return await asyncio.to_thread(parse_jwks, document)
        except ValueError as error:
            raise IssuerUnavailable(f"what {url} answers can't be used: {error}") from error


Fetch = Callable[[], Awaitable[tuple[PublicKey, ...]]]


class KeptKeys:
    """The keys of one source. Whoever needs newer ones at the same time waits for the same fetch."""

    def __init__(self, name: str, fetch: Fetch, clock: Clock) -> None:
        self._name = name
        self._fetch = fetch
        self._clock = clock
        self._keys: tuple[PublicKey, ...] = ()
        self._fetched_at = -math.inf
        self._tried_at = -math.inf
        self._asked_for_kid_at = -math.inf
        self._failure = f"the keys of {name} could not be fetched"
        self._fetching: asyncio.Task[None] | None = None

    async def keys(self, kid: str | None) -> tuple[PublicKey, ...]:
        """The keys, new enough. Raises IssuerUnavailable when there are none."""
        if self._should_fetch(kid):
            if self._fetching is None:
                self._fetching = asyncio.create_task(self._refresh(), name=f"keys of {self._name}")
            await asyncio.shield(self._fetching)  # others may wait for it as well
        if self._age() >= LONGEST_SECONDS:
            raise IssuerUnavailable(self._failure)
        return self._keys

    async def aclose(self) -> None:
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait([self._fetching])

    def _age(self) -> float:
        """Seconds since the keys were fetched; infinite while there are none."""
        return self._clock() - self._fetched_at

    def _should_fetch(self, kid: str | None) -> bool:
        age, now = self._age(), self._clock()
        if age >= KEEP_SECONDS:
            pause = REFETCH_SECONDS if age < LONGEST_SECONDS else RETRY_SECONDS
            return self._fetching is not None or now - self._tried_at >= pause
        if kid is None or kid in by_kid(self._keys):
            return False
        if self._fetching is None:
            if now - self._asked_for_kid_at < REFETCH_SECONDS:
                return False
            self._asked_for_kid_at = now
        return True

    async def _refresh(self) -> None:
        """Fetch the keys, or note why that is not possible."""
        self._tried_at = self._clock()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                self._keys = await self._fetch()
        except TimeoutError:
            self._failure = f"{self._name} did not answer within {ANSWER_SECONDS} s"
        except IssuerUnavailable as error:
            self._failure = str(error)
        else:
            self._fetched_at = self._tried_at
            return
        finally:
            self._fetching = None
        if (age := self._age()) < LONGEST_SECONDS:
            log.warning("%s; going on with the keys fetched %d minutes ago", self._failure, age // 60)


def shown(value: object) -> str:
    """A member of somebody's document, in a message."""
    return quoted(value) if isinstance(value, str) else "none"
