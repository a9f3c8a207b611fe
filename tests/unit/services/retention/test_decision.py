"""What retention decides, case by case."""

import pytest

from registry.services.retention.conditions import problems
from registry.services.retention.decision import decide
from registry.services.retention.spans import said_span
from tests.unit.services.retention.contents import (
    NOW,
    contents,
    digest,
    going,
    kept,
    manifest,
    rule,
    verdicts,
)

IMAGES = [manifest(letter) for letter in "abcd"]
TAGS = {"v1": ("a", 10.0), "v2": ("b", 20.0), "v3": ("c", 30.0), "edge": ("d", 5.0)}


def test_the_last_are_kept_of_those_that_the_rule_covers() -> None:
    found = contents(IMAGES, TAGS, [rule("two", tags=["v*"], keep_last=2)])

    told = verdicts(found)
    assert kept(found) == {"v2", "v3", "edge"}
    assert told["v1"].reason == "is not one of the 2 that were pushed last"
    assert (told["v1"].rule, told["v2"].rule, told["edge"].rule) == ("two", "two", None)
    assert told["edge"].reason == "is covered by no rule"
    assert going(found) == "a"


def test_of_equally_old_tags_the_names_decide() -> None:
    tags = {"c": ("a", 1.0), "a": ("a", 1.0), "b": ("b", 1.0)}
    found = contents(IMAGES[:2], tags, [rule(keep_last=2)])
    assert kept(found) == {"a", "b"}
    assert going(found) == ""  # what `c` points to has another tag


def test_a_tag_stays_if_any_rule_keeps_it() -> None:
    rules = [
        rule("one", keep_last=1),
        rule("two", keep_tags=["edge"]),
        rule("three", keep_pushed_seconds=985),
    ]
    found = contents(IMAGES, TAGS, rules)

    told = verdicts(found)
    assert kept(found) == {"v2", "v3", "edge"}
    assert told["v2"].reason == "was pushed within 985s"
    assert told["v3"].reason == "is one of the 1 that were pushed last"
    assert told["edge"].reason == "matches edge"


def test_a_pull_of_anything_in_an_index_counts_for_its_tag() -> None:
    images = [manifest("a", children="b"), manifest("b", children="c"), manifest("c", pulled_at=900.0)]
    tags = {"index": ("a", 1.0), "other": ("d", 2.0)}
    found = contents([*images, manifest("d")], tags, [rule(keep_pulled_seconds=100)])

    assert kept(found) == {"index", "b", "c"}
    assert verdicts(found)["index"].reason == "was pulled or pushed within 100s"
    assert verdicts(found)["index"].pulled_at == 900.0
    assert kept(contents([*images, manifest("d")], tags, [rule(keep_last=1, keep_last_by="pulled")])) == {
        "index",
        "b",
        "c",
    }


def test_what_was_just_pushed_need_not_have_been_pulled() -> None:
    found = contents(IMAGES, {"new": ("a", NOW - 1)}, [rule(tags=["*"], keep_pulled_seconds=100)])
    assert "new" in kept(found)


def test_immutable_tags_and_digests_in_use_stay() -> None:
    images = [
        manifest("a", children="bc"),
        manifest("b"),
        manifest("c"),
        manifest("e", subject="b"),
        *IMAGES[3:],
    ]
    tags = {"v1": ("a", 1.0), "fixed": ("d", 1.0), "part": ("c", 1.0)}
    found = contents(images, tags, [rule(keep_last=0)], immutable=["fix*"], in_use="b")

    told = verdicts(found)
    assert kept(found) == {"v1", "fixed", "b", "e"}
    assert told["v1"].reason == "lists what is reported as in use"
    assert told["b"].reason == "is reported as in use"
    assert told["fixed"].reason == "is immutable here (fix*)"
    assert going(found) == ""  # the tag `part` goes, and its manifest stays in the index


def test_an_index_takes_with_it_what_nothing_else_holds() -> None:
    images = [
        manifest("a", children="cde"),
        manifest("b", children="d"),
        manifest("c"),
        manifest("d"),
        manifest("e"),
        manifest("f", subject="c"),
        manifest("1", subject="f"),
    ]
    tags = {"old": ("a", 1.0), "new": ("b", 2.0), "keep": ("e", 0.5)}
    found = contents(images, tags, [rule(keep_last=1, keep_tags=["keep"])])

    told = verdicts(found)
    assert going(found) == "1acf"
    assert told["d"].reason == f"is held by {digest('b')}"
    assert told["f"].reason == "goes with what held it"
    assert told["f"].rule == "rule"


def test_manifests_without_a_tag_stay_unless_a_rule_says_otherwise() -> None:
    images = [manifest("a"), manifest("b", pushed_at=950.0), manifest("c"), manifest("d", subject="c")]
    since = {"a": 850.0, "c": 960.0}
    assert kept(contents(images, {}, [rule(keep_last=1)], untagged_since=since)) == set("abcd")

    found = contents(images, {}, [rule(tags=[], untagged_seconds=100)], untagged_since=since)
    assert kept(found) == set("bcd")
    assert verdicts(found)["a"].reason == "has had no tag for more than 100s"
    assert verdicts(found)["b"].reason == "has had no tag for less than 100s"
    assert verdicts(found)["d"].reason == f"is held by {digest('c')}"
    assert kept(found, NOW + 100) == set()
    longer = [rule("short", tags=[], untagged_seconds=10), rule("long", tags=[], untagged_seconds=200)]
    assert kept(contents(images, {}, longer, untagged_since=since)) == set("abcd")


def test_what_is_signed_by_a_tag_goes_with_it_and_does_not_count() -> None:
    signature, orphan = f"sha256-{64 * 'a'}.sig", f"sha256-{64 * '9'}.sig"
    tags = {"v1": ("a", 1.0), "v2": ("b", 2.0), signature: ("c", 9.0), orphan: ("d", 8.0)}
    found = contents(IMAGES, tags, [rule(keep_last=1)])
    assert kept(found) == {orphan}  # which belongs to nothing here

    assert kept(contents(IMAGES, tags, [rule(keep_last=3)])) == {"v1", "v2", signature, orphan}
    assert going(found) == "abc"
    assert decide(found, NOW).following == {signature: digest("a")}
    uncovered = contents(IMAGES, tags, [rule(tags=["v*"], keep_last=1)])
    assert kept(uncovered) == {"v2", signature, orphan}


def test_a_knot_without_a_tag_stays() -> None:
    knot = [manifest("a", children="b", subject="c"), manifest("b", children="c"), manifest("c")]
    assert kept(contents(knot, {}, [rule(tags=[], untagged_seconds=1)])) == set("abc")


@pytest.mark.parametrize(
    ("conditions", "problem"),
    [
        ({}, "all of them would go"),
        ({"untagged_seconds": 5.0}, "all of them would go"),
        ({"tags": [], "keep_last": 5}, "decides about no tags"),
        ({"tags": []}, "decides about nothing"),
        ({"keep_last": 0}, None),
        ({"tags": [], "untagged_seconds": 5.0}, None),
        ({"keep_tags": ["v*"]}, None),
    ],
)
def test_rules_that_can_not_be_meant_are_refused(conditions: dict[str, object], problem: str | None) -> None:
    found = problems(rule(**conditions))
    assert (problem is None) == (not found)
    assert all(str(problem) in text for _, text in found)


@pytest.mark.parametrize(
    ("seconds", "said"), [(2592000, "30d"), (604800.0, "7d"), (5400, "90m"), (0.5, "0.5s"), (7200.0, "2h")]
)
def test_spans_are_said_as_they_are_given(seconds: float, said: str) -> None:
    assert said_span(seconds) == said
