"""Grants by the management API."""

import pytest

from auth.identity import NOBODY
from auth.limits import Limits
from auth.roles import Role
from registry.oci.errors import Denied, InputInvalid, Unauthenticated, Unknown
from tests.unit.management.conftest import Desk


async def add(desk: Desk, principal: str, role: str, pattern: str, **by: object) -> int:
    body = {"principal": principal, "role": role, "pattern": pattern}
    result = await desk.call("POST", "/grants", body, **by)  # type: ignore[arg-type]
    assert result.status == 201
    return int(result.document["id"])


async def test_a_grant_counts_until_it_is_taken_back(desk: Desk) -> None:
    await desk.user("alice")
    grant = await add(desk, "user:alice", "writer", "acme/**")

    explained = await desk.get("/explain", principal="user:alice", action="push", repository="acme/app")
    assert (explained["allowed"], explained["reason"]) == (True, "user:alice is writer on acme/**")
    assert explained["grant"]["id"] == grant

    await desk.call("DELETE", f"/grants/{grant}")
    explained = await desk.get("/explain", principal="user:alice", action="push", repository="acme/app")
    assert not explained["allowed"]
    assert [entry["detail"] for entry in await desk.audited("grant.remove")] == [
        {"role": "writer", "pattern": "acme/**", "grant": grant}
    ]


async def test_granting_twice_is_granting_once(desk: Desk) -> None:
    await desk.user("alice")

    assert await add(desk, "user:alice", "writer", "acme/**") == await add(
        desk, "user:alice", "writer", "acme/**"
    )
    assert len((await desk.get("/grants"))["grants"]) == 1


async def test_grants_are_listed_by_principal_by_repository_and_in_pages(desk: Desk) -> None:
    await desk.user("alice")
    await desk.user("bob")
    ids = [
        await add(desk, principal, "reader", pattern)
        for principal, pattern in (
            ("user:alice", "acme/*"),
            ("user:bob", "acme/app"),
            ("user:alice", "other/**"),
        )
    ]

    async def listed(**query: str) -> list[int]:
        return [grant["id"] for grant in (await desk.get("/grants", **query))["grants"]]

    assert await listed() == ids
    assert await listed(principal="user:alice") == [ids[0], ids[2]]
    assert await listed(repository="acme/app") == ids[:2]
    first = await desk.get("/grants", n="2")
    assert first["next"] == ids[1]
    assert await listed(n="2", last=str(ids[1])) == [ids[2]]


@pytest.mark.parametrize(
    ("pattern", "covered"),
    [
        ("acme/**", True),
        ("acme/app", True),
        ("acme/*", True),
        ("acme/team/**", True),
        ("acme", False),
        ("acmes/app", False),
        ("other/**", False),
        ("*/app", False),
        ("**", False),
    ],
)
async def test_an_administrator_of_a_pattern_grants_what_it_covers(
    desk: Desk, pattern: str, covered: bool
) -> None:
    boss = await desk.user("boss", (Role.ADMINISTRATOR, "acme/**"), (Role.MAINTAINER, "**"))
    await desk.user("bob")
    hidden = await add(desk, "user:bob", "reader", pattern)

    if covered:
        assert await add(desk, "user:bob", "administrator", pattern, by=boss)
        assert hidden in {grant["id"] for grant in (await desk.get("/grants", by=boss))["grants"]}
        await desk.call("DELETE", f"/grants/{hidden}", by=boss)
        return
    with pytest.raises(Denied, match="needs the role administrator on a pattern that covers it"):
        await add(desk, "user:bob", "writer", pattern, by=boss)
    assert [grant["pattern"] for grant in (await desk.get("/grants", by=boss))["grants"]] == ["acme/**"]
    with pytest.raises(Unknown):
        await desk.call("DELETE", f"/grants/{hidden}", by=boss)


@pytest.mark.parametrize("limits", [Limits(read_only=True), Limits.parse(False, ["acme/app"], [])])
async def test_a_limited_token_grants_nothing(desk: Desk, limits: Limits) -> None:
    boss = await desk.user("boss", (Role.ADMINISTRATOR, "**"), limits=limits)

    with pytest.raises(Denied):
        await add(desk, "user:boss", "reader", "acme/app", by=boss)
    assert (await desk.get("/grants", by=boss))["grants"] == []


async def test_nobody_learns_nothing(desk: Desk) -> None:
    for method, path in (("GET", "/grants"), ("DELETE", "/grants/1")):
        with pytest.raises(Unauthenticated):
            await desk.call(method, path, by=NOBODY)
    with pytest.raises(Unauthenticated):
        await add(desk, "user:alice", "reader", "**", by=NOBODY)


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"principal": "alice", "role": "reader", "pattern": "**"}, "principal: .*user:NAME"),
        ({"principal": "job:x", "role": "reader", "pattern": "**"}, "principal: .*user:NAME"),
        ({"principal": "user:alice", "role": "king", "pattern": "**"}, "role: .*'reader', 'writer'"),
        ({"principal": "user:alice", "role": "reader", "pattern": "a**b"}, "pattern: .*acme/\\*\\*"),
    ],
)
async def test_bad_grants_are_refused(desk: Desk, body: dict[str, str], problem: str) -> None:
    with pytest.raises(InputInvalid, match=problem):
        await desk.call("POST", "/grants", body)


async def test_a_principal_must_be_there_to_be_granted_something(desk: Desk) -> None:
    with pytest.raises(Unknown, match="no robot is called 'ci'"):
        await add(desk, "robot:ci", "reader", "**")


@pytest.mark.parametrize("text", ["0", "999", "x", "-1", "9" * 30, "1%00"])
async def test_a_grant_that_is_not_there_is_unknown(desk: Desk, text: str) -> None:
    with pytest.raises(Unknown):
        await desk.call("DELETE", f"/grants/{text}")
