"""The part of the composition root that has no HTTP: services joined on one index and one storage.

The server puts HTTP on top (registry.app); the command line calls the operations of the management itself.
"""

import asyncio

from registry.accounts import Accounts
from registry.config import Settings
from registry.drivers import check_delay, driver_class
from registry.gc.collector import Collector
from registry.gc.jobs import Jobs
from registry.gc.journal import Journal
from registry.gc.retention import Retention
from registry.gc.scrub import Scrub
from registry.index import open_index
from registry.management.assembly import management
from registry.services.audit import Audit
from registry.services.blobs import Blobs
from registry.services.manifests import Manifests
from registry.services.policies import QuotaGate
from registry.services.quarantine import Quarantine
from registry.services.repositories import Repositories
from registry.services.uploads import Uploads
from storage_drivers import StorageDriver


class Composition:
    """All services of a process. `pool_size`: connections to the index, as many as are set by default."""

    def __init__(self, settings: Settings, pool_size: int | None = None) -> None:
        """Call it inside the running event loop. The index's schema must be there.

        Raises ValueError for keys or certificates in files that can't be used, and for settings that the
        storage can't do with.
        """
        self.index = open_index(settings.index_url(), pool_size=pool_size or settings.index.pool_size)
        self.audit = Audit(self.index, settings.audit.keep_seconds)
        self.accounts = Accounts(settings, self.index, self.audit)
        self.driver: StorageDriver = driver_class(settings.storage.driver).from_settings(
            settings.storage_settings()
        )
        check_delay(settings.gc.delay_seconds, self.driver)
        self.uploads = Uploads(
            self.index,
            self.driver,
            QuotaGate(self.index, self.accounts.epoch),
            expire_seconds=settings.uploads.expire_seconds,
            tombstone_seconds=settings.uploads.tombstone_seconds,
            claim_seconds=settings.uploads.lease_seconds,
            blob_lease_seconds=settings.blobs.lease_seconds,
        )
        self.quarantine = Quarantine(self.index, self.driver, self.audit)
        self.blobs = Blobs(
            self.index,
            self.driver,
            self.audit,
            self.quarantine,
            lease_seconds=settings.blobs.lease_seconds,
            deletion=settings.deletion.blobs,
        )
        self.manifests = Manifests(
            self.index,
            self.audit,
            sparse=settings.manifests.sparse,
            deletion=settings.deletion.manifests,
            tag_deletion=settings.deletion.tags,
            keep_deleted=settings.undo.window_seconds > 0,
        )
        self.repositories = Repositories(
            self.index,
            self.audit,
            deletion=settings.deletion.manifests,
            keep_deleted=settings.undo.window_seconds > 0,
        )
        self.jobs = Jobs(self.index)
        self.collector = Collector(
            self.index,
            self.driver,
            self.audit,
            delay_seconds=settings.gc.delay_seconds,
            window_seconds=settings.undo.window_seconds,
            expire_uploads=self.uploads.expire,
        )
        self.retention = Retention(self.index, self.audit, keep_deleted=settings.undo.window_seconds > 0)
        self.journal = Journal(self.index, self.driver)
        self.scrub = Scrub(
            self.index,
            self.driver,
            self.quarantine,
            bytes_per_second=settings.scrub.bytes_per_second,
            upload_seconds=settings.uploads.expire_seconds,
        )
        self.management = management(
            self.index,
            self.audit,
            self.accounts.sign_in,
            self.accounts.keys,
            self.uploads,
            self.quarantine,
            self.repositories,
            self.manifests,
            self.collector,
            settings.undo.window_seconds,
            settings.gc.every_seconds,
        )

    async def close(self) -> None:
        """Let go of everything, the index last. Write down before what is only in memory."""
        await self.accounts.close()
        await self.driver.aclose()
        await asyncio.to_thread(self.index.close)
