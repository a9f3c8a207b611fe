"""Trust rules, uploads, audit, explanations, keys and the account by the management API."""

import pytest

from auth.identity import NOBODY, Identity
from auth.limits import Limits
from auth.principals import Kind, Principal
from auth.roles import Role
from registry.oci.errors import (
    AlreadyExists,
    Denied,
    InputInvalid,
    Unauthenticated,
    Unknown,
    UploadUnknown,
)
from registry.oci.name import RepositoryName
from tests.unit.management.conftest import Desk

RULE = {
    "name": "gh",
    "issuer": "https://token.actions.githubusercontent.com",
    "audience": "entrepot",
    "claims": {"repository": "acme/app", "ref": "refs/heads/*"},
    "role": "writer",
    "pattern": "acme/app",
}


async def test_a_trust_rule_is_added_disabled_and_removed(desk: Desk) -> None:
    added = await desk.call("POST", "/trust-rules", RULE)

    assert added.status == 201
    shown = await desk.get("/trust-rules/gh")
    assert shown == added.document
    assert {name: shown[name] for name in RULE} == RULE
    assert (shown["keys"], shown["disabled"]) == (None, False)
    assert (await desk.get("/trust-rules"))["trust_rules"] == [shown]
    with pytest.raises(AlreadyExists, match="a trust rule called 'gh'"):
        await desk.call("POST", "/trust-rules", RULE)
    assert (await desk.call("PATCH", "/trust-rules/gh", {"disabled": True})).document["disabled"]
    await desk.call("DELETE", "/trust-rules/gh")
    with pytest.raises(Unknown, match="no trust rule is called 'gh'"):
        await desk.get("/trust-rules/gh")
    actions = [entry["action"] for entry in (await desk.get("/audit", target="gh"))["entries"]]
    assert actions == ["trust.remove", "trust.disable", "trust.add"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"claims": {}}, "names at least one claim"),
        ({"claims": {"repository": "*"}}, "names at least one claim"),
        ({"issuer": "http://example.com"}, "https"),
        ({"keys": {"keys": []}}, "none of the keys"),
        ({"audience": ""}, "audience"),
        ({"claims": {"a": 1}}, "claims.a: .*string"),
        ({"name": "G H"}, "name: "),
    ],
)
async def test_rules_that_let_in_anybody_are_refused(
    desk: Desk, change: dict[str, object], problem: str
) -> None:
    with pytest.raises(InputInvalid, match=problem):
        await desk.call("POST", "/trust-rules", RULE | change)


async def test_uploads_are_listed_and_cancelled(desk: Desk) -> None:
    session = await desk.uploads.start(RepositoryName.parse("acme/app"), "sha256", "user:alice")
    other = await desk.uploads.start(RepositoryName.parse("acme/app"), "sha256", "user:alice")

    listed = (await desk.get("/uploads"))["uploads"]
    assert {upload["id"] for upload in listed} == {session.id, other.id}
    assert {(upload["repository"], upload["bytes"]) for upload in listed} == {("acme/app", 0)}
    assert (await desk.get("/uploads", n="1"))["next"] == min(session.id, other.id)
    await desk.call("DELETE", f"/uploads/{session.id}")

    assert [upload["id"] for upload in (await desk.get("/uploads"))["uploads"]] == [other.id]
    with pytest.raises(UploadUnknown):
        await desk.uploads.status(RepositoryName.parse("acme/app"), session.id)
    for missing in (session.id, "x", "%00"):
        with pytest.raises(UploadUnknown):
            await desk.call("DELETE", f"/uploads/{missing}")
    assert [entry["detail"] for entry in await desk.audited("upload.cancel")] == [{"upload": session.id}]


async def test_the_audit_is_filtered_and_paged(desk: Desk) -> None:
    alice = await desk.user("alice")
    for name in ("a", "b", "c"):
        await desk.call("POST", "/groups", {"name": name})
    with pytest.raises(Denied):
        await desk.call("DELETE", "/groups/a", by=alice)

    async def targets(**query: str) -> list[str]:
        return [entry["target"] for entry in (await desk.get("/audit", **query))["entries"]]

    assert await targets(action="group.create") == ["group:c", "group:b", "group:a"]
    assert await targets(result="refused", since="1h") == ["a"]
    assert await targets(actor="user:alice", until="1h") == []
    assert await targets(actor="user:alice", since="2020-01-01T00:00:00Z") == ["a"]
    assert await targets(target="group:b") == ["group:b"]
    first = await desk.get("/audit", action="group.create", n="2")
    assert await targets(action="group.create", n="2", before=str(first["next"])) == ["group:a"]
    for query in (
        {"since": "soon"},
        {"result": "maybe"},
        {"n": "0"},
        {"n": "1001"},
        {"before": "x"},
        {"x": "y"},
    ):
        with pytest.raises(InputInvalid, match=next(iter(query))):
            await targets(**query)
    with pytest.raises(Denied):
        await desk.get("/audit", by=alice)


async def test_a_parameter_comes_once(desk: Desk) -> None:
    with pytest.raises(InputInvalid, match="n: may be given once only"):
        await desk.call("GET", "/users", query=[("n", "1"), ("n", "2")])


async def test_explaining_oneself(desk: Desk) -> None:
    alice = await desk.user("alice", (Role.READER, "acme/**"))

    yes = await desk.get("/explain", by=alice, action="pull", repository="acme/app")
    no = await desk.get("/explain", by=alice, principal="user:alice", action="push", repository="acme/app")

    assert (yes["principal"], yes["allowed"], yes["grant"]["pattern"]) == ("user:alice", True, "acme/**")
    assert (no["allowed"], no["grant"]) == (False, None)
    assert "needs the role writer" in no["reason"]
    limited = alice._replace(limits=Limits.parse(False, ["other/**"], []))
    told = await desk.get("/explain", by=limited, action="pull", repository="acme/app")
    assert told["reason"] == "the token that was used is limited to other/**"
    nobody = await desk.get("/explain", by=NOBODY, action="pull", repository="acme/app")
    assert nobody["principal"] == "anonymous"
    assert not nobody["allowed"]


async def test_explaining_others_is_for_administrators_of_the_repository(desk: Desk) -> None:
    await desk.user("alice", (Role.WRITER, "acme/**"), (Role.READER, "secret/**"))
    boss = await desk.user("boss", (Role.ADMINISTRATOR, "acme/**"))
    question = {"principal": "user:alice", "action": "push"}

    told = await desk.get("/explain", by=boss, repository="acme/app", **question)
    assert told["allowed"]
    assert "secret" not in str(told)
    with pytest.raises(Denied, match="administer on secret/app needs the role administrator"):
        await desk.get("/explain", by=boss, repository="secret/app", **question)
    with pytest.raises(Unauthenticated):
        await desk.get("/explain", by=NOBODY, repository="acme/app", **question)


async def test_what_is_said_of_the_unseen_does_not_depend_on_it(desk: Desk) -> None:
    await desk.push("acme/app", "latest")
    alice = await desk.user("alice")

    answers = [
        await desk.get("/explain", by=alice, action="pull", repository=name)
        for name in ("acme/app", "acme/ghost")
    ]

    assert str(answers[0]).replace("acme/app", "acme/ghost") == str(answers[1])


async def test_explaining_groups_the_disabled_and_the_anonymous(desk: Desk) -> None:
    await desk.principal(Principal(Kind.GROUP, "dev"), (Role.WRITER, "acme/**"))
    await desk.user("bob", (Role.WRITER, "acme/**"))
    await desk.call("PATCH", "/users/bob", {"disabled": True})
    await desk.call("PATCH", "/repositories/acme/app", {"public": True})

    async def told(principal: str, action: str = "push") -> tuple[bool, str]:
        answer = await desk.get("/explain", principal=principal, action=action, repository="acme/app")
        return answer["allowed"], answer["reason"]

    assert await told("group:dev") == (True, "group:dev is writer on acme/**")
    assert await told("user:bob") == (False, "user:bob is disabled")
    assert await told("anonymous", "pull") == (True, "acme/app is public")
    assert (await told("anonymous"))[0] is False
    with pytest.raises(InputInvalid, match="depends on the token"):
        await told("job:repo:acme/app")
    with pytest.raises(InputInvalid, match="principal: 'bob' should be user:NAME"):
        await told("bob")
    with pytest.raises(Unknown):
        await told("user:eve")
    with pytest.raises(InputInvalid, match="action: "):
        await told("user:bob", "steal")


async def test_keys_are_rotated_and_never_shown(desk: Desk) -> None:
    first = (await desk.call("POST", "/keys/rotate", {})).document["id"]
    second = (await desk.call("POST", "/keys/rotate", {})).document["id"]

    keys = (await desk.get("/keys"))["keys"]
    assert [key["id"] for key in keys] == [first, second]
    assert [key["retired_at"] is None for key in keys] == [False, True]
    assert "PRIVATE" not in str(keys)
    third = (await desk.call("POST", "/keys/rotate", {"at_once": True})).document["id"]
    assert [key["id"] for key in (await desk.get("/keys"))["keys"]] == [third]
    alice = await desk.user("alice")
    with pytest.raises(Denied):
        await desk.call("POST", "/keys/rotate", {}, by=alice)


async def test_the_account(desk: Desk) -> None:
    limits = Limits.parse(True, ["acme/**"], ["10.0.0.0/8"])
    admin = await desk.user("admin", (Role.ADMINISTRATOR, "**"))
    job = Identity(Principal(Kind.JOB, "repo:acme/app"), rules=(1,))

    assert await desk.get("/account", by=admin) == {
        "principal": "user:admin",
        "administrator": True,
        "groups": [],
        "grants": [{"source": "user:admin", "role": "administrator", "pattern": "**"}],
        "limits": {"read_only": False, "repositories": [], "addresses": []},
        "token": None,
    }
    limited = await desk.get("/account", by=admin._replace(limits=limits))
    assert not limited["administrator"]
    assert limited["limits"] == {
        "read_only": True,
        "repositories": ["acme/**"],
        "addresses": ["10.0.0.0/8"],
    }
    assert (await desk.get("/account", by=job))["principal"] == "job:repo:acme/app"
    with pytest.raises(Unauthenticated):
        await desk.get("/account", by=NOBODY)
