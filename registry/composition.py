"""The part of the composition root that has no HTTP: services joined on one index and one storage.

The server puts HTTP on top (registry.app); the command line calls the operations of the management itself. A
command needs few of the services, so each is made, and imported, when it is first asked for.
"""

import asyncio
from functools import cached_property
from typing import TYPE_CHECKING

from registry.config import Settings
from registry.drivers import check_delay, driver_class
from registry.gc.jobs import Jobs
from registry.index import open_index
from registry.services.access_cache import Epoch
from registry.services.audit import Audit
from storage_drivers import StorageDriver

if TYPE_CHECKING:
    from registry.accounts import Accounts
    from registry.gc.collector import Collector
    from registry.gc.journal import Journal
    from registry.gc.retention import Retention
    from registry.gc.scrub import Scrub
    from registry.management.management import Management
    from registry.services.blobs import Blobs
    from registry.services.manifests import Manifests
    from registry.services.quarantine import Quarantine
    from registry.services.repositories import Repositories
    from registry.services.uploads import Uploads


class Composition:
    """All services of a process. `pool_size`: connections to the index, as many as are set by default."""

    def __init__(self, settings: Settings, pool_size: int | None = None) -> None:
        """Call it inside the running event loop. The index's schema must be there.

        Raises ValueError for settings that the storage can't do with.
        """
        self._settings = settings
        self._keep_deleted = settings.undo.window_seconds > 0
        self._accounts: Accounts | None = None
        self.index = open_index(settings.index_url(), pool_size=pool_size or settings.index.pool_size)
        self.audit = Audit(self.index, settings.audit.keep_seconds)
        self.epoch = Epoch(self.index, settings.auth.revocation_seconds)
        self.jobs = Jobs(self.index)
        self.driver: StorageDriver = driver_class(settings.storage.driver).from_settings(
            settings.storage_settings()
        )
        check_delay(settings.gc.delay_seconds, self.driver)

    @property
    def accounts(self) -> "Accounts":
        """Raises ValueError for keys or certificates in files that can't be used."""
        from registry.accounts import Accounts

        if self._accounts is None:
            self._accounts = Accounts(self._settings, self.index, self.audit, self.epoch)
        return self._accounts

    @cached_property
    def uploads(self) -> "Uploads":
        from registry.services.policies import QuotaGate
        from registry.services.uploads import Uploads

        return Uploads(
            self.index,
            self.driver,
            QuotaGate(self.index, self.epoch),
            expire_seconds=self._settings.uploads.expire_seconds,
            tombstone_seconds=self._settings.uploads.tombstone_seconds,
            claim_seconds=self._settings.uploads.lease_seconds,
            blob_lease_seconds=self._settings.blobs.lease_seconds,
        )

    @cached_property
    def quarantine(self) -> "Quarantine":
        from registry.services.quarantine import Quarantine

        return Quarantine(self.index, self.driver, self.audit)

    @cached_property
    def blobs(self) -> "Blobs":
        from registry.services.blobs import Blobs

        return Blobs(
            self.index,
            self.driver,
            self.audit,
            self.quarantine,
            lease_seconds=self._settings.blobs.lease_seconds,
            deletion=self._settings.deletion.blobs,
        )

    @cached_property
    def manifests(self) -> "Manifests":
        from registry.services.manifests import Manifests

        return Manifests(
            self.index,
            self.audit,
            sparse=self._settings.manifests.sparse,
            deletion=self._settings.deletion.manifests,
            tag_deletion=self._settings.deletion.tags,
            keep_deleted=self._keep_deleted,
        )

    @cached_property
    def repositories(self) -> "Repositories":
        from registry.services.repositories import Repositories

        return Repositories(
            self.index,
            self.audit,
            deletion=self._settings.deletion.manifests,
            keep_deleted=self._keep_deleted,
        )

    @cached_property
    def collector(self) -> "Collector":
        from registry.gc.collector import Collector

        return Collector(
            self.index,
            self.driver,
            self.audit,
            delay_seconds=self._settings.gc.delay_seconds,
            window_seconds=self._settings.undo.window_seconds,
            expire_uploads=self.uploads.expire,
        )

    @cached_property
    def retention(self) -> "Retention":
        from registry.gc.retention import Retention

        return Retention(self.index, self.audit, keep_deleted=self._keep_deleted)

    @cached_property
    def journal(self) -> "Journal":
        from registry.gc.journal import Journal

        return Journal(self.index, self.driver)

    @cached_property
    def scrub(self) -> "Scrub":
        from registry.gc.scrub import Scrub

        return Scrub(
            self.index,
            self.driver,
            self.quarantine,
            bytes_per_second=self._settings.scrub.bytes_per_second,
            upload_seconds=self._settings.uploads.expire_seconds,
        )

    @cached_property
    def management(self) -> "Management":
        """Every operation. Raises ValueError as `accounts` does."""
        from registry.management.assembly import management

        return management(
            self.index,
            self.audit,
            self.accounts.sign_in,
            self.accounts.keys,
            self.uploads,
            self.quarantine,
            self.repositories,
            self.manifests,
            self.collector,
            self._settings.undo.window_seconds,
            self._settings.gc.every_seconds,
        )

    @cached_property
    def collection(self) -> "Management":
        """The operations on collection alone."""
        from registry.management.collection import CollectionOperations
        from registry.management.management import Management

        resource = CollectionOperations(self.collector, self.jobs, self._settings.gc.every_seconds)
        return Management(resource.operations(), self.audit)

    async def close(self) -> None:
        """Let go of everything, the index last. Write down before what is only in memory."""
        if self._accounts is not None:
            await self._accounts.close()
        await self.driver.aclose()
        await asyncio.to_thread(self.index.close)
