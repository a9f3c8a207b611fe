"""The manifests of one repository of the tree, each with the blobs that it needs in one transaction.

So a run that is broken off loses what it was about to do and no more, and the collector never meets a blob
of another registry that nothing needs yet.
"""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from auth.actor import Actor
from registry.index import Connection, Index, adoption, blobs, quotas, repositories
from registry.oci.digest import Digest
from registry.oci.errors import ManifestBlobsUnknown, ManifestInvalid
from registry.oci.manifest import Manifest, parse_manifest
from registry.oci.name import RepositoryName
from registry.services.adoption.layout import blob_location
from registry.services.adoption.report import Report
from registry.services.adoption.source import Source, Tree, Unfit
from registry.services.adoption.verifying import Verifier
from registry.services.manifest_entries import NewManifest, enter
from registry.services.parallel import in_parallel
from storage_drivers.failpoints import declare, failpoint

VERIFIED = declare("adoption.manifest.verified")
ENTERED = declare("adoption.manifest.entered")

MANIFESTS_AT_ONCE = 16
BLOBS_AT_ONCE = 4
"""Of one manifest."""

ATTEMPTS = 5


class BlobGone(Exception):
    """A blob was collected between our look at it and the transaction."""

    def __init__(self, digest: Digest) -> None:
        super().__init__(digest)
        self.digest = digest


@dataclass(frozen=True, slots=True)
class Terms:
    """What is set for manifests and blobs: `sparse`, the bytes of the largest manifest, and seconds."""

    sparse: bool
    largest_manifest: int
    lease_seconds: float


@dataclass(slots=True)
class Cited:
    """What a manifest cites of the tree: sizes (None: is here already), and why the others can't be had."""

    sizes: dict[Digest, int | None] = field(default_factory=dict)
    reasons: dict[Digest, str] = field(default_factory=dict)


class ManifestAdoption:
    """Adopts the manifests of one repository. In a dry run nothing is written, and no blob is read."""

    def __init__(
        self,
        index: Index,
        source: Source,
        verifier: Verifier,
        terms: Terms,
        name: RepositoryName,
        tree: Tree,
        actor: Actor,
        report: Report,
        counted: set[Digest],
        *,
        dry: bool,
    ) -> None:
        """`counted`: blobs that are in the report as new."""
        self._index = index
        self._source = source
        self._verifier = verifier
        self._terms = terms
        self._name = name
        self._tree = tree
        self._actor = actor
        self._report = report
        self._counted = counted
        self._dry = dry
        self.known: set[str] = set()
        """Those that are here, at the end; in a dry run with those that would be."""
        self.deleted: set[str] = set()
        """Those that were deleted here later than they came to the old registry."""

    async def run(self) -> None:
        """Those that an index lists come before it. Raises StorageError, and what the index raises."""
        self.known = await self._index.read(lambda connection: adoption.digests(connection, self._name))
        deleted = await self._index.read(lambda connection: adoption.removed(connection, self._name))
        coming: list[Digest] = []
        for digest, at in self._tree.revisions.items():
            if digest in self.known:
                self._report.manifests_known += 1
            elif deleted.get(digest, at) > at:
                self.deleted.add(digest)
                self._report.deleted_here += 1
            else:
                coming.append(digest)
        all_coming = set(coming)
        waiting: dict[Digest, set[Digest]] = {}

        async def first(digest: Digest) -> None:
            if (new := await self._read(digest)) is None:
                return
            waits = {child.digest for child in new.manifest.children if child.digest in all_coming}
            if waits:
                waiting[digest] = waits
            else:
                await self._adopt(new)

        async def again(digest: Digest) -> None:
            if (new := await self._read(digest)) is not None:
                await self._adopt(new)

        await in_parallel(first, coming, MANIFESTS_AT_ONCE)
        while waiting:
            ready = [digest for digest, waits in waiting.items() if not waits & waiting.keys()]
            for digest in ready:
                del waiting[digest]
            await in_parallel(again, ready, MANIFESTS_AT_ONCE)

    async def _read(self, digest: Digest) -> NewManifest | None:
        try:
            body = await self._source.body(digest, self._terms.largest_manifest)
            manifest = parse_manifest(body, None)
        except (Unfit, ManifestInvalid) as error:
            self._report.leave_out(f"{self._name}@{digest}", error.message, manifests=1)
            return None
        return NewManifest(digest, body, manifest, self._actor.principal, self._tree.revisions[digest])

    async def _adopt(self, new: NewManifest) -> None:
        cited = await self._cited(new.manifest)
        failpoint(VERIFIED)
        try:
            if self._dry:
                self._check(new.manifest, cited)
                entered: Collection[Digest] = [
                    digest for digest, size in cited.sizes.items() if size is not None
                ]
            else:
                entered = await self._enter(new, cited)
        except ManifestBlobsUnknown as error:
            missing = (Digest(one) for one in error.digests)
            told = (f"{one} ({cited.reasons.get(one, 'there is no such manifest')})" for one in missing)
            reason = f"it needs what can't be had: {', '.join(told)}"
            self._report.leave_out(f"{self._name}@{new.digest}", reason, manifests=1)
        except ManifestInvalid as error:
            self._report.leave_out(f"{self._name}@{new.digest}", error.message, manifests=1)
        else:
            failpoint(ENTERED)
            self.known.add(new.digest)
            self._report.manifests_added += 1
            sizes = {digest: cited.sizes[digest] for digest in entered}
            self._count({digest: size for digest, size in sizes.items() if size is not None})

    async def _cited(self, manifest: Manifest) -> Cited:
        """Look for the blobs that a manifest cites. Its repository must have a link to them: a digest alone
        opens nothing."""
        cited = Cited()
        layers, revisions = self._tree.layers, self._tree.revisions
        children = (child.digest for child in manifest.children if child.digest not in revisions)
        of_index = (digest for digest in children if digest in layers)
        look = self._verifier.size if self._dry else self._verifier.verified

        async def find(digest: Digest) -> None:
            if digest not in layers:
                cited.reasons[digest] = "the repository has no link to it"
                return
            try:
                cited.sizes[digest] = await look(digest)
            except Unfit as unfit:
                cited.reasons[digest] = unfit.message

        wanted = dict.fromkeys((*(blob.digest for blob in manifest.blobs), *of_index))
        await in_parallel(find, wanted, BLOBS_AT_ONCE)
        return cited

    async def _enter(self, new: NewManifest, cited: Cited) -> Collection[Digest]:
        """The blobs that came with it. Raises ManifestBlobsUnknown and ManifestInvalid."""
        for _ in range(ATTEMPTS):
            try:
                return await self._index.write(lambda connection: self._record(connection, new, cited.sizes))
            except BlobGone as gone:
                if cited.sizes.pop(gone.digest) is not None:
                    cited.reasons[gone.digest] = "it was deleted here, and its bytes are about to go"
                    continue
                try:
                    cited.sizes[gone.digest] = await self._verifier.verified(gone.digest)
                except Unfit as unfit:
                    cited.reasons[gone.digest] = unfit.message
        raise ManifestInvalid("what it needs was deleted again and again; adopt once more")

    def _record(
        self, connection: Connection, new: NewManifest, sizes: Mapping[Digest, int | None]
    ) -> list[Digest]:
        now = time.time()
        lease = now + self._terms.lease_seconds
        quotas.lock_of_repository(connection, self._name)
        repository_id = repositories.ensure(connection, self._name, now)
        came = []
        for digest, size in sorted(sizes.items()):  # in one order: two of us don't wait for each other
            location = blob_location(digest)
            if size is None:
                row = adoption.hold(connection, digest, lease)
            else:
                row = adoption.enter(connection, digest, size, location, lease, now)
            if row is None:
                raise BlobGone(digest)
            if size is not None and row.location == location:
                came.append(digest)
            blobs.link(connection, repository_id, row.id, now)
        enter(connection, repository_id, new, sparse=self._terms.sparse)
        return came

    def _check(self, manifest: Manifest, cited: Cited) -> None:
        """What a transaction would find. Raises ManifestBlobsUnknown and ManifestInvalid."""
        for blob in manifest.blobs:
            if (size := cited.sizes.get(blob.digest)) is not None and size != blob.size:
                raise ManifestInvalid(
                    f"the manifest says that {blob.digest} has {blob.size} bytes; it has {size}"
                )
        needed = dict.fromkeys(one.digest for one in (*manifest.required_blobs, *manifest.children))
        missing = tuple(one for one in needed if one not in cited.sizes and one not in self.known)
        if missing and not self._terms.sparse:
            raise ManifestBlobsUnknown(missing)

    def _count(self, sizes: Mapping[Digest, int]) -> None:
        for digest in sizes.keys() - self._counted:
            self._counted.add(digest)
            self._report.blobs_added += 1
            self._report.bytes_added += sizes[digest]
