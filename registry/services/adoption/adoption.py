"""Adoption: indexing what another registry stored, where it lies.

It only adds. Who runs it again finds what came since: manifests and blobs that are here are not read again,
and a tag is pointed only if its link is newer than what was done with the tag here.
"""

import asyncio

from auth.actor import Actor
from auth.patterns import RepositoryPattern
from registry.index import Index
from registry.oci.digest import Digest
from registry.oci.errors import NameInvalid
from registry.oci.name import RepositoryName
from registry.services.adoption.layout import ROOT
from registry.services.adoption.manifests import ManifestAdoption, Terms
from registry.services.adoption.report import Report
from registry.services.adoption.source import Source, Unfit
from registry.services.adoption.tags import TagAdoption
from registry.services.adoption.verifying import READ_AT_ONCE, Verifier
from registry.services.audit import Audit
from registry.services.storage_errors import translated_errors
from storage_drivers import StorageDriver

__all__ = ["Adoption", "Report", "Terms", "Unfit"]


class Adoption:
    """Adopts what lies below the root of the storage driver, in the form of `distribution`."""

    def __init__(self, index: Index, audit: Audit, driver: StorageDriver, terms: Terms) -> None:
        """Raises Unfit for a driver that shows no files of others."""
        self._index = index
        self._audit = audit
        self._driver = driver
        self._terms = terms
        self._source = Source(driver)
        self._would_come: set[Digest] = set()

    async def run(
        self, pattern: RepositoryPattern, actor: Actor, report: Report, *, dry: bool = False
    ) -> None:
        """Adopt the repositories that match, and note in `report` how far it is. A dry run writes nothing and
        reads manifests only, so it finds no blob whose bytes are wrong.

        Raises Unfit if there are none, Unavailable, and what the index raises.
        """
        with translated_errors():
            found = await self._source.survey(pattern)
            if not found:
                raise Unfit(f"below {ROOT} in the storage there is no repository that matches {pattern}")
            report.all_manifests = sum(found.values())
            if not dry:
                await self._tell(actor, str(pattern), {})
            for name in found:
                try:
                    await self._adopt(RepositoryName.parse(name), actor, report, dry=dry)
                except NameInvalid as error:
                    report.leave_out(name, error.message, found[name])

    async def _adopt(self, name: RepositoryName, actor: Actor, report: Report, *, dry: bool) -> None:
        def count(size: int) -> None:
            report.bytes_read += size

        before = (report.manifests_added, report.tags_added, report.tags_moved)
        # What was adopted is here for the next repository; what a dry run counted is not.
        counted = self._would_come if dry else set()
        tree = await self._source.tree(name)
        verifier = Verifier(self._index, self._driver, asyncio.Semaphore(READ_AT_ONCE), count)
        manifests = ManifestAdoption(
            self._index, self._source, verifier, self._terms, name, tree, actor, report, counted, dry=dry
        )
        await manifests.run()
        known, deleted = manifests.known, manifests.deleted
        tags = TagAdoption(self._index, self._source, name, tree, known, deleted, actor, report, dry=dry)
        await tags.run()
        report.repositories += 1
        after = (report.manifests_added, report.tags_added, report.tags_moved)
        if after != before and not dry:
            came = (now - then for now, then in zip(after, before, strict=True))
            names = ("manifests", "tags_added", "tags_moved")
            await self._tell(actor, name, dict(zip(names, came, strict=True)))

    async def _tell(self, actor: Actor, target: str, detail: dict[str, int]) -> None:
        """A row of the audit when it begins, and one for each repository to which something came."""
        write = self._index.write
        self._audit.tell(
            await write(
                lambda connection: self._audit.record(connection, actor, "adopt", target, detail or None)
            )
        )
