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
from registry.accounts import Accounts
from registry.cli.commands import CommandError
from registry.cli.serving import prepare_index
from registry.config import ConfigError, Settings
from registry.drivers import driver_class
from registry.index import Index, open_index
from registry.management.assembly import management
from registry.management.management import Management
from registry.oci.errors import RegistryError
from registry.services.audit import Audit
from registry.services.manifests import Manifests
from registry.services.policies import QuotaGate
from registry.services.repositories import Repositories
from registry.services.uploads import Uploads


class Local:
    """Calls run in an event loop of their own, one after the other."""

    user: str | None = None

    def __init__(self, runner: asyncio.Runner, operations: Management) -> None:
        self._runner = runner
        self._operations = operations
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
            result = self._runner.run(self._operations.call(self._caller, actor, method, path, query, data))
        except RegistryError as error:
            raise CommandError(error.message) from error
        return result.document


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
    index = open_index(settings.index_url(), pool_size=1)
    try:
        with asyncio.Runner() as runner:
            stack = AsyncExitStack()
            try:
                operations = runner.run(stack.enter_async_context(operations_on(settings, index)))
                yield Local(runner, operations)
            finally:
                runner.run(stack.aclose())
    finally:
        index.close()


@asynccontextmanager
async def operations_on(settings: Settings, index: Index) -> AsyncIterator[Management]:
    """The operations, and what they work with. Raises ConfigError, and CommandError when the index fails."""
    audit = Audit(index, settings.audit.keep_seconds)
    try:
        accounts = Accounts(settings, index, audit)
        driver = driver_class(settings.storage.driver).from_settings(settings.storage_settings())
    except ValueError as error:
        raise ConfigError([str(error)]) from error
    uploads = Uploads(
        index,
        driver,
        QuotaGate(index, accounts.epoch),
        expire_seconds=settings.uploads.expire_seconds,
        tombstone_seconds=settings.uploads.tombstone_seconds,
        claim_seconds=settings.uploads.lease_seconds,
        blob_lease_seconds=settings.blobs.lease_seconds,
    )
    deletion = settings.deletion
    manifests = Manifests(
        index,
        audit,
        sparse=settings.manifests.sparse,
        deletion=deletion.manifests,
        tag_deletion=deletion.tags,
    )
    repositories = Repositories(index, audit, deletion=deletion.manifests)
    try:
        yield management(index, audit, accounts.sign_in, accounts.keys, uploads, repositories, manifests)
    finally:
        try:
            await audit.flush()
        except RegistryError as error:
            raise CommandError(error.message) from error
        finally:
            await accounts.close()
            await driver.aclose()


def system_user() -> str:
    """The name of the user that runs this process; its number where it has no name, as in many containers."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
