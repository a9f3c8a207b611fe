"""A registry in the test's own event loop, on a real socket."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from registry.app import Registry
from registry.config import Settings
from registry.tls import server_certificate
from tests.http.blocking import blocking_calls_fail, blocking_calls_pass
from tests.http.client import Client, connected

Changes = Mapping[str, Mapping[str, Any]]
"""Settings by section, such as {"deletion": {"tags": False}}."""


@asynccontextmanager
async def serving(data: Path, index_url: str, changes: Changes) -> AsyncIterator[Client]:
    """A client of a fresh registry process, as it were: what it knows is in `data` and the index alone.

    Without accounts, unless `changes` has {"auth": {"mode": "accounts"}}.
    """
    given: dict[str, Any] = {
        "index": {"url": index_url},
        "server": {"drain_seconds": 0},
        "auth": {"mode": "open"},
        "journal": {"every_seconds": 0},  # tests count objects
    }
    for section, values in changes.items():
        given[section] = {**given.get(section, {}), **values}
    settings = Settings(data=data, **given)
    with blocking_calls_pass():
        registry = Registry(settings)
    try:
        with blocking_calls_pass():
            certificate = server_certificate(settings)
        context = None if certificate is None else certificate.context
        loop = asyncio.get_running_loop()
        server = await loop.create_server(registry.server, "127.0.0.1", 0, ssl=context)
        try:
            port = server.sockets[0].getsockname()[1]
            async with connected(port, trusting(settings.server.tls_certificate)) as client:
                with blocking_calls_fail():
                    yield client
        finally:
            server.close()
            await registry.drain()
    finally:
        await registry.close()


def trusting(certificate: Path | None) -> ssl.SSLContext | None:
    """What a client needs that trusts this very certificate, and no authority; None without encryption."""
    if certificate is None:
        return None
    context = ssl.create_default_context(cafile=certificate)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


class Registries:
    """Starts registries on one folder and one index, and ends them all with the test."""

    def __init__(self, data: Path, index_url: str, stack: AsyncExitStack) -> None:
        self._data = data
        self._index_url = index_url
        self._stack = stack

    async def start(self, **changes: Mapping[str, Any]) -> Client:
        """A client of one more registry, with these settings by section."""
        return await self._stack.enter_async_context(serving(self._data, self._index_url, changes))
