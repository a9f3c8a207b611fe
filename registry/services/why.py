"""Why something is still here: who holds a blob or a manifest, and what holds those."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import islice
from typing import NamedTuple

from registry.index import Connection, Index, holders, repositories, retention
from registry.index.holders import HolderManifest, HolderRepository, StoredBlob
from registry.index.retention_rules import RetentionRuleRow
from registry.oci.digest import Digest
from registry.services.policies import immutable
from registry.services.retention.decision import decide
from registry.services.retention.reading import contents, rules_of

MOST_JUDGED = 100_000
"""Tags and manifests that are read to tell what retention would do: all those of each repository that is
asked, and about a second of work. The repositories behind come without verdicts."""

Shown = Callable[[str, bool], bool]
"""Whether the caller may know of a repository: its name, and whether it is public."""


class Kind(StrEnum):
    """In which way something holds a digest."""

    MANIFEST = "manifest"
    """A manifest needs the blob."""
    ITSELF = "itself"
    """It is a manifest of the repository."""
    INDEX = "index"
    """An index lists it."""
    SUBJECT = "subject"
    """It refers to this manifest, and stays as long as that does."""
    AWAITED = "awaited"
    """A manifest cites the blob that was pushed before it was there."""
    LINK = "link"
    """The repository may read it, though nothing in it needs it: the collector ends that."""
    DELETED = "deleted"
    """A manifest that was deleted and can be restored needs it, or is it."""
    IN_USE = "in use"
    """Somebody runs it."""


class TagVerdict(NamedTuple):
    """What retention or a setting says of a tag. `rule` is a retention rule, None if none decides."""

    tag: str
    kept: bool
    rule: str | None
    reason: str


class Holder(NamedTuple):
    """What holds what was asked for: `digest` with the `tags` on it. `through`: it holds this other holder.
    At `until` (seconds since the epoch) it holds it no more; None: when somebody deletes it. `by` is a
    principal or a reporter."""

    kind: Kind
    repository: str
    digest: str | None = None
    tags: tuple[str, ...] = ()
    through: str | None = None
    until: float | None = None
    by: str | None = None
    verdicts: tuple[TagVerdict, ...] = ()


class Reasons(NamedTuple):
    """All that is known of a digest, as far as the caller may know. `more`: there are more holders than were
    asked for."""

    blob: StoredBlob | None
    holders: list[Holder]
    more: bool


class Why:
    """Asks the index. `undo_seconds`: for how long what was deleted can be restored."""

    def __init__(self, index: Index, undo_seconds: float) -> None:
        self._index = index
        self._undo_seconds = undo_seconds

    async def ask(self, digest: Digest, shown: Shown, limit: int, *, everything: bool) -> Reasons:
        """At most `limit` holders in the repositories that are `shown`. Of a blob whose bytes none of these
        holds, only who may know `everything` hears: anybody can name a digest."""

        def query(connection: Connection) -> Reasons:
            found = list(islice(self._holders(connection, digest, shown, limit + 1), limit + 1))
            may_know = everything or any(_holds_bytes(holder, digest) for holder in found)
            blob = holders.blob(connection, digest) if may_know else None
            return Reasons(blob, found[:limit], len(found) > limit)

        return await self._index.read(query)

    def _holders(self, connection: Connection, digest: Digest, shown: Shown, limit: int) -> Iterator[Holder]:
        now = time.time()
        digests = {str(digest)}
        left = MOST_JUDGED
        for repository in holders.repositories_of(connection, digest):
            if not shown(repository.name, repository.public):
                continue
            found = list(islice(_in_repository(connection, repository, digest, limit), limit))
            digests.update(holder.digest for holder in found if holder.digest is not None)
            if any(holder.tags for holder in found):
                rules = rules_of(connection, repository.name)
                cost = retention.extent(connection, repository.id, left + 1) if rules else 0
                if cost <= left:
                    left -= cost
                    found = _judged(connection, repository.name, found, rules, now)
            yield from found
        for row in holders.removed(connection, digest):
            until = row.removed_at + self._undo_seconds
            if shown(row.repository, False):
                yield Holder(Kind.DELETED, row.repository, row.digest, until=until, by=row.removed_by)
        for use in holders.in_use(connection, sorted(digests)[:limit], now):
            if shown(use.repository, False):
                through = None if use.digest == digest else use.digest
                yield Holder(
                    Kind.IN_USE, use.repository, use.digest, through=through, until=use.until, by=use.reporter
                )


def _holds_bytes(holder: Holder, digest: str) -> bool:
    """Whether it shows that its repository had the blob itself, and not only the digest."""
    if holder.kind is Kind.DELETED:
        return holder.digest != digest
    return holder.kind in (Kind.MANIFEST, Kind.LINK)


def _in_repository(
    connection: Connection, repository: HolderRepository, digest: str, limit: int
) -> Iterator[Holder]:
    """Manifests, and then what holds these."""
    name = repository.name
    itself = holders.manifest(connection, repository.id, digest)
    needing = holders.manifests_with_blob(connection, repository.id, digest, limit)
    awaiting = holders.manifests_awaiting(connection, repository.id, digest, limit)
    if itself is not None:
        yield _holder(connection, Kind.ITSELF, name, itself)
    for found in needing:
        yield _holder(connection, Kind.MANIFEST, name, found)
    for found in awaiting:
        yield _holder(connection, Kind.AWAITED, name, found)
    bases = [*([] if itself is None else [itself]), *needing, *awaiting]
    if not bases:
        yield Holder(Kind.LINK, name)
    for kind, through, found in _above(connection, repository.id, bases, limit):
        yield _holder(connection, kind, name, found, None if through == digest else through)


def _above(
    connection: Connection, repository_id: int, bases: Iterable[HolderManifest], limit: int
) -> Iterator[tuple[Kind, str, HolderManifest]]:
    """The indexes and subjects that hold these manifests, those that hold them, and so on: each once."""
    front = list(bases)
    seen = {found.digest for found in front}
    while front:
        listed = holders.indexes_with(connection, repository_id, [found.digest for found in front], limit)
        above = [(Kind.INDEX, through, found) for through, found in listed]
        for found in front:
            subject = (
                None if found.subject is None else holders.manifest(connection, repository_id, found.subject)
            )
            if subject is not None:
                above.append((Kind.SUBJECT, found.digest, subject))
        front = []
        for kind, through, found in above:
            if found.digest not in seen:
                seen.add(found.digest)
                front.append(found)
                yield kind, through, found


def _holder(
    connection: Connection, kind: Kind, repository: str, found: HolderManifest, through: str | None = None
) -> Holder:
    return Holder(kind, repository, found.digest, tuple(holders.tags_of(connection, found.id)), through)


def _judged(
    connection: Connection,
    repository: str,
    found: list[Holder],
    rules: Sequence[RetentionRuleRow],
    now: float,
) -> list[Holder]:
    """The same, with what retention would do with their tags now. Where there is no rule for the repository,
    what is immutable is told."""
    row = repositories.details(connection, repository)
    if rules and row is not None:
        decision = decide(contents(connection, row, rules, now), now)
        verdicts = {
            verdict.tag: TagVerdict(verdict.tag, verdict.kept, verdict.rule, verdict.reason)
            for verdict in decision.verdicts
            if verdict.tag is not None
        }
    else:
        names = [tag for holder in found for tag in holder.tags]
        fixed = immutable(connection, repository, names)
        verdicts = {tag: TagVerdict(tag, True, None, "is immutable") for tag in fixed}
    return [
        holder._replace(verdicts=tuple(verdicts[tag] for tag in holder.tags if tag in verdicts))
        for holder in found
    ]
