"""What retention decides about one repository: for each tag, and each manifest without one, whether it stays,
by which rule and why. Nothing here reads or changes anything.

What belongs together goes together. An index holds what it lists, a manifest its referrers, also those that
are pushed under a tag like `sha256-<hex>.sig`. With a tag goes its manifest, unless something that stays
holds it, and with that all that nothing else holds.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from auth.patterns import TagPattern
from registry.index.retention import ManifestFacts, TagFacts
from registry.index.retention_rules import RetentionRuleRow
from registry.services.retention.conditions import (
    Candidate,
    covers,
    first_match,
    keeps,
    lets_go,
    rank,
)
from registry.services.retention.graph import Graph
from registry.services.retention.spans import said_span

ATTACHED = re.compile(r"(sha256|sha512)-([0-9a-f]{64,128})(?:\..*)?")
"""The tag of what is attached to the digest in it, by cosign and by clients that know no referrers."""


class Contents(NamedTuple):
    """A repository. `rules` are those that are for it and count; `manifests` are by their digests, and
    `untagged_since` tells of some of them when they lost their last tag."""

    tags: Sequence[TagFacts]
    manifests: Mapping[str, ManifestFacts]
    untagged_since: Mapping[str, float]
    immutable: Sequence[TagPattern]
    in_use: Collection[str]
    rules: Sequence[RetentionRuleRow]


class Verdict(NamedTuple):
    """On a tag, or on a manifest without one (`tag` is None). `rule` is the one that decided, if one did;
    `reason` is a sentence without its beginning, like `was pushed within 30d`."""

    tag: str | None
    digest: str
    kept: bool
    rule: str | None
    reason: str
    pushed_at: float
    pulled_at: float | None


class Going(NamedTuple):
    """A manifest that goes, with a tag until now or without, the rule by which, and what goes with it because
    of it."""

    facts: ManifestFacts
    rule: str
    holds: Sequence[str]


class Decision(NamedTuple):
    """`verdicts`: of all tags by name, then of the manifests without one by digest. `going`: by digest.
    `following`: tags that go only with their subject, and its digest."""

    verdicts: Sequence[Verdict]
    going: Mapping[str, Going]
    following: Mapping[str, str]


class Said(NamedTuple):
    """A verdict that does not say on what."""

    kept: bool
    rule: str | None
    reason: str


def decide(contents: Contents, now: float) -> Decision:
    """The verdicts, `now` in seconds since the epoch."""
    return _Session(contents, now).decision()


class _Session:
    """One decision."""

    def __init__(self, contents: Contents, now: float) -> None:
        self._contents = contents
        self._now = now
        self._graph = graph = Graph(contents.manifests)
        self._running = graph.with_listers(contents.in_use)
        self._pulled = {tag.name: graph.pulled_at(tag.digest) for tag in contents.tags}
        self._attached = dict(_attached(contents))
        self._candidates = {
            tag.name: Candidate(tag.name, tag.pushed_at, max(tag.pushed_at, self._pulled[tag.name] or 0))
            for tag in contents.tags
            if tag.name not in self._attached
        }
        rules = sorted(contents.rules, key=lambda rule: rule.name)
        self._ranks = [rank(rule, self._candidates.values()) for rule in rules]

    def decision(self) -> Decision:
        said: dict[str, Said] = {}
        following: dict[str, TagFacts] = {}
        for tag in self._contents.tags:
            protected = self._protected(tag)
            if protected is None and tag.name in self._attached and self._is_covered(tag):
                following[tag.name] = tag
                self._graph.follow(tag.digest, self._attached[tag.name])
            else:
                said[tag.name] = protected or self._judged(tag)
        digests = {tag.name: tag.digest for tag in self._contents.tags}
        untagged = self._untagged(frozenset(digests.values()))
        dropped = {digests[name]: str(one.rule) for name, one in said.items() if not one.kept}
        dropped |= {digest: str(one.rule) for digest, one in untagged.items() if not one.kept}
        kept = {digests[name] for name, one in said.items() if one.kept} | self._running
        going, holders = self._graph.spread(dropped, kept)
        for name in following:
            subject = self._attached[name]
            rule = going.get(subject)
            said[name] = Said(
                rule is None, rule, f"belongs to {subject}, which {'goes' if rule else 'stays'}"
            )
        for digest, one in untagged.items():
            if digest in going and one.kept:
                untagged[digest] = Said(False, going[digest], "goes with what held it")
            elif digest in holders:
                untagged[digest] = Said(True, None, f"is held by {holders[digest]}")
        return Decision(
            [*self._tag_verdicts(said), *self._untagged_verdicts(untagged)],
            {
                digest: Going(
                    self._contents.manifests[digest],
                    rule,
                    [other for other in self._graph.held_by(digest) if other in going],
                )
                for digest, rule in going.items()
            },
            {name: self._attached[name] for name in following},
        )

    def _tag_verdicts(self, said: Mapping[str, Said]) -> Iterator[Verdict]:
        for tag in self._contents.tags:
            yield Verdict(tag.name, tag.digest, *said[tag.name], tag.pushed_at, self._pulled[tag.name])

    def _untagged_verdicts(self, said: Mapping[str, Said]) -> Iterator[Verdict]:
        for digest in sorted(said):
            facts = self._contents.manifests[digest]
            yield Verdict(None, digest, *said[digest], facts.pushed_at, self._graph.pulled_at(digest))

    def _protected(self, tag: TagFacts) -> Said | None:
        """Why a tag stays, whatever the rules say."""
        pattern = first_match(self._contents.immutable, tag.name)
        if pattern is not None:
            return Said(True, None, f"is immutable here ({pattern})")
        return self._runs(tag.digest)

    def _runs(self, digest: str) -> Said | None:
        if digest not in self._running:
            return None
        direct = digest in self._contents.in_use
        return Said(True, None, "is reported as in use" if direct else "lists what is reported as in use")

    def _is_covered(self, tag: TagFacts) -> bool:
        return any(covers(ranked.rule, tag.name) for ranked in self._ranks)

    def _judged(self, tag: TagFacts) -> Said:
        """What the rules say of a tag: it stays if any of those that cover it keeps it."""
        covering = [ranked for ranked in self._ranks if covers(ranked.rule, tag.name)]
        if not covering:
            return Said(True, None, "is covered by no rule")
        for ranked in covering:
            reason = keeps(ranked, self._candidates[tag.name], self._now)
            if reason is not None:
                return Said(True, ranked.rule.name, reason)
        return Said(False, covering[0].rule.name, lets_go(covering[0].rule))

    def _untagged(self, tagged: Collection[str]) -> dict[str, Said]:
        """What is said of the manifests without a tag, each by itself."""
        return {
            digest: self._runs(digest) or self._judged_untagged(facts)
            for digest, facts in self._contents.manifests.items()
            if digest not in tagged
        }

    def _judged_untagged(self, facts: ManifestFacts) -> Said:
        holder = self._graph.holder(facts.digest)
        if holder is not None:
            return Said(True, None, f"is held by {holder}")
        spans = [(one.rule.untagged_seconds, one.rule.name) for one in self._ranks]
        seconds, name = max(
            ((span, name) for span, name in spans if span is not None), default=(None, None)
        )  # as with tags, it stays if any rule keeps it
        if seconds is None:
            return Said(True, None, "has no tag, which no rule is about")
        since = max(facts.pushed_at, self._contents.untagged_since.get(facts.digest, 0))
        kept = self._now - since <= seconds
        return Said(kept, name, f"has had no tag for {'less' if kept else 'more'} than {said_span(seconds)}")


def _attached(contents: Contents) -> Iterator[tuple[str, str]]:
    """The tags of what is attached to a manifest that is here, each with that manifest's digest."""
    for tag in contents.tags:
        found = ATTACHED.fullmatch(tag.name)
        if found is not None and (subject := f"{found[1]}:{found[2]}") in contents.manifests:
            yield tag.name, subject
