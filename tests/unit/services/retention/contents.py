"""Repositories and rules for tests of retention, without an index."""

from collections.abc import Mapping, Sequence
from typing import Any

from auth.patterns import RepositoryPattern, TagPattern
from registry.index.retention import ManifestFacts, TagFacts
from registry.index.retention_rules import RetentionRuleRow
from registry.services.retention.decision import Contents, Verdict, decide

NOW = 1000.0


def digest(letter: str) -> str:
    """A digest that is easy to tell from others; `letter` is a hexadecimal digit."""
    return "sha256:" + 64 * letter


def rule(name: str = "rule", **conditions: Any) -> RetentionRuleRow:
    """One for all repositories and, unless said otherwise, all tags."""
    given = {"tags": ["*"], "keep_tags": [], **conditions}
    return RetentionRuleRow(
        name=name,
        repositories=RepositoryPattern.parse(given.get("repositories", "**")),
        tags=tuple(map(TagPattern.parse, given["tags"])),
        keep_last=given.get("keep_last"),
        keep_last_by=given.get("keep_last_by", "pushed"),
        keep_tags=tuple(map(TagPattern.parse, given["keep_tags"])),
        keep_pushed_seconds=given.get("keep_pushed_seconds"),
        keep_pulled_seconds=given.get("keep_pulled_seconds"),
        untagged_seconds=given.get("untagged_seconds"),
        disabled=False,
        created_at=0.0,
        created_by="user:admin",
    )


def manifest(
    letter: str,
    children: str = "",
    subject: str | None = None,
    pushed_at: float = 1.0,
    pulled_at: float | None = None,
) -> ManifestFacts:
    """Of letters: what it lists, and what it refers to."""
    return ManifestFacts(
        id=int(letter, 16),
        digest=digest(letter),
        size=10,
        subject=None if subject is None else digest(subject),
        pushed_at=pushed_at,
        pulled_at=pulled_at,
        children=tuple(map(digest, children)),
    )


def contents(
    manifests: Sequence[ManifestFacts],
    tags: Mapping[str, tuple[str, float]],
    rules: Sequence[RetentionRuleRow],
    *,
    immutable: Sequence[str] = (),
    in_use: str = "",
    untagged_since: Mapping[str, float] | None = None,
) -> Contents:
    """`tags` have the letter of a manifest, and when they were pushed."""
    return Contents(
        tags=[TagFacts(name, digest(letter), at) for name, (letter, at) in sorted(tags.items())],
        manifests={facts.digest: facts for facts in sorted(manifests, key=lambda facts: facts.digest)},
        untagged_since={digest(letter): at for letter, at in (untagged_since or {}).items()},
        immutable=tuple(map(TagPattern.parse, immutable)),
        in_use=frozenset(map(digest, in_use)),
        rules=rules,
    )


def verdicts(found: Contents, now: float = NOW) -> dict[str, Verdict]:
    """By the name of the tag, or by the letter of the manifest without one."""
    return {one.tag or one.digest[-1]: one for one in decide(found, now).verdicts}


def kept(found: Contents, now: float = NOW) -> set[str]:
    """The names and letters of what is kept."""
    return {name for name, one in verdicts(found, now).items() if one.kept}


def going(found: Contents, now: float = NOW) -> str:
    """The letters of the manifests that go."""
    return "".join(sorted(one[-1] for one in decide(found, now).going))
