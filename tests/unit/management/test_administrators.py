"""Somebody must always be left who can manage the registry."""

import asyncio

import pytest

from auth.identity import Identity
from auth.roles import Role
from registry.oci.errors import Conflict
from tests.unit.management.conftest import Desk

ALL = (Role.ADMINISTRATOR, "**")


async def grant_id(desk: Desk, principal: str) -> int:
    (grant,) = (await desk.get("/grants", principal=principal))["grants"]
    return int(grant["id"])


async def test_the_last_one_can_not_be_taken_away(desk: Desk) -> None:
    admin: Identity = await desk.user("admin", ALL)
    grant = await grant_id(desk, "user:admin")

    for method, path, body in (
        ("DELETE", "/users/admin", None),
        ("PATCH", "/users/admin", {"disabled": True}),
        ("DELETE", f"/grants/{grant}", None),
    ):
        with pytest.raises(Conflict, match="make another user administrator of \\*\\* first"):
            await desk.call(method, path, body, by=admin)

    assert not (await desk.get("/users/admin"))["disabled"]
    assert await grant_id(desk, "user:admin") == grant
    assert not await desk.audited("user.disable")


async def test_the_last_one_by_a_group_can_not_be_taken_away(desk: Desk) -> None:
    await desk.user("admin")
    await desk.call("POST", "/groups", {"name": "bosses"})
    await desk.call("PUT", "/groups/bosses/members/user:admin")
    await desk.call(
        "POST", "/grants", {"principal": "group:bosses", "role": "administrator", "pattern": "**"}
    )
    grant = await grant_id(desk, "group:bosses")

    for method, path, body in (
        ("DELETE", "/users/admin", None),
        ("DELETE", "/groups/bosses", None),
        ("PATCH", "/groups/bosses", {"disabled": True}),
        ("DELETE", "/groups/bosses/members/user:admin", None),
        ("DELETE", f"/grants/{grant}", None),
    ):
        with pytest.raises(Conflict):
            await desk.call(method, path, body)


async def test_one_of_two_can_be(desk: Desk) -> None:
    await desk.user("admin", ALL)
    await desk.user("other", ALL)

    await desk.call("DELETE", "/users/admin")

    with pytest.raises(Conflict):
        await desk.call("DELETE", "/users/other")


async def test_neither_robots_nor_the_disabled_count(desk: Desk) -> None:
    await desk.user("admin", ALL)
    await desk.user("asleep", ALL)
    await desk.call("PATCH", "/users/asleep", {"disabled": True})
    await desk.call("POST", "/robots", {"name": "ci"})
    await desk.call("POST", "/grants", {"principal": "robot:ci", "role": "administrator", "pattern": "**"})
    await desk.user("reader", (Role.READER, "**"))

    with pytest.raises(Conflict):
        await desk.call("DELETE", "/users/admin")


async def test_two_who_remove_each_other_at_once_do_not_both_succeed(desk: Desk) -> None:
    one, other = await desk.user("one", ALL), await desk.user("other", ALL)

    outcomes = await asyncio.gather(
        desk.call("DELETE", "/users/other", by=one),
        desk.call("DELETE", "/users/one", by=other),
        return_exceptions=True,
    )

    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 1, outcomes
    assert len((await desk.get("/users"))["users"]) == 1


async def test_where_there_is_none_nothing_is_protected(desk: Desk) -> None:
    await desk.user("alice")

    assert (await desk.call("DELETE", "/users/alice")).status == 204
