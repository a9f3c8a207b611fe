"""Rules of retention, previews, runs and digests in use by the management API."""

from typing import Any

import pytest

from auth.identity import NOBODY, Identity
from auth.limits import Limits
from auth.patterns import RepositoryPattern
from auth.principals import Kind, Principal
from auth.roles import Role
from registry.index import Connection
from registry.oci.errors import AlreadyExists, Denied, InputInvalid, Unauthenticated, Unknown
from tests.unit.index import rows
from tests.unit.management.conftest import BOSS, Desk

RULE = {"repositories": "acme/**", "tags": ["v*"], "keep_last": 2, "untagged_seconds": "7d"}
RUNNING = f"sha256:{64 * 'a'}"


async def test_a_rule_is_set_shown_disabled_and_removed(desk: Desk) -> None:
    shown = (await desk.call("PUT", "/retention/rules/releases", RULE)).document

    assert shown == await desk.get("/retention/rules/releases")
    assert shown | {"created_at": None} == {
        "name": "releases",
        "repositories": "acme/**",
        "tags": ["v*"],
        "keep_last": 2,
        "keep_last_by": "pushed",
        "keep_tags": [],
        "keep_pushed_seconds": None,
        "keep_pulled_seconds": None,
        "untagged_seconds": 604800.0,
        "disabled": False,
        "created_at": None,
        "created_by": "operator:root",
    }
    again = (await desk.call("PUT", "/retention/rules/releases", {**RULE, "keep_last": 5})).document
    assert (again["keep_last"], len((await desk.get("/retention/rules"))["rules"])) == (5, 1)
    assert (await desk.call("PATCH", "/retention/rules/releases", {"disabled": True})).document["disabled"]
    await desk.call("DELETE", "/retention/rules/releases")
    with pytest.raises(Unknown, match="no retention rule is called 'releases'"):
        await desk.get("/retention/rules/releases")
    actions = [entry["action"] for entry in (await desk.get("/audit", target="releases"))["entries"]]
    assert actions == ["retention.remove", "retention.disable", "retention.set", "retention.set"]
    (first, _) = await desk.audited("retention.set")
    assert first["detail"] == {
        "repositories": "acme/**",
        "tags": ["v*"],
        "keep_last": 5,
        "keep_last_by": "pushed",
        "untagged_seconds": 604800.0,
        "disabled": False,
    }


@pytest.mark.parametrize(
    ("body", "tags"),
    [
        ({"keep_last": 1}, ["*"]),
        ({"keep_tags": ["v*"]}, ["*"]),
        ({"keep_last": 0}, ["*"]),
        ({"untagged_seconds": 60}, []),
        ({"tags": ["x"], "keep_pulled_seconds": "1h"}, ["x"]),
    ],
)
async def test_a_rule_decides_about_tags_when_it_keeps_any(
    desk: Desk, body: dict[str, Any], tags: list[str]
) -> None:
    shown = await desk.call("PUT", "/retention/rules/r", {"repositories": "**", **body})
    assert shown.document["tags"] == tags


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"tags": ["*"]}, "all of them would go"),
        ({}, "decides about nothing"),
        ({"tags": [], "keep_last": 3}, "decides about no tags"),
        ({"keep_last": -1}, "keep_last"),
        ({"keep_tags": ["a/b"]}, "keep_tags.0: .*pattern of tags"),
        ({"keep_last": 1, "repositories": "**/app"}, "repositories"),
    ],
)
async def test_rules_that_can_not_be_meant_are_refused(
    desk: Desk, body: dict[str, Any], problem: str
) -> None:
    with pytest.raises(InputInvalid, match=problem):
        await desk.call("PUT", "/retention/rules/r", {"repositories": "**", **body})
    assert (await desk.get("/retention/rules"))["rules"] == []


async def test_whoever_maintains_all_of_it_sets_a_rule(desk: Desk) -> None:
    await desk.call("PUT", "/retention/rules/of-all", {**RULE, "repositories": "**"})
    maintainer = await desk.user("maria", (Role.MAINTAINER, "acme/**"))
    writer = await desk.user("willy", (Role.WRITER, "**"))
    limited = maintainer._replace(limits=Limits(read_only=True))

    await desk.call("PUT", "/retention/rules/hers", RULE, by=maintainer)
    for caller in (writer, limited):
        with pytest.raises(Denied, match="maintainer"):
            await desk.call("PUT", "/retention/rules/other", RULE, by=caller)
        assert (await desk.get("/retention/rules", by=caller))["rules"] == []
        with pytest.raises(Unknown):
            await desk.call("DELETE", "/retention/rules/hers", by=caller)
    with pytest.raises(Denied, match="maintainer"):
        await desk.call("PUT", "/retention/rules/wide", {**RULE, "repositories": "acme-2/*"}, by=maintainer)
    with pytest.raises(AlreadyExists):
        await desk.call("PUT", "/retention/rules/of-all", RULE, by=maintainer)
    with pytest.raises(Unknown):
        await desk.call("PATCH", "/retention/rules/of-all", {"disabled": True}, by=maintainer)
    assert [rule["name"] for rule in (await desk.get("/retention/rules", by=maintainer))["rules"]] == ["hers"]
    with pytest.raises(Unauthenticated):
        await desk.get("/retention/rules", by=NOBODY)


async def test_a_rule_is_tried_beside_the_others_and_in_place_of_its_own_name(desk: Desk) -> None:
    await desk.push("acme/app", "v1", "v2", "v3")
    await desk.call("PUT", "/retention/rules/builds", {"repositories": "**", "keep_tags": ["v1"]})
    for name, kept in {"tried": 2, "builds": 1}.items():
        tried = {"rule": {"name": name, "repositories": "**", "keep_tags": ["v3"]}}
        summary = (await desk.call("POST", "/retention/summary", tried)).document
        assert summary["tags_kept"] == kept


async def test_a_preview_shows_what_a_run_does(desk: Desk) -> None:
    size = await desk.push("acme/app", "v1", "v2", "v3", "latest")
    await desk.push("acme/zoo", "v1")
    await desk.push("other/app", "v1")
    maria = await desk.user("maria", (Role.MAINTAINER, "acme/**"))
    tried = {"rule": {"name": "tried", "repositories": "**", "keep_tags": ["v3"]}}

    page = (await desk.call("POST", "/retention/preview", {**tried, "n": 3}, by=maria)).document
    told = [(one["repository"], one["tag"], one["kept"], one["reason"]) for one in page["verdicts"]]
    assert told == [
        ("acme/app", "latest", False, "does not match v3"),
        ("acme/app", "v1", False, "does not match v3"),
        ("acme/app", "v2", False, "does not match v3"),
    ]
    page = (await desk.call("POST", "/retention/preview", {**tried, "last": page["next"]}, by=maria)).document
    assert [(one["repository"], one["tag"], one["kept"]) for one in page["verdicts"]] == [
        ("acme/app", "v3", True),
        ("acme/zoo", "v1", False),
    ]
    assert page["next"] is None
    summary = (await desk.call("POST", "/retention/summary", tried, by=maria)).document
    assert summary == {
        "repositories": 2,
        "tags_kept": 1,
        "tags_dropped": 4,
        "untagged_kept": 0,
        "untagged_dropped": 0,
        "bytes": size,
    }
    with pytest.raises(Denied):
        await desk.call("POST", "/retention/preview", {"repositories": "other/app"}, by=maria)
    with pytest.raises(Denied):
        await desk.call("POST", "/retention/run", {}, by=maria)

    await desk.call("PUT", "/retention/rules/set", {"repositories": "acme/*", "keep_tags": ["v3"]})
    report = (await desk.call("POST", "/retention/run", {"repositories": "acme/app"})).document
    assert report == {"repositories": 1, "tags": 3, "manifests": 0, "changed": 0, "next": None}
    assert (await desk.get("/repositories/acme/app"))["tags"] == 1
    assert (await desk.call("POST", "/retention/run", {})).document["tags"] == 1
    with pytest.raises(InputInvalid, match=r"rule\.tags: .*all of them would go"):
        await desk.call(
            "POST", "/retention/summary", {"rule": {"name": "x", "repositories": "**", "tags": ["*"]}}
        )


async def test_the_bytes_tell_only_administrators_what_other_repositories_hold(desk: Desk) -> None:
    def fill(connection: Connection) -> None:
        layer = rows.blob(connection, "acme/app", "sha256:layer", 1000)
        rows.manifest(connection, "acme/app", "sha256:1", 5, "v1", (layer,))

    def hold(connection: Connection) -> None:
        layer = rows.blob(connection, "secret/app", "sha256:layer", 1000)
        rows.manifest(connection, "secret/app", "sha256:2", 5, "v1", (layer,))

    await desk.index.write(fill)
    maria = await desk.user("maria", (Role.MAINTAINER, "acme/**"))

    async def freed(by: Identity) -> list[int]:
        rule = {"name": "tried", "repositories": "**", "keep_last": 0}
        asked = [{"repositories": pattern, "rule": rule} for pattern in ("acme/app", "**")]
        answers = [await desk.call("POST", "/retention/summary", body, by=by) for body in asked]
        return [answer.document["bytes"] for answer in answers]

    assert await freed(maria) == await freed(BOSS) == [1005, 1005]
    await desk.index.write(hold)
    assert await freed(maria) == [1005, 1005]
    assert await freed(BOSS) == [5, 1010]
    limits = Limits(repositories=(RepositoryPattern("acme/**"),))
    assert await freed(BOSS._replace(limits=limits)) == [1005, 1005]


async def report(desk: Desk, *digests: str, by: Identity, name: str = "prod", lease: str = "1h") -> Any:
    body = {"reporter": name, "lease_seconds": lease, "digests": digests}
    return (await desk.call("POST", "/in-use", body, by=by)).document


async def in_use(desk: Desk, **arguments: Any) -> list[tuple[str, str, str]]:
    found = (await desk.get("/in-use", **arguments))["digests"]
    return [(one["repository"], one["reporter"], one["reported_by"]) for one in found]


async def test_a_report_takes_the_place_of_what_the_same_principal_said(desk: Desk) -> None:
    grant = (Role.READER, "acme/*")
    one = await desk.principal(Principal(Kind.ROBOT, "one"), grant, limits=Limits(read_only=True))
    two = await desk.principal(Principal(Kind.ROBOT, "two"), grant)

    receipt = await report(desk, f"acme/a@{RUNNING}", f"acme/b@{RUNNING}", f"acme/a@{RUNNING}", by=one)
    assert (receipt["digests"], receipt["refused"]) == (2, [])
    await report(desk, f"acme/a@{RUNNING}", by=two)
    await report(desk, f"acme/c@{RUNNING}", by=one, name="test")
    await report(desk, f"acme/b@{RUNNING}", f"acme/d@{RUNNING}", by=one)

    expected = [
        ("acme/a", "prod", "robot:two"),
        ("acme/b", "prod", "robot:one"),
        ("acme/c", "test", "robot:one"),
        ("acme/d", "prod", "robot:one"),
    ]
    assert await in_use(desk) == expected
    first = await desk.get("/in-use", n="3")
    assert await in_use(desk, last=first["next"]) == expected[3:]
    await report(desk, by=one)
    assert await in_use(desk) == [expected[0], expected[2]]
    stranger = await desk.user("stranger", (Role.READER, "acme/c"))
    assert await in_use(desk, by=stranger) == [expected[2]]
    with pytest.raises(InputInvalid, match="last: "):
        await in_use(desk, last="nonsense")


async def test_nobody_reports_what_he_may_not_pull(desk: Desk) -> None:
    await desk.push("acme/public", "v1")
    await desk.call("PATCH", "/repositories/acme/public", {"public": True})
    reader = await desk.user("reader", (Role.READER, "acme/app"))

    receipt = await report(desk, f"acme/app@{RUNNING}", f"acme/public@{RUNNING}", f"x@{RUNNING}", by=reader)
    assert receipt["digests"] == 1
    refused = {one["digest"]: one["reason"] for one in receipt["refused"]}
    assert refused.keys() == {f"acme/public@{RUNNING}", f"x@{RUNNING}"}
    assert "needs the role reader" in refused[f"x@{RUNNING}"]
    assert await in_use(desk) == [("acme/app", "prod", "user:reader")]
    with pytest.raises(Unauthenticated):
        await report(desk, by=NOBODY)
    for wrong in ("acme/app", "acme/app@sha256:1", f"ACME@{RUNNING}", "acme/app:v1"):
        with pytest.raises(InputInvalid, match=r"digests: .*acme/app@sha256"):
            await report(desk, wrong, by=reader)
    with pytest.raises(InputInvalid, match="30d at most"):
        await report(desk, by=reader, lease="31d")
    assert await in_use(desk) == [("acme/app", "prod", "user:reader")]
