"""Groups and robots by the management API."""

import time
from functools import partial

import pytest

from auth.principals import Kind, Principal
from auth.roles import Role
from auth.secrets import SecretKind, hash_secret, kind_of
from registry.index import credentials
from registry.index.credentials import CredentialRow
from registry.oci.errors import AlreadyExists, Denied, InputInvalid, Unknown
from tests.unit.management.conftest import Desk


async def credential(desk: Desk, secret: str) -> CredentialRow | None:
    return await desk.index.read(partial(credentials.find_by_hash, hash=hash_secret(secret)))


async def test_a_group_gives_its_members_what_it_has(desk: Desk) -> None:
    alice = await desk.user("alice")
    await desk.call("POST", "/groups", {"name": "dev", "description": "developers"})
    await desk.call("POST", "/robots", {"name": "ci"})
    for member in ("user:alice", "robot:ci", "user:alice"):
        assert (await desk.call("PUT", f"/groups/dev/members/{member}")).status == 204
    await desk.call("POST", "/grants", {"principal": "group:dev", "role": "writer", "pattern": "acme/**"})

    assert (await desk.get("/groups/dev"))["members"] == ["robot:ci", "user:alice"]
    assert (await desk.get("/users/alice"))["groups"] == ["dev"]
    assert (await desk.get("/robots/ci"))["groups"] == ["dev"]
    assert alice.principal_id is not None
    alice = await desk.signed_in(alice.principal_id)
    account = await desk.get("/account", by=alice)
    assert account["groups"] == ["dev"]
    assert account["grants"] == [{"source": "group:dev", "role": "writer", "pattern": "acme/**"}]

    await desk.call("PATCH", "/groups/dev", {"disabled": True})
    explained = await desk.get("/explain", principal="user:alice", action="pull", repository="acme/app")
    assert not explained["allowed"]

    assert (await desk.call("DELETE", "/groups/dev/members/user:alice")).status == 204
    assert (await desk.get("/groups/dev"))["members"] == ["robot:ci"]
    await desk.call("DELETE", "/groups/dev")
    assert (await desk.get("/groups"))["groups"] == []
    assert {entry["action"] for entry in (await desk.get("/audit", target="group:dev"))["entries"]} == {
        "group.create",
        "group.add",
        "grant.add",
        "group.take",
        "group.disable",
        "group.remove",
    }


@pytest.mark.parametrize("member", ["user:eve", "eve", "robot:", "user:EVE", "%00"])
async def test_strangers_can_not_be_members(desk: Desk, member: str) -> None:
    await desk.call("POST", "/groups", {"name": "dev"})
    with pytest.raises(Unknown):
        await desk.call("PUT", f"/groups/dev/members/{member}")


async def test_a_group_holds_no_groups(desk: Desk) -> None:
    for name in ("dev", "ops"):
        await desk.call("POST", "/groups", {"name": name})
    with pytest.raises(InputInvalid, match="groups don't hold groups"):
        await desk.call("PUT", "/groups/dev/members/group:ops")


async def test_names_are_taken_once_for_each_kind(desk: Desk) -> None:
    for path in ("/groups", "/robots", "/users"):
        await desk.call("POST", path, {"name": "same"})
        with pytest.raises(AlreadyExists):
            await desk.call("POST", path, {"name": "same"})


async def test_a_robots_secret_is_shown_once_and_kept_hashed(desk: Desk) -> None:
    body = {
        "name": "ci",
        "description": "builds",
        "expires": "30d",
        "read_only": True,
        "repositories": ["acme/**"],
        "addresses": ["10.0.0.0/8"],
    }
    created = (await desk.call("POST", "/robots", body)).document

    assert kind_of(created["secret"]) is SecretKind.ROBOT
    row = await credential(desk, created["secret"])
    assert row is not None
    assert row.principal == Principal(Kind.ROBOT, "ci")
    assert (row.read_only, row.repositories, row.addresses) == (True, ("acme/**",), ("10.0.0.0/8",))
    assert row.expires_at is not None
    assert row.expires_at - row.created_at == pytest.approx(30 * 86400)
    shown = await desk.get("/robots/ci")
    assert created["secret"] not in str(shown)
    assert shown["secrets"][0]["repositories"] == ["acme/**"]
    assert created["secret"] not in str((await desk.get("/audit"))["entries"])


async def test_a_new_secret_ends_the_old_one(desk: Desk) -> None:
    old = (await desk.call("POST", "/robots", {"name": "ci", "repositories": ["acme/**"]})).document["secret"]

    new = (await desk.call("POST", "/robots/ci/secret", {})).document["secret"]

    assert await credential(desk, old) is None
    row = await credential(desk, new)
    assert row is not None
    assert (row.repositories, row.expires_at) == (("acme/**",), None)


async def test_the_old_secret_is_kept_for_a_while_if_wanted(desk: Desk) -> None:
    body = {"name": "ci", "expires": "30d"}
    old = (await desk.call("POST", "/robots", body)).document["secret"]

    answer = (await desk.call("POST", "/robots/ci/secret", {"keep_old": "1h"})).document

    before, after = await credential(desk, old), await credential(desk, answer["secret"])
    assert before is not None
    assert after is not None
    assert before.expires_at is not None
    assert after.expires_at is not None
    assert 3500 < before.expires_at - time.time() <= 3600
    assert after.expires_at - after.created_at == pytest.approx(30 * 86400)
    assert len((await desk.get("/robots/ci"))["secrets"]) == 2


async def test_a_robot_is_disabled_and_removed(desk: Desk) -> None:
    secret = (await desk.call("POST", "/robots", {"name": "ci"})).document["secret"]

    assert (await desk.call("PATCH", "/robots/ci", {"disabled": True})).document["disabled"]
    row = await credential(desk, secret)
    assert row is not None
    assert row.disabled
    await desk.call("DELETE", "/robots/ci")

    assert await credential(desk, secret) is None
    with pytest.raises(Unknown, match="no robot is called 'ci'"):
        await desk.get("/robots/ci")


async def test_only_administrators_manage_groups_and_robots(desk: Desk) -> None:
    alice = await desk.user("alice", (Role.ADMINISTRATOR, "acme/**"))
    await desk.call("POST", "/robots", {"name": "ci"})
    for method, path, body in (
        ("GET", "/groups", None),
        ("POST", "/groups", {"name": "dev"}),
        ("GET", "/robots", None),
        ("POST", "/robots", {"name": "mine"}),
        ("GET", "/robots/ci", None),
        ("POST", "/robots/ci/secret", {}),
        ("DELETE", "/robots/ci", None),
    ):
        with pytest.raises(Denied):
            await desk.call(method, path, body, by=alice)
