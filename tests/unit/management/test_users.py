"""Users by the management API."""

import pytest

from auth.identity import NOBODY
from auth.limits import Limits
from auth.passwords import verify_password
from auth.roles import Role
from auth.throttle import ACCOUNT
from registry.index import users
from registry.oci.errors import (
    AlreadyExists,
    Conflict,
    Denied,
    InputInvalid,
    TooManyRequests,
    Unauthenticated,
    Unknown,
)
from tests.unit.management.conftest import BOSS, Desk

GOOD = "correct horse battery"


async def password_is(desk: Desk, name: str, password: str) -> bool:
    row = await desk.index.read(lambda connection: users.find(connection, name))
    assert row is not None
    return verify_password(row.password_hash, password).ok


async def test_a_user_lives_from_creation_to_removal(desk: Desk) -> None:
    created = await desk.call("POST", "/users", {"name": "alice", "password": GOOD, "description": "Alice"})

    assert created.status == 201
    assert created.document["password"] is None
    assert created.document["user"]["created_by"] == "operator:root"
    assert await password_is(desk, "alice", GOOD)
    shown = await desk.get("/users/alice")
    assert (shown["name"], shown["description"], shown["disabled"], shown["groups"]) == (
        "alice",
        "Alice",
        False,
        [],
    )

    changed = await desk.call("PATCH", "/users/alice", {"disabled": True, "description": "gone"})
    assert (changed.document["disabled"], changed.document["description"]) == (True, "gone")
    assert (await desk.call("PATCH", "/users/alice", {})).document["disabled"] is True

    assert (await desk.call("DELETE", "/users/alice")).status == 204
    with pytest.raises(Unknown, match="no user is called 'alice'"):
        await desk.get("/users/alice")


async def test_a_password_is_thought_up_where_none_is_given(desk: Desk) -> None:
    created = await desk.call("POST", "/users", {"name": "alice"})

    assert await password_is(desk, "alice", created.document["password"])


async def test_each_change_is_audited_without_the_password(desk: Desk) -> None:
    await desk.call("POST", "/users", {"name": "alice", "password": GOOD})
    await desk.call("PATCH", "/users/alice", {"disabled": True})
    await desk.call("PATCH", "/users/alice", {"disabled": False, "description": "x"})
    await desk.call("PUT", "/users/alice/password", {"password": GOOD + "!"})
    await desk.call("DELETE", "/users/alice")

    entries = (await desk.get("/audit"))["entries"]

    assert [entry["action"] for entry in reversed(entries)] == [
        "user.create",
        "user.disable",
        "user.enable",
        "user.describe",
        "user.password",
        "user.remove",
    ]
    assert {entry["target"] for entry in entries} == {"user:alice"}
    assert {entry["actor"] for entry in entries} == {"operator:root"}
    assert {(entry["address"], entry["request_id"]) for entry in entries} == {("192.0.2.1", "request-1")}
    assert GOOD not in str(entries)


async def test_a_failed_change_is_not_audited(desk: Desk) -> None:
    await desk.call("POST", "/users", {"name": "alice"})

    with pytest.raises(AlreadyExists, match="a user called 'alice' is there already"):
        await desk.call("POST", "/users", {"name": "alice"})

    assert len(await desk.audited("user.create")) == 1


async def test_users_are_listed_in_pages_and_searched(desk: Desk) -> None:
    for name in ("carol", "alice", "bob", "malice"):
        await desk.user(name)

    first = await desk.get("/users", n="2")
    second = await desk.get("/users", n="2", last=first["next"])
    found = await desk.get("/users", search="lic")

    assert [user["name"] for user in first["users"]] == ["alice", "bob"]
    assert [user["name"] for user in second["users"]] == ["carol", "malice"]
    assert second["next"] is None
    assert [user["name"] for user in found["users"]] == ["alice", "malice"]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({}, "name: is missing"),
        ({"name": "Alice"}, "name: .*should be at most 100 lower-case"),
        ({"name": "alice", "password": "short"}, "password: .*8"),
        ({"name": "alice", "colour": "red"}, "colour: is not known here"),
        ({"name": 5}, "name: .*string"),
        ({"name": "alice", "description": "a\nb"}, "description: should be one line"),
        (b'{"name":"alice","name":"bob"}', "has the key 'name' twice"),
        (b"[]", "should be a JSON object"),
        (b"", "should be a JSON object"),
        (b'{"name":"\\ud800"}', "lone surrogate"),
        (b"\xff", "not UTF-8"),
    ],
)
async def test_bad_bodies_are_refused_with_what_would_be_right(
    desk: Desk, body: object, problem: str
) -> None:
    with pytest.raises(InputInvalid, match=problem) as caught:
        await desk.call("POST", "/users", body)
    assert isinstance(caught.value.detail, dict)
    assert caught.value.detail["fields"]
    assert (await desk.get("/users"))["users"] == []


async def test_a_password_that_is_refused_is_not_repeated(desk: Desk) -> None:
    secret = "x" * 2000
    with pytest.raises(InputInvalid) as caught:
        await desk.call("POST", "/users", {"name": "alice", "password": secret})
    assert secret[:50] not in caught.value.message


async def test_who_may_see_and_change_users(desk: Desk) -> None:
    alice, bob = await desk.user("alice"), await desk.user("bob", (Role.ADMINISTRATOR, "acme/**"))

    assert (await desk.get("/users/alice", by=alice))["name"] == "alice"
    for path in ("/users/alice", "/users/nobody-here"):
        with pytest.raises(Denied, match="needs the role administrator on"):
            await desk.get(path, by=bob)
    for method, path, body in (
        ("GET", "/users", None),
        ("POST", "/users", {"name": "eve"}),
        ("PATCH", "/users/alice", {"disabled": False}),
        ("DELETE", "/users/alice", None),
        ("POST", "/import/htpasswd", {"text": ""}),
    ):
        with pytest.raises(Denied):
            await desk.call(method, path, body, by=alice)
    with pytest.raises(Unauthenticated) as caught:
        await desk.get("/users", by=NOBODY)
    assert caught.value.scopes == ("registry:api:*",)


async def test_refusals_are_audited(desk: Desk) -> None:
    alice = await desk.user("alice")
    with pytest.raises(Denied):
        await desk.call("DELETE", "/users/bob", by=alice)

    (entry,) = await desk.audited("user.remove")

    assert (entry["actor"], entry["target"], entry["result"]) == ("user:alice", "bob", "refused")


async def test_ones_own_password_is_changed_with_the_one_of_now(desk: Desk) -> None:
    await desk.call("POST", "/users", {"name": "alice", "password": GOOD})
    alice = await desk.user("alice")

    with pytest.raises(InputInvalid, match="current: is missing"):
        await desk.call("PUT", "/users/alice/password", {"password": "new password"}, by=alice)
    with pytest.raises(Denied, match="the current password is wrong"):
        await desk.call(
            "PUT", "/users/alice/password", {"password": "new password", "current": "guess"}, by=alice
        )
    done = await desk.call(
        "PUT", "/users/alice/password", {"password": "new password", "current": GOOD}, by=alice
    )

    assert done.status == 204
    assert await password_is(desk, "alice", "new password")


async def test_guessing_ones_own_password_is_slowed(desk: Desk) -> None:
    await desk.call("POST", "/users", {"name": "alice", "password": GOOD})
    alice = await desk.user("alice")

    body = {"password": "new password", "current": "a guess"}
    for _ in range(ACCOUNT.free + 1):
        with pytest.raises(Denied, match="the current password is wrong"):
            await desk.call("PUT", "/users/alice/password", body, by=alice)

    with pytest.raises(TooManyRequests):
        await desk.call("PUT", "/users/alice/password", body | {"current": GOOD}, by=alice)


async def test_a_token_is_not_the_current_password(desk: Desk) -> None:
    await desk.call("POST", "/users", {"name": "alice", "password": GOOD})
    alice = await desk.user("alice")
    token = (await desk.call("POST", "/users/alice/tokens", {}, by=alice)).document["secret"]

    with pytest.raises(Denied, match="the current password is wrong"):
        await desk.call(
            "PUT", "/users/alice/password", {"password": "new password", "current": token}, by=alice
        )


async def test_the_directorys_users_have_no_password_here(desk: Desk) -> None:
    await desk.index.write(lambda connection: users.create(connection, "dan", None, "ldap", "", 0.0, "x"))

    with pytest.raises(Conflict, match="the directory's"):
        await desk.call("PUT", "/users/dan/password", {"password": GOOD})


@pytest.mark.parametrize(
    "limits",
    [Limits(read_only=True), Limits.parse(False, ["acme/**"], []), Limits.parse(False, [], ["192.0.2.0/24"])],
)
async def test_limited_tokens_make_no_credentials(desk: Desk, limits: Limits) -> None:
    await desk.call("POST", "/users", {"name": "alice", "password": GOOD})
    alice = await desk.user("alice", (Role.ADMINISTRATOR, "**"), limits=limits)

    for method, path, body in (
        ("POST", "/users", {"name": "eve"}),
        ("PUT", "/users/alice/password", {"password": "new password", "current": GOOD}),
        ("POST", "/users/alice/tokens", {}),
        ("POST", "/robots", {"name": "ci"}),
        ("POST", "/robots/ci/secret", {}),
        ("POST", "/import/htpasswd", {"text": ""}),
    ):
        with pytest.raises(Denied, match="limited"):
            await desk.call(method, path, body, by=alice)
    assert await password_is(desk, "alice", GOOD)


HTPASSWD = """
# people
alice:$2y$04$nWSlmnEBZyrDpmpzfpUUQ.CPLyuTKNRZNCVlbQZ0CPrxAcvKoESka
bob:$2y$04$nWSlmnEBZyrDpmpzfpUUQ.CPLyuTKNRZNCVlbQZ0CPrxAcvKoESka
"""


async def test_users_are_imported(desk: Desk) -> None:
    await desk.user("bob")

    imported = await desk.call("POST", "/import/htpasswd", {"text": HTPASSWD})

    assert imported.document == {"created": ["alice"], "present": ["bob"]}
    assert (await desk.get("/users/alice"))["source"] == "local"


@pytest.mark.parametrize(
    ("line", "problem"), [("eve:$apr1$x$y", "line 5"), ("EVE:" + HTPASSWD.split(":")[-1].strip(), "EVE")]
)
async def test_an_import_is_whole_or_not_at_all(desk: Desk, line: str, problem: str) -> None:
    with pytest.raises(InputInvalid, match=problem):
        await desk.call("POST", "/import/htpasswd", {"text": HTPASSWD.rstrip() + "\n" + line})
    assert (await desk.get("/users", by=BOSS))["users"] == []
