"""Deleting what retention decided about, if it still is what it was then.

Whoever pushes or reports meanwhile wins. A tag that was pushed again stays. So does a manifest that was
pushed again, that has another tag, that an index lists which stays, or that somebody signed. What is left
because of that waits for the next run.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from auth.actor import Actor
from registry.index import Connection, in_use, manifests, quotas, repositories, retention, tags
from registry.index.repositories import RepositoryRow
from registry.index.retention import LiveManifest
from registry.services.audit import Audit, AuditRow
from registry.services.retention.decision import Contents, Decision
from registry.services.retention.reading import rules_of


class Outdated(Exception):
    """What is protected in the repository, or a rule, has changed: it has to be decided about anew."""


class Dropped(NamedTuple):
    """How many tags and manifests one transaction deleted, and what to tell of it."""

    tags: int
    manifests: int
    audit: Sequence[AuditRow]


class Dropping:
    """What was decided about a repository, to be carried out in parts. `keep_deleted`: whether what goes can
    be restored for a while."""

    def __init__(
        self,
        repository: RepositoryRow,
        contents: Contents,
        decision: Decision,
        audit: Audit,
        *,
        keep_deleted: bool,
    ) -> None:
        self._repository = repository
        self._contents = contents
        self._going = decision.going
        self._following = decision.following
        self._audit = audit
        self._keep_deleted = keep_deleted
        self._tags = {one.tag: one for one in decision.verdicts if one.tag is not None and not one.kept}
        self._followers: dict[str, list[str]] = {}
        for name in self._following.keys() & self._tags.keys():
            self._followers.setdefault(self._following[name], []).append(self._tags[name].digest)

    def roots(self) -> list[str]:
        """Where a deletion begins: manifests that lose a tag, and those that go and that nothing holds. What
        they hold goes with the last of them."""
        losing = {one.digest for name, one in self._tags.items() if name not in self._following}
        held = {digest for one in self._going.values() for digest in one.holds}
        return sorted(losing | (self._going.keys() - held))

    def drop(self, connection: Connection, roots: Iterable[str]) -> Dropped:
        """Delete these with what goes with them, in the transaction of the connection. Raises Outdated."""
        now = time.time()
        quotas.lock_of_repository(connection, self._repository.name)
        row = self._check(connection, now)
        wanted = self._with_held(roots)
        live = retention.lock(connection, row.id, wanted)
        names, gone = self._still(wanted, live)
        by_rule: dict[str, dict[str, list[str]]] = {}
        for name in sorted(names):
            rule = str(self._tags[name].rule)
            tags.remove(connection, row.id, name, f"retention:{rule}", now)
            by_rule.setdefault(rule, {}).setdefault("tags", []).append(name)
        for digest in sorted(gone):
            rule = self._going[digest].rule
            by = f"retention:{rule}"
            manifests.remove(connection, live[digest].id, by, now, keep=self._keep_deleted)
            by_rule.setdefault(rule, {}).setdefault("digests", []).append(digest)
        told = [
            self._audit.record(connection, Actor(f"retention:{rule}"), "delete", row.name, detail)
            for rule, detail in sorted(by_rule.items())
        ]
        return Dropped(len(names), len(gone), told)

    def _check(self, connection: Connection, now: float) -> RepositoryRow:
        """The repository, if nothing in it is protected that was not when it was decided about, and the rules
        are the same: whoever disables one means it."""
        row = repositories.details(connection, self._repository.name)
        if row is None or row.uid != self._repository.uid:
            raise Outdated
        if row.immutable_tags != self._repository.immutable_tags:
            raise Outdated
        if rules_of(connection, row.name) != list(self._contents.rules):
            raise Outdated
        if not in_use.of_repository(connection, row.name, now) <= frozenset(self._contents.in_use):
            raise Outdated
        return row

    def _with_held(self, roots: Iterable[str]) -> set[str]:
        found = set(roots)
        waiting = list(found)
        for digest in waiting:
            going = self._going.get(digest)
            for other in (*(() if going is None else going.holds), *self._followers.get(digest, ())):
                if other not in found:
                    found.add(other)
                    waiting.append(other)
        return found

    def _still(self, wanted: set[str], live: Mapping[str, LiveManifest]) -> tuple[set[str], set[str]]:
        """Of what was decided to go, the tags and manifests that may: begin with all that did not change, and
        take out what is held by what does not go, until nothing is."""
        names = {
            name
            for digest, manifest in live.items()
            for name, pushed_at in manifest.tags.items()
            if self._still_goes(name, digest, pushed_at)
        }
        changed = {
            digest for digest in wanted & self._going.keys() & live.keys() if self._changed(digest, live)
        }
        gone = (wanted & self._going.keys() & live.keys()) - changed
        while True:
            stay = {digest for digest in gone if self._is_held(live[digest], names, gone, changed)}
            gone -= stay
            kept = {name for name in names if self._is_followed(name, wanted, live, gone)}
            names -= kept
            if not stay and not kept:
                return names, gone

    def _still_goes(self, name: str, digest: str, pushed_at: float) -> bool:
        verdict = self._tags.get(name)
        return verdict is not None and (verdict.digest, verdict.pushed_at) == (digest, pushed_at)

    def _changed(self, digest: str, live: Mapping[str, LiveManifest]) -> bool:
        return live[digest].pushed_at != self._going[digest].facts.pushed_at

    def _is_held(self, manifest: LiveManifest, names: set[str], gone: set[str], changed: set[str]) -> bool:
        return (
            not manifest.tags.keys() <= names
            or not manifest.parents <= gone
            or (manifest.subject is not None and manifest.subject not in gone)
            or any(one in changed or one not in self._contents.manifests for one in manifest.referrers)
        )

    def _is_followed(
        self, name: str, wanted: set[str], live: Mapping[str, LiveManifest], gone: set[str]
    ) -> bool:
        """Whether a tag that goes with its subject only has to stay for that."""
        subject = self._following.get(name)
        return subject is not None and not (subject in gone or (subject in wanted and subject not in live))
