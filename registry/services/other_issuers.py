"""Other token servers whose registry tokens are believed: what such a token carries is allowed."""

from collections.abc import Awaitable, Callable, Sequence

from auth.federation import IssuerUnavailable
from auth.keys import PublicKey, by_kid
from registry.oci.errors import Unavailable

Fetch = Callable[[str], Awaitable[Sequence[PublicKey]]]
"""Gets the keys of a server, as new as it takes to know a key id, and keeps them for a while."""


class OtherIssuer:
    """One of them. Its keys are given, or fetched."""

    def __init__(self, audience: str, keys: Sequence[PublicKey] = (), fetch: Fetch | None = None) -> None:
        self.audience = audience
        self._keys = by_kid(keys)
        self._fetch = fetch

    def verifying(self, kid: str) -> PublicKey | None:
        """A key by its id, if it is known here."""
        return self._keys.get(kid)

    async def look_for(self, kid: str) -> None:
        """Have a key ready for `verifying`. Raises Unavailable when the keys can't be had."""
        if self._fetch is None:
            return
        try:
            self._keys = by_kid(await self._fetch(kid))
        except IssuerUnavailable as error:
            raise Unavailable(f"the keys of another token server can't be had now: {error}") from error
