"""Repositories, their tags and quotas by the management API: what who may see and set."""

from typing import Any

import pytest

from auth.identity import NOBODY, Identity
from auth.limits import Limits
from auth.roles import Role
from registry.oci.errors import (
    Denied,
    InputInvalid,
    ManifestUnknown,
    NameInvalid,
    NoSuchPath,
    RepositoryUnknown,
    TagImmutable,
    Unauthenticated,
    Unknown,
)
from registry.oci.media_types import OCI_INDEX
from tests.unit.management.conftest import Desk

GIBIBYTE = 2**30


async def names(desk: Desk, by: Identity, **query: str) -> list[str]:
    listed = await desk.get("/repositories", by=by, **query)
    return [repository["name"] for repository in listed["repositories"]]


def tag_names(page: dict[str, Any]) -> list[str]:
    return [tag["name"] for tag in page["tags"]]


async def test_settings_can_come_before_the_first_push(desk: Desk) -> None:
    body = {"public": True, "description": "an app", "immutable_tags": ["v*"], "quota": "10GiB"}
    answered = await desk.call("PATCH", "/repositories/acme/app", body)

    shown = await desk.get("/repositories/acme/app")
    assert answered.document == shown
    assert (shown["public"], shown["description"], shown["immutable_tags"]) == (True, "an app", ["v*"])
    assert shown["quotas"] == [{"prefix": "acme/app", "bytes": 10 * GIBIBYTE, "used": 0}]
    assert (shown["tags"], shown["manifests"], shown["bytes"]) == (0, 0, 0)
    assert shown["updated_at"] is not None

    changed = (await desk.call("PATCH", "/repositories/acme/app", {"public": False, "quota": None})).document
    assert (changed["public"], changed["description"], changed["quotas"]) == (False, "an app", [])


async def test_a_slash_in_a_name_may_be_encoded(desk: Desk) -> None:
    await desk.push("acme/team/app", "latest")

    assert (await desk.get("/repositories/acme%2Fteam%2fapp"))["name"] == "acme/team/app"
    assert tag_names(await desk.get("/repositories/acme%2Fteam%2Fapp/-/tags")) == ["latest"]


@pytest.mark.parametrize("name", ["Acme", "acme/", "acme//app", "acme/%00", "..", "acme%2F..%2Fx", "%ff"])
async def test_bad_names_are_refused(desk: Desk, name: str) -> None:
    with pytest.raises((NameInvalid, NoSuchPath)):
        await desk.get(f"/repositories/{name}")


async def test_lists_show_what_the_caller_may_pull(desk: Desk) -> None:
    for name in ("acme/app", "acme/team/tool", "acmes/x", "other/app", "shared", "zoo/app"):
        await desk.push(name, "latest")
    await desk.call("PATCH", "/repositories/shared", {"public": True})
    below = await desk.user("below", (Role.READER, "acme/**"))
    beside = await desk.user("beside", (Role.READER, "*/app"), (Role.WRITER, "acme/team/tool"))
    nobody_much = await desk.user("much")
    admin = await desk.user("admin", (Role.ADMINISTRATOR, "**"))

    assert await names(desk, below) == ["acme/app", "acme/team/tool", "shared"]
    assert await names(desk, beside) == ["acme/app", "acme/team/tool", "other/app", "shared", "zoo/app"]
    assert await names(desk, nobody_much) == ["shared"]
    assert await names(desk, NOBODY) == ["shared"]
    assert len(await names(desk, admin)) == 6
    limited = admin._replace(limits=Limits.parse(False, ["acme/*"], []))
    assert await names(desk, limited) == ["acme/app"]
    assert await names(desk, beside, search="tool") == ["acme/team/tool"]
    assert await names(desk, admin, search="APP") == ["acme/app", "other/app", "zoo/app"]

    first = await desk.get("/repositories", by=beside, n="2")
    assert first["next"] == "acme/team/tool"
    assert await names(desk, beside, n="2", last=first["next"]) == ["other/app", "shared"]
    assert (await desk.get("/repositories", by=beside, n="2", last="shared"))["next"] is None


async def test_whoever_may_not_see_hears_the_same_of_what_is_and_what_is_not(desk: Desk) -> None:
    await desk.push("acme/app", "latest")
    alice = await desk.user("alice", (Role.READER, "other/**"))

    for path in ("/repositories/acme/{}", "/repositories/acme/{}/-/tags"):
        heard = []
        for name in ("app", "ghost"):
            with pytest.raises(Denied) as caught:
                await desk.get(path.format(name), by=alice)
            heard.append(caught.value.message.replace(name, "NAME"))
            with pytest.raises(Unauthenticated):
                await desk.get(path.format(name), by=NOBODY)
        assert heard[0] == heard[1]
        assert caught.value.detail == {
            "principal": "user:alice",
            "action": "pull",
            "repository": "acme/ghost",
            "reason": caught.value.message,
        }
    with pytest.raises(RepositoryUnknown):
        await desk.get("/repositories/other/ghost", by=alice)


async def test_a_public_repository_is_shown_to_all_and_set_by_few(desk: Desk) -> None:
    await desk.call("PATCH", "/repositories/acme/app", {"public": True, "quota": 5})

    shown = await desk.get("/repositories/acme/app", by=NOBODY)
    assert shown["public"]
    assert shown["quotas"] == []
    with pytest.raises(Unauthenticated):
        await desk.call("PATCH", "/repositories/acme/app", {"public": False}, by=NOBODY)


@pytest.mark.parametrize("role", Role)
async def test_maintainers_set_and_delete(desk: Desk, role: Role) -> None:
    await desk.push("acme/app", "latest", "old")
    alice = await desk.user("alice", (role, "acme/*"))
    calls = (
        ("PATCH", "/repositories/acme/app", {"description": "x", "quota": 10_000}),
        ("DELETE", "/repositories/acme/app/-/tags/old", None),
        ("DELETE", "/repositories/acme/app", None),
    )
    for method, path, body in calls:
        if role in (Role.MAINTAINER, Role.ADMINISTRATOR):
            await desk.call(method, path, body, by=alice)
        else:
            with pytest.raises(Denied, match="needs the role maintainer"):
                await desk.call(method, path, body, by=alice)
    gone = role in (Role.MAINTAINER, Role.ADMINISTRATOR)
    assert await names(desk, alice) == ([] if gone else ["acme/app"])


async def test_a_deleted_repository_takes_everything_with_it(desk: Desk) -> None:
    await desk.push("acme/app", "latest")

    await desk.call("DELETE", "/repositories/acme/app")

    with pytest.raises(RepositoryUnknown):
        await desk.get("/repositories/acme/app")
    with pytest.raises(RepositoryUnknown):
        await desk.call("DELETE", "/repositories/acme/app")
    assert [entry["target"] for entry in await desk.audited("repository.delete")] == ["acme/app"]


async def test_what_is_immutable_is_deleted_by_no_way(desk: Desk) -> None:
    await desk.push("acme/app", "latest", "v1")
    await desk.call("PATCH", "/repositories/acme/app", {"immutable_tags": ["v*"]})

    for path in ("/repositories/acme/app/-/tags/v1", "/repositories/acme/app"):
        with pytest.raises(TagImmutable):
            await desk.call("DELETE", path)
    await desk.call("DELETE", "/repositories/acme/app/-/tags/latest")

    assert tag_names(await desk.get("/repositories/acme/app/-/tags")) == ["v1"]
    await desk.call("PATCH", "/repositories/acme/app", {"immutable_tags": []})
    await desk.call("DELETE", "/repositories/acme/app")


async def test_tags_are_listed_in_pages(desk: Desk) -> None:
    await desk.push("acme/app", "a", "b", "c")

    first = await desk.get("/repositories/acme/app/-/tags", n="2")

    assert (tag_names(first), first["next"]) == (["a", "b"], "b")
    assert first["tags"][0]["digest"].startswith("sha256:")
    assert first["tags"][0]["media_type"] == OCI_INDEX
    assert first["tags"][0]["updated_at"] is not None
    last = await desk.get("/repositories/acme/app/-/tags", last="b")
    assert (tag_names(last), last["next"]) == (["c"], None)
    with pytest.raises(ManifestUnknown):
        await desk.call("DELETE", "/repositories/acme/app/-/tags/ghost")


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"quota": "lots"}, "quota: should be a size like"),
        ({"quota": -1}, "quota: should be a size like"),
        ({"quota": True}, "quota: should be a size like"),
        ({"immutable_tags": ["/"]}, "immutable_tags.0: .*should be a tag, or a pattern"),
        ({"public": "yes"}, "public: .*boolean"),
        ({"visibility": "public"}, "visibility: is not known here"),
        ({"description": "a\0b"}, "description: should hold no NUL"),
    ],
)
async def test_bad_settings_are_refused(desk: Desk, body: dict[str, object], problem: str) -> None:
    with pytest.raises(InputInvalid, match=problem):
        await desk.call("PATCH", "/repositories/acme/app", body)
    with pytest.raises(RepositoryUnknown):
        await desk.get("/repositories/acme/app")


async def test_quotas_by_prefix(desk: Desk) -> None:
    size = await desk.push("acme/app", "latest")
    await desk.push("acme/team/app", "latest")

    answer = (await desk.call("PUT", "/quotas/acme", {"bytes": "1MiB"})).document
    await desk.call("PUT", "/quotas/acme/team", {"bytes": 5000})

    assert answer == {"prefix": "acme", "bytes": 2**20, "used": 2 * size}
    listed = await desk.get("/quotas")
    assert listed["quotas"] == [answer, {"prefix": "acme/team", "bytes": 5000, "used": size}]
    assert (await desk.get("/quotas", n="1"))["next"] == "acme"
    assert (await desk.get("/repositories/acme/team/app"))["quotas"] == listed["quotas"]
    assert (await desk.call("DELETE", "/quotas/acme")).status == 204
    with pytest.raises(Unknown, match="no quota is called 'acme'"):
        await desk.call("DELETE", "/quotas/acme")


@pytest.mark.parametrize(
    ("patterns", "allowed"),
    [
        (["acme/**"], False),  # not acme itself
        (["acme"], False),  # not what is below
        (["acme", "acme/*"], False),
        (["acme", "acme/**"], True),
        (["**"], True),
    ],
)
async def test_a_quota_is_set_by_whoever_maintains_all_that_it_counts_for(
    desk: Desk, patterns: list[str], allowed: bool
) -> None:
    alice = await desk.user("alice", *((Role.MAINTAINER, pattern) for pattern in patterns))
    await desk.call("PUT", "/quotas/acme", {"bytes": 1})

    if allowed:
        await desk.call("PUT", "/quotas/acme", {"bytes": 2}, by=alice)
        assert len((await desk.get("/quotas", by=alice))["quotas"]) == 1
        await desk.call("DELETE", "/quotas/acme", by=alice)
        return
    for method, body in (("PUT", {"bytes": 2}), ("DELETE", None)):
        with pytest.raises(Denied, match="needs the role maintainer"):
            await desk.call(method, "/quotas/acme", body, by=alice)
    assert (await desk.get("/quotas", by=alice))["quotas"] == []


async def test_a_limited_token_sets_no_quota_for_more(desk: Desk) -> None:
    limits = Limits.parse(False, ["acme"], [])
    alice = await desk.user("alice", (Role.ADMINISTRATOR, "**"), limits=limits)
    with pytest.raises(Denied):
        await desk.call("PUT", "/quotas/acme", {"bytes": 2}, by=alice)
