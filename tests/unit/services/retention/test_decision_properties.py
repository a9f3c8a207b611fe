"""What holds for every decision of retention, compared with a second opinion that is as plain as can be."""

from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

from registry.index.retention import ManifestFacts
from registry.index.retention_rules import RetentionRuleRow
from registry.services.retention.conditions import problems
from registry.services.retention.decision import Contents, decide
from tests.unit.services.retention.contents import contents, manifest, rule

NOW = 10.0
LETTERS = "abcdef"
NAMES = ("a", "b", "v1", "v2", "v3", f"sha256-{64 * 'a'}", f"sha256-{64 * 'b'}.sig")
PATTERNS = ("*", "v*", "a", "sha*", "nothing")

times = st.integers(0, 10).map(float)
spans = st.none() | times
patterns = st.lists(st.sampled_from(PATTERNS), max_size=2)


@st.composite
def rules(draw: st.DrawFn, name: str) -> RetentionRuleRow:
    drawn = rule(
        name,
        tags=draw(patterns),
        keep_tags=draw(patterns),
        keep_last=draw(st.none() | st.integers(0, 4)),
        keep_last_by=draw(st.sampled_from(("pushed", "pulled"))),
        keep_pushed_seconds=draw(spans),
        keep_pulled_seconds=draw(spans),
        untagged_seconds=draw(spans),
    )
    return drawn._replace(keep_last=0) if problems(drawn) else drawn


@st.composite
def manifests(draw: st.DrawFn, letter: str) -> ManifestFacts:
    """Of what may be real and what may not: knots, and what cites what is not here."""
    return manifest(
        letter,
        children="".join(draw(st.sets(st.sampled_from("abcdef9"), max_size=2))),
        subject=draw(st.none() | st.none() | st.sampled_from("abcdef9")),
        pushed_at=draw(times),
        pulled_at=draw(st.none() | times),
    )


@st.composite
def repositories(draw: st.DrawFn) -> Contents:
    here = draw(st.sets(st.sampled_from(LETTERS), min_size=1))
    tags = st.dictionaries(st.sampled_from(NAMES), st.tuples(st.sampled_from(sorted(here)), times))
    return contents(
        [draw(manifests(letter)) for letter in sorted(here)],
        draw(tags),
        [draw(rules(name)) for name in draw(st.sets(st.sampled_from(("x", "y", "z"))))],
        immutable=draw(patterns),
        in_use="".join(draw(st.sets(st.sampled_from("abcdef9"), max_size=1))),
        untagged_since=draw(st.dictionaries(st.sampled_from(LETTERS), times)),
    )


def below(found: Contents, start: set[str], *, listed_only: bool = False) -> set[str]:
    """These manifests, and all that they list or that refers to them, again and again."""
    reached = {one for one in start if one in found.manifests}
    while True:
        more = {child for one in reached for child in found.manifests[one].children} & found.manifests.keys()
        if not listed_only:
            more |= {one for one, facts in found.manifests.items() if facts.subject in reached}
        if more <= reached:
            return reached
        reached |= more


def above(found: Contents, start: set[str]) -> set[str]:
    """These manifests, and every index that lists one of them, again and again."""
    reached = {one for one in start if one in found.manifests}
    while True:
        more = {one for one, facts in found.manifests.items() if reached & set(facts.children)}
        if more <= reached:
            return reached
        reached |= more


def used(found: Contents) -> Mapping[str, float]:
    """By tag: its last pull or push."""
    manifests = found.manifests
    return {
        tag.name: max(
            tag.pushed_at,
            *(manifests[one].pulled_at or 0 for one in below(found, {tag.digest}, listed_only=True)),
        )
        for tag in found.tags
    }


def attached(found: Contents) -> dict[str, str]:
    named = {tag.name: tag.name.removesuffix(".sig").replace("-", ":") for tag in found.tags}
    return {name: subject for name, subject in named.items() if subject in found.manifests}


def kept_by_a_rule(found: Contents) -> set[str]:
    """The tags that rules keep for what they are, and those that no rule covers."""
    at, ordinary = used(found), [tag for tag in found.tags if tag.name not in attached(found)]
    kept, covered_by_any = set(), set()
    for one in found.rules:
        covered = [tag for tag in ordinary if any(pattern.matches(tag.name) for pattern in one.tags)]
        covered_by_any |= {tag.name for tag in covered}
        time_of = {
            tag.name: at[tag.name] if one.keep_last_by == "pulled" else tag.pushed_at for tag in covered
        }
        newest = sorted(sorted(time_of), key=lambda name: time_of[name], reverse=True)
        kept |= set(newest[: one.keep_last or 0])
        for tag in covered:
            if (
                any(pattern.matches(tag.name) for pattern in one.keep_tags)
                or (one.keep_pushed_seconds is not None and NOW - tag.pushed_at <= one.keep_pushed_seconds)
                or (one.keep_pulled_seconds is not None and NOW - at[tag.name] <= one.keep_pulled_seconds)
            ):
                kept.add(tag.name)
    return kept | ({tag.name for tag in ordinary} - covered_by_any)


@settings(max_examples=50)
@given(repositories())
def test_each_tag_and_each_manifest_without_one_has_a_verdict(found: Contents) -> None:
    decision = decide(found, NOW)
    tagged = {tag.digest for tag in found.tags}
    assert [one.tag for one in decision.verdicts if one.tag] == [tag.name for tag in found.tags]
    untagged = [one.digest for one in decision.verdicts if one.tag is None]
    assert untagged == sorted(found.manifests.keys() - tagged)
    assert all(one.reason for one in decision.verdicts)
    assert all(one.rule in {"x", "y", "z"} for one in decision.verdicts if not one.kept)
    assert all(one.kept == (one.digest not in decision.going) for one in decision.verdicts if one.tag is None)


@settings(max_examples=50)
@given(repositories())
def test_tags_are_kept_as_the_rules_say(found: Contents) -> None:
    decision = decide(found, NOW)
    running = above(found, set(found.in_use))
    subjects = attached(found)
    wanted = kept_by_a_rule(found)
    for verdict in decision.verdicts:
        if verdict.tag is None:
            continue
        immutable = any(pattern.matches(verdict.tag) for pattern in found.immutable)
        if immutable or verdict.digest in running:
            assert verdict.kept
        elif verdict.tag not in subjects:
            assert verdict.kept == (verdict.tag in wanted)
        elif any(pattern.matches(verdict.tag) for one in found.rules for pattern in one.tags):
            assert verdict.kept == (subjects[verdict.tag] not in decision.going)
        else:
            assert verdict.kept


@settings(max_examples=50)
@given(repositories())
def test_nothing_goes_that_anything_holds_which_stays(found: Contents) -> None:
    decision = decide(found, NOW)
    going = decision.going.keys()
    stays = found.manifests.keys() - going
    assert not below(found, set(stays)) & going
    assert not {one.digest for one in decision.verdicts if one.tag and one.kept} & going
    running = above(found, set(found.in_use))
    assert not below(found, running) & going


@settings(max_examples=50)
@given(repositories())
def test_all_goes_that_only_what_goes_holds(found: Contents) -> None:
    """What goes begins with a tag that goes or a manifest that is old; what such a one held goes with it."""
    decision = decide(found, NOW)
    subjects = attached(found)
    tagged = {tag.digest for tag in found.tags}
    lost = {one.digest for one in decision.verdicts if one.tag and not one.kept}
    spans = [one.untagged_seconds for one in found.rules if one.untagged_seconds is not None]
    held = {
        one
        for one, facts in found.manifests.items()
        if facts.subject in found.manifests
        or any(one in other.children for other in found.manifests.values())
    }
    old = {
        one
        for one, facts in found.manifests.items()
        if spans and NOW - max(facts.pushed_at, found.untagged_since.get(one, 0)) > max(spans)
    } - (tagged | held)
    begins = lost | old
    protected = {one.digest for one in decision.verdicts if one.tag and one.kept} | above(
        found, set(found.in_use)
    )
    reached = below(found, begins)
    for (
        name
    ) in subjects:  # what is attached by its tag goes with its subject, and takes with it what it holds
        goes = next(one for one in decision.verdicts if one.tag == name)
        reached |= below(found, {goes.digest}) if not goes.kept else set()
    stays = below(found, (found.manifests.keys() - reached) | protected)
    assert decision.going.keys() == reached - stays


@settings(max_examples=50)
@given(repositories())
def test_what_goes_is_found_from_what_it_is_held_by(found: Contents) -> None:
    """The way in which it is deleted: from manifests that nothing holds, or that lose a tag, downwards."""
    decision = decide(found, NOW)
    going = decision.going
    held = {other for one in going.values() for other in one.holds}
    begins = (going.keys() - held) | {one.digest for one in decision.verdicts if one.tag and not one.kept}
    reached = set(begins)
    waiting = list(begins)
    for one in waiting:
        for other in going[one].holds if one in going else ():
            if other not in reached:
                reached.add(other)
                waiting.append(other)
    assert going.keys() <= reached
