"""Moving images: blobs first, several at once; then manifests, each after what it names; then tags."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from registry.oci.descriptor import Descriptor
from registry.oci.digest import Digest
from registry.oci.media_types import MANIFEST_TYPES
from registry.transfer.content import Content, Source, Target
from registry.transfer.errors import Interrupted, Missing, TransferError
from registry.transfer.report import Copied, Problem, Report

DEEPEST = 10
"""Indexes within indexes, and referrers of referrers."""


class Item(NamedTuple):
    """An image to move. `reference` is a tag or digest there. Without `tags` it goes by its digest."""

    source_repository: str
    reference: str
    repository: str
    tags: tuple[str, ...]

    def __str__(self) -> str:
        mark = "@" if ":" in self.reference else ":"
        return f"{self.source_repository}{mark}{self.reference}" if self.source_repository else self.reference


@dataclass
class _Found:
    """What one image is made of: manifests in the order in which they are put, and blobs."""

    manifests: dict[Digest, Content] = field(default_factory=dict)
    present: set[Digest] = field(default_factory=set)
    """Those of the manifests that the target has."""
    roots: set[Digest] = field(default_factory=set)
    """Those that no index among them lists: the image itself, and referrers."""
    blobs: dict[Digest, Descriptor] = field(default_factory=dict)
    tags: dict[Digest, list[str]] = field(default_factory=dict)
    """Of what is attached by the names of its tags."""


@dataclass(frozen=True)
class Options:
    """`parallel` blobs at once. `platform` is like linux/amd64 or linux/arm/v7: of an index, only the image
    for it is moved. `same_registry`: source and target are one, so blobs are mounted. `check`: the blobs of
    images that are there are asked for, too."""

    parallel: int = 4
    referrers: bool = False
    platform: str | None = None
    same_registry: bool = False
    check: bool = False


class Transfer:
    """Moves from one source to one target. `report` tells meanwhile how far it is."""

    def __init__(self, source: Source, target: Target, report: Report, options: Options) -> None:
        self._source = source
        self._target = target
        self._report = report
        self._options = options
        self._places = asyncio.Semaphore(options.parallel)
        self._here: dict[Digest, str] = {}
        """Blobs that are at the target for sure, with a repository that has them."""

    async def run(self, items: Sequence[Item]) -> None:
        """Move each; what is wrong with one enters the report and does not keep the others.

        Raises Interrupted when a registry does not answer any more.
        """
        self._report.all_images = len(items)
        for item in items:
            try:
                await self._one(item)
            except Interrupted:
                raise
            except TransferError as error:
                self._report.problems.append(Problem(str(item), str(error)))

    async def _one(self, item: Item) -> None:
        if await self._is_there(item):
            return
        root = await self._chosen(item)
        found = _Found(roots={root.digest})
        await self._walk(item, root, found, 0)
        await self._blobs(item, list(found.blobs.values()))
        for content in found.manifests.values():
            tags = [
                *(item.tags if content.digest == root.digest else ()),
                *found.tags.get(content.digest, ()),
            ]
            if content.digest in found.present:
                tags = await self._missing(item.repository, tags, content.digest)
            if content.digest in found.present and not tags:
                self._report.manifests_present += 1
                continue
            is_root = content.digest in found.roots
            await self._target.put_manifest(item.repository, content, tags, root=is_root)
            self._report.manifests_sent += 1
        self._report.images.append(Copied(str(item), item.repository, item.tags, root.digest))

    async def _is_there(self, item: Item) -> bool:
        """Whether every tag is where it should be already, and so all below it, unless the target lost some
        of it. The source is only asked where its tag points: reading a manifest counts as a pull at some."""
        if self._options.check or self._options.referrers or self._options.platform is not None:
            return False
        wanted = await self._source.digest(item.source_repository, item.reference)
        if wanted is None or not item.tags or await self._missing(item.repository, item.tags, wanted):
            return False
        self._report.manifests_present += 1
        self._report.images.append(Copied(str(item), item.repository, item.tags, wanted))
        return True

    async def _missing(self, repository: str, tags: Sequence[str], digest: Digest) -> list[str]:
        """Those of the tags that point elsewhere, or are not there. The others are not put again: that would
        be another push to the target."""
        return [tag for tag in tags if await self._target.digest(repository, tag) != digest]

    async def _chosen(self, item: Item) -> Content:
        """The manifest to move, of an index that for the platform."""
        content = await self._source.manifest(item.source_repository, item.reference)
        for _ in range(DEEPEST):
            if self._options.platform is None or not content.manifest.is_index:
                return content
            child = _for_platform(content.manifest.children, self._options.platform)
            if child is None:
                raise Missing(f"there is no image for {self._options.platform} in {content.digest}")
            content = await self._source.manifest(item.source_repository, child.digest, child.media_type)
        raise TransferError(f"{item} has indexes within indexes, more than {DEEPEST} deep")

    async def _walk(self, item: Item, content: Content, found: _Found, depth: int) -> None:
        """Enter a manifest behind all that it names, then its referrers behind it. Of an index that is at the
        target the children are looked at still: registries may take indexes without them."""
        if content.digest in found.manifests:
            return
        if depth > DEEPEST:
            raise TransferError(f"{item} is more than {DEEPEST} manifests deep")
        manifest = content.manifest
        if await self._target.has_manifest(item.repository, content.digest):
            found.present.add(content.digest)
        if self._options.check or content.digest not in found.present:
            found.blobs |= {blob.digest: blob for blob in manifest.required_blobs}
        for child in manifest.children:
            if child.media_type in MANIFEST_TYPES:
                await self._walk(item, await self._child(item, content, child), found, depth + 1)
            else:  # a cache of BuildKit's
                found.blobs[child.digest] = child
        found.manifests[content.digest] = content
        if self._options.referrers:
            for referrer in await self._source.referrers(item.source_repository, content.digest):
                found.roots.add(referrer.digest)
                referring = await self._manifest(item, referrer)
                await self._walk(item, referring, found, depth + 1)
            for tag in await self._source.attached(item.source_repository, content.digest):
                attached = await self._source.manifest(item.source_repository, tag)
                await self._walk(item, attached, found, depth + 1)
                found.tags.setdefault(attached.digest, []).append(tag)

    async def _child(self, item: Item, parent: Content, child: Descriptor) -> Content:
        try:
            return await self._manifest(item, child)
        except Missing as error:
            raise Missing(
                f"{error}, which the index {parent.digest} lists; to move the image for one platform, name it"
            ) from error

    async def _manifest(self, item: Item, descriptor: Descriptor) -> Content:
        return await self._source.manifest(item.source_repository, descriptor.digest, descriptor.media_type)

    async def _blobs(self, item: Item, blobs: Sequence[Descriptor]) -> None:
        for blob in blobs:
            self._report.met(blob)
        try:
            async with asyncio.TaskGroup() as group:
                for blob in blobs:
                    group.create_task(self._blob(item, blob))
        except ExceptionGroup as error:
            problems = [found for found in error.exceptions if isinstance(found, TransferError)]
            if len(problems) < len(error.exceptions):
                raise
            raise problems[0] from error

    async def _blob(self, item: Item, blob: Descriptor) -> None:
        async with self._places:
            seen = self._here.get(blob.digest) == item.repository
            if seen or await self._target.has_blob(item.repository, blob):
                self._report.present(blob)
            elif await self._mounted(item, blob):
                self._report.present(blob, mounted=True)
            else:
                read = partial(self._source.blob, item.source_repository, blob)
                try:
                    moved = partial(self._report.moved, blob)
                    await self._target.put_blob(item.repository, blob, read, moved)
                    self._report.blobs_sent += 1
                finally:
                    self._report.running.pop(blob.digest, None)
            self._here.setdefault(blob.digest, item.repository)

    async def _mounted(self, item: Item, blob: Descriptor) -> bool:
        """Whether the target could take the blob from another repository of its own."""
        origin = self._here.get(blob.digest)
        if origin is None and self._options.same_registry:
            origin = item.source_repository
        if origin is None or origin == item.repository:
            return False
        return await self._target.mount(item.repository, blob, origin)


def _for_platform(children: Sequence[Descriptor], wanted: str) -> Descriptor | None:
    for child in children:
        platform = child.platform or {}
        parts = [platform.get("os"), platform.get("architecture")]
        if child.media_type in MANIFEST_TYPES and _matches(
            [*parts, platform.get("variant")], wanted.split("/")
        ):
            return child
    return None


def _matches(offered: Sequence[object], wanted: Sequence[str]) -> bool:
    """A variant that is not asked for does not matter."""
    return list(offered[: len(wanted)]) == list(wanted)
