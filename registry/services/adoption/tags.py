"""The tags of one repository of the tree. The newer of two wins: what was done here since stays."""

from collections.abc import Collection, Sequence
from enum import Enum, auto
from functools import partial

from auth.actor import Actor
from registry.index import Connection, Index, adoption, manifests, repositories, tags
from registry.oci.digest import Digest
from registry.oci.errors import TagInvalid
from registry.oci.name import RepositoryName, Tag
from registry.services.adoption.report import Report
from registry.services.adoption.source import Source, Tree, Unfit
from registry.services.parallel import in_parallel
from registry.services.policies import immutable

READ_AT_ONCE = 16
BATCH = 200
"""Tags of one transaction."""


class Outcome(Enum):
    """What became of a tag."""

    ADDED = auto()
    MOVED = auto()
    UNCHANGED = auto()
    NEWER_HERE = auto()
    IMMUTABLE = auto()
    NO_MANIFEST = auto()


LEFT_OUT = {
    Outcome.IMMUTABLE: "it is immutable here, and points to another manifest",
    Outcome.NO_MANIFEST: "its manifest is not here",
}


class TagAdoption:
    """Points tags as the tree has them; `known` are the manifests that they can point to, and `deleted` those
    that were deleted here."""

    def __init__(
        self,
        index: Index,
        source: Source,
        name: RepositoryName,
        tree: Tree,
        known: Collection[str],
        deleted: Collection[str],
        actor: Actor,
        report: Report,
        *,
        dry: bool,
    ) -> None:
        self._index = index
        self._source = source
        self._name = name
        self._tree = tree
        self._known = known
        self._deleted = deleted
        self._actor = actor
        self._report = report
        self._dry = dry
        self._targets: dict[str, Digest] = {}

    async def run(self) -> None:
        """Raises StorageError, and what the index raises."""
        await in_parallel(self._read, self._tree.tags, READ_AT_ONCE)
        names = sorted(self._targets)
        for start in range(0, len(names), BATCH):
            point = partial(self._point, names=names[start : start + BATCH])
            for name, outcome in await (self._index.read if self._dry else self._index.write)(point):
                self._count(name, outcome)

    async def _read(self, tag: str) -> None:
        try:
            self._targets[Tag.parse(tag)] = await self._source.target(self._name, tag)
        except (TagInvalid, Unfit) as error:
            self._report.leave_out(f"{self._name}:{tag}", error.message)

    def _point(self, connection: Connection, names: Sequence[str]) -> list[tuple[str, Outcome]]:
        repository_id = repositories.find(connection, self._name)
        fixed = set(immutable(connection, self._name, names))
        if fixed and not self._dry:
            repositories.lock(connection, self._name)  # of two first pushes, the second sees the first
        outcomes = []
        for name in names:
            outcome = self._wanted(connection, repository_id, name, fixed)
            if outcome in (Outcome.ADDED, Outcome.MOVED) and not self._dry:
                assert repository_id is not None
                outcome = outcome if self._do(connection, repository_id, name) else Outcome.NEWER_HERE
            outcomes.append((name, outcome))
        return outcomes

    def _wanted(
        self, connection: Connection, repository_id: int | None, name: str, fixed: Collection[str]
    ) -> Outcome:
        """What should become of a tag."""
        target = self._targets[name]
        current = tags.digest_of(connection, self._name, name)
        if current == target:
            return Outcome.UNCHANGED
        at = self._tree.tags[name]
        if repository_id is not None and adoption.changed_after(connection, repository_id, name, target, at):
            return Outcome.NEWER_HERE
        if target not in self._known:
            return Outcome.NEWER_HERE if target in self._deleted else Outcome.NO_MANIFEST
        if current is None:
            return Outcome.ADDED
        return Outcome.IMMUTABLE if name in fixed else Outcome.MOVED

    def _do(self, connection: Connection, repository_id: int, name: str) -> bool:
        target = self._targets[name]
        row = manifests.find_by_digest(connection, self._name, target)
        if row is None:  # deleted here a moment ago
            return False
        at = self._tree.tags[name]
        return adoption.point(connection, repository_id, name, row.id, target, self._actor.principal, at)

    def _count(self, name: str, outcome: Outcome) -> None:
        report = self._report
        match outcome:
            case Outcome.ADDED:
                report.tags_added += 1
            case Outcome.MOVED:
                report.tags_moved += 1
            case Outcome.UNCHANGED:
                report.tags_unchanged += 1
            case Outcome.NEWER_HERE:
                report.newer_here += 1
            case _:
                report.leave_out(f"{self._name}:{name}", LEFT_OUT[outcome])
