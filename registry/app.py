"""The composition root: the services of registry.composition, with HTTP on top and work in the background."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

import registry.accounts
import registry.management.assembly  # noqa: F401 - or each worker imports both after the fork
from registry.api.access_log import AccessLogger, access_log
from registry.api.blobs import BlobRoutes
from registry.api.challenges import Challenges
from registry.api.connection import ConnectionServer
from registry.api.errors import refuse
from registry.api.file_replies import FileSender
from registry.api.handler import Handler
from registry.api.health import HealthRoutes
from registry.api.lists import ListRoutes
from registry.api.management import ManagementRoutes
from registry.api.manifests import ManifestRoutes
from registry.api.origin import Origins
from registry.api.past import Past
from registry.api.paths import ALIVE_PATH, READY_PATH
from registry.api.routes import route_table
from registry.api.tokens import TokenRoutes
from registry.api.uploads import UploadRoutes
from registry.composition import Composition
from registry.config import Settings
from registry.gc import collector, journal, retention, scrub
from registry.gc.schedule import Schedule, Scheduled
from registry.services.health import Health
from registry.services.history import History
from registry.services.housekeeping import Housekeeping
from registry.services.referrers import Referrers
from registry.services.tags import Tags

log = logging.getLogger(__name__)

SENDING_THREADS = 16
"""Files that a process sends at the same moment; one that waits for its client needs no thread."""

ENDING_SECONDS = 10
"""What requests that were broken off have to write down what they received."""


class Registry:
    """One process's registry: its server, and what has to be ended with it."""

    def __init__(self, settings: Settings) -> None:
        """Join everything; call it inside the running event loop. The index's schema must be there."""
        self._drain_seconds = settings.server.drain_seconds
        self._services = services = Composition(settings)
        self._threads = ThreadPoolExecutor(SENDING_THREADS, thread_name_prefix="sendfile")
        accounts, manifests, uploads = services.accounts, services.manifests, services.uploads
        lists = ListRoutes(
            services.repositories,
            Tags(services.index),
            Referrers(services.index),
            default=settings.lists.default,
            maximum=settings.lists.maximum,
        )
        tokens = (
            None
            if settings.open
            else TokenRoutes(accounts.sign_in, accounts.tokens, accounts.keys, settings.auth.service)
        )
        self._ending = False
        self._health = Health(services.index, services.driver)
        routes = route_table(
            ManifestRoutes(
                manifests,
                Past(History(services.index), manifests),
                max_bytes=settings.manifests.max_bytes,
                max_tags=settings.manifests.max_tags,
            ),
            BlobRoutes(services.blobs, FileSender(self._threads)),
            UploadRoutes(uploads, services.blobs, accounts.access),
            lists,
            tokens,
            ManagementRoutes(services.management, accounts.access, services.epoch),
            HealthRoutes(self._health, lambda: self._ending),
        )
        origins = Origins(
            settings.server.external_url,
            settings.server.path_prefix,
            settings.server.trusted_proxies,
            relative_locations=settings.server.relative_locations,
        )
        challenges = Challenges(origins, settings.auth.service, settings.auth.realm)
        self._handler = Handler(routes, accounts.access, challenges, origins, settings.server.path_prefix)
        self.server = ConnectionServer(
            self._handler,
            refuse=refuse,
            header_seconds=settings.server.header_seconds,
            idle_seconds=settings.server.idle_seconds,
            keepalive_timeout=settings.server.keepalive_seconds,
            access_log=access_log if settings.log.access else None,
            access_log_class=partial(
                AccessLogger,
                client_of=lambda request: origins.of(request).client,
                probes=(ALIVE_PATH, READY_PATH),
            ),
            auto_decompress=False,  # a digest is one of the bytes that were sent
            max_line_size=16 * 1024,  # ten tags of 128 characters and a long name
            max_field_size=32 * 1024,  # tokens
            lingering_time=5.0,
        )
        self._housekeeping = Housekeeping(
            saving={
                "saving pull times": manifests.save_pulls,
                "saving when tokens were used": accounts.sign_in.save_uses,
                "writing the audit": services.audit.flush,
            },
            expiring={
                "dropping expired uploads": uploads.expire,
                "sweeping what uploads left in the storage": uploads.sweep,
                "dropping expired tokens": accounts.sign_in.expire,
                "dropping old rows of the audit": services.audit.expire,
            },
        )
        schedule = Schedule(
            services.jobs,
            [
                Scheduled(collector.JOB, settings.gc.every_seconds, services.collector.run),
                Scheduled(retention.JOB, settings.retention.every_seconds, services.retention.run),
                Scheduled(scrub.JOB, settings.scrub.every_seconds, services.scrub.run),
                Scheduled(journal.JOB, settings.journal.every_seconds, services.journal.run),
            ],
        )
        self._tasks = [
            asyncio.create_task(services.audit.run(), name="audit"),
            asyncio.create_task(self.server.watch(), name="connections"),
            asyncio.create_task(self._housekeeping.run(), name="housekeeping"),
            asyncio.create_task(schedule.run(), name="schedule"),
        ]

    def announce_end(self) -> None:
        """From now on say that requests should go elsewhere; they are answered all the same."""
        self._ending = True

    async def drain(self) -> None:
        """Let requests that are under way finish, for as long as is set. Call it when no listening socket
        is left."""
        self.announce_end()
        self.server.begin_draining()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._drain_seconds):
                while self.server.connections or self._handler.running:
                    await asyncio.sleep(0.02)
        if self.server.connections:
            log.warning("closing %d connections that did not finish in time", len(self.server.connections))
        await self.server.shutdown(timeout=0.5)
        # It cancels handlers without waiting for them, and they still need the storage and the index.
        if running := list(self._handler.running):
            for task in running:
                task.cancel()
            _, unfinished = await asyncio.wait(running, timeout=ENDING_SECONDS)
            if unfinished:
                log.warning("%d requests did not end in time", len(unfinished))

    async def close(self) -> None:
        """End background work, then let go of the storage and the index."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._health.close()
        await self._housekeeping.finish()
        self._threads.shutdown()
        await self._services.close()
