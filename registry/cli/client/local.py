"""The management API on the index itself, for whoever may open it: an operator of this machine."""

import asyncio
import json
import os
import pwd
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

from auth.actor import Actor
from auth.identity import operator
from registry.cli.commands import CommandError
from registry.cli.serving import open_audit_file, prepare_index
from registry.composition import Composition
from registry.config import ConfigError, Settings
from registry.management.management import Management, Result
from registry.oci.errors import RegistryError

COLLECTION_PATH = "/gc"


class Local:
    """Calls run in an event loop of their own, one after the other."""

    user: str | None = None

    def __init__(self, runner: asyncio.Runner, services: Composition) -> None:
        self._runner = runner
        self._services = services
        self._caller = operator(system_user())

    def call(
        self,
        method: str,
        path: str,
        query: Sequence[tuple[str, str]] = (),
        body: Mapping[str, object] | None = None,
    ) -> Any:
        """See Api.call."""
        actor = Actor(str(self._caller.principal))
        data = b"" if body is None else json.dumps(body).encode()
        try:
            result = self._runner.run(self._call(actor, method, path, query, data))
        except RegistryError as error:
            raise CommandError(error.message) from error
        return result.document

    async def _call(
        self, actor: Actor, method: str, path: str, query: Sequence[tuple[str, str]], body: bytes
    ) -> Result:
        operations = operations_at(path, self._services)
        return await operations.call(self._caller, actor, method, path, query, body)


@contextmanager
def local(settings: Settings) -> Iterator[Local]:
    """Open the index, made or migrated first where that is needed. Raises CommandError and ConfigError."""
    is_new = settings.index.url is None and not (settings.data / "index.sqlite").exists()
    prepare_index(settings)
    if is_new:
        print(
            f"entrepot: a new index was made in {settings.data.absolute()}; to work on another one, say "
            "--data DIR, or --server URL for a running registry",
            file=sys.stderr,
        )
    open_audit_file(settings)
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        try:
            services = runner.run(stack.enter_async_context(services_on(settings)))
            yield Local(runner, services)
        finally:
            runner.run(stack.aclose())


@asynccontextmanager
async def services_on(settings: Settings) -> AsyncIterator[Composition]:
    """The services on what the settings name. Raises ConfigError, and CommandError when the index fails."""
    try:
        services = Composition(settings, pool_size=1)
    except ValueError as error:
        raise ConfigError([str(error)]) from error
    try:
        yield services
    finally:
        try:
            await services.audit.flush()
        except RegistryError as error:
            raise CommandError(error.message) from error
        finally:
            await services.close()


def operations_at(path: str, services: Composition) -> Management:
    """Operations among which is the one at a path. Raises ConfigError.

    Those of all resources take as long to import as a collection of a thousand blobs: `entrepot gc` goes
    without them.
    """
    if path == COLLECTION_PATH or path.startswith(f"{COLLECTION_PATH}/"):
        return services.collection
    try:
        return services.management
    except ValueError as error:
        raise ConfigError([str(error)]) from error


def system_user() -> str:
    """The name of the user that runs this process; its number where it has no name, as in many containers."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
