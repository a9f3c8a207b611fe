"""Looking back and restoring by the management API: what comes back, who may, and what can't be had."""

import json
import time
from functools import partial
from typing import Any

import pytest
from sqlalchemy import update

from auth.actor import SYSTEM
from auth.identity import NOBODY
from auth.limits import Limits
from auth.roles import Role
from registry.index import Connection, removed
from registry.index.tables import blobs as blob_table
from registry.oci.digest import Digest
from registry.oci.errors import (
    Conflict,
    Denied,
    InputInvalid,
    ManifestUnknown,
    NameInvalid,
    NotKept,
    QuotaExceeded,
    RepositoryUnknown,
    TagImmutable,
    Unknown,
)
from registry.oci.media_types import OCI_INDEX, OCI_MANIFEST
from registry.oci.name import RepositoryName, Tag
from tests.unit.index import rows
from tests.unit.management.conftest import Desk

NAME = RepositoryName("acme/app")
PATH = "/repositories/acme/app"
CONFIG = b"{}"
CONFIG_DIGEST = Digest.of(CONFIG, "sha256")


def described(body: bytes, media_type: str) -> dict[str, object]:
    return {"mediaType": media_type, "digest": Digest.of(body, "sha256"), "size": len(body)}


def image(**members: object) -> bytes:
    config = described(CONFIG, "application/vnd.oci.image.config.v1+json")
    return json.dumps(
        {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [], **members}
    ).encode()


def index_of(*children: bytes) -> bytes:
    listed = [described(child, OCI_MANIFEST) for child in children]
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}).encode()


async def put(desk: Desk, body: bytes, reference: str | None = None) -> str:
    """Push a manifest; its digest."""
    digest = Digest.of(body, "sha256")
    await desk.index.write(partial(rows.blob, repository=NAME, digest=CONFIG_DIGEST, size=len(CONFIG)))
    named = digest if reference is None else Tag(reference)
    await desk.manifests.put(NAME, named, body, json.loads(body)["mediaType"], SYSTEM)
    return digest


async def delete(desk: Desk, reference: str) -> None:
    named = Digest(reference) if ":" in reference else Tag(reference)
    await desk.manifests.delete(NAME, named, SYSTEM)


async def restore(desk: Desk, path: str, body: object) -> Any:
    return (await desk.call("POST", f"{PATH}/-/{path}/restore", body)).document


async def history(desk: Desk, tag: str = "latest", **query: str) -> Any:
    return await desk.get(f"{PATH}/-/tags/{tag}/history", **query)


async def present(desk: Desk) -> dict[str, str]:
    """Where the tags point."""
    return {tag["name"]: tag["digest"] for tag in (await desk.get(f"{PATH}/-/tags"))["tags"]}


async def has(desk: Desk, *digests: str) -> list[bool]:
    found = []
    for digest in digests:
        try:
            await desk.manifests.find(NAME, Digest(digest))
            found.append(True)
        except ManifestUnknown:
            found.append(False)
    return found


async def end_window(desk: Desk) -> None:
    while (await desk.index.write(partial(removed.expire, before=time.time() + 1, limit=100))).rows:
        pass


async def test_the_history_tells_what_was_and_what_can_be_had(desk: Desk) -> None:
    first, second = await put(desk, image(), "latest"), await put(desk, image(a=1), "latest")
    await delete(desk, first)
    await delete(desk, "latest")

    page = await history(desk)

    assert [entry["digest"] for entry in page["entries"]] == [None, second, first]
    assert [entry["restorable"] for entry in page["entries"]] == [False, True, True]
    assert [entry["kept_until"] is not None for entry in page["entries"]] == [False, False, True]
    assert {entry["by"] for entry in page["entries"]} == {SYSTEM.principal}
    assert page["next"] is None
    newest = await history(desk, n="1")
    older = await history(desk, n="2", last=str(newest["next"]))
    assert newest["entries"] + older["entries"] == page["entries"]
    await end_window(desk)
    assert [entry["restorable"] for entry in (await history(desk))["entries"]] == [False, True, False]
    with pytest.raises(ManifestUnknown):
        await history(desk, "never")


async def test_a_tag_goes_back_to_where_it_was_told_to_be(desk: Desk) -> None:
    """At the very time that the history tells, which is rounded."""
    digests = [await put(desk, image(number=number), "latest") for number in range(3)]
    entries = (await history(desk))["entries"][::-1]
    await delete(desk, digests[0])

    for entry, digest in zip(entries, digests, strict=True):
        back = await restore(desk, "tags/latest", {"at": entry["at"]})
        assert entry["digest"] == digest
        assert back == {
            "digest": digest,
            "manifests": [digest] if digest == digests[0] else [],
            "tags": ["latest"],
            "missing": [],
        }
        assert (await present(desk))["latest"] == digest
    assert (await restore(desk, "tags/latest", {"at": entries[-1]["at"]}))["tags"] == [], "it is there"
    assert len((await history(desk))["entries"]) == 6
    audited = await desk.audited("tag.restore")
    assert audited[-1]["detail"]["manifests"] == [digests[0]]
    with pytest.raises(NotKept, match="had no tag latest at 2020-01-01T00:00:00Z"):
        await restore(desk, "tags/latest", {"at": "2020-01-01"})


async def test_what_an_index_lists_comes_back_with_it(desk: Desk) -> None:
    child, sibling, other = image(), image(b=1), image(c=1)
    digests = [await put(desk, body) for body in (child, sibling, other)]
    top = await put(desk, index_of(child, sibling, other), "latest")
    lost = digests.pop()
    await delete(desk, lost)
    await end_window(desk)
    at = (await history(desk))["entries"][0]["at"]
    await delete(desk, top)
    for digest in digests:
        await delete(desk, digest)

    back = await restore(desk, "tags/latest", {"at": at})

    assert sorted(back["manifests"]) == sorted([top, *digests])
    assert back["missing"] == [lost]
    assert await has(desk, top, *digests, lost) == [True, True, True, False]
    await delete(desk, digests[0])
    again = await restore(desk, "tags/latest", {"at": at})
    assert (again["manifests"], again["tags"]) == ([digests[0]], []), "also when the index is here"


async def test_referrers_come_back_unless_they_were_taken_off_before(desk: Desk) -> None:
    body = image()
    subject = await put(desk, body, "latest")
    refers = {"subject": described(body, OCI_MANIFEST)}
    taken_off, signature = await put(desk, image(**refers)), await put(desk, image(a=1, **refers))
    await delete(desk, taken_off)
    await delete(desk, subject)
    await delete(desk, signature)

    back = await restore(desk, f"manifests/{subject}", {})

    assert back["tags"] == ["latest"]
    assert sorted(back["manifests"]) == sorted([subject, signature])
    assert await has(desk, taken_off) == [False]


async def test_what_a_tag_attached_comes_back_with_its_tag(desk: Desk) -> None:
    """As cosign signs: the name of the tag has the digest of the image."""
    subject, other = await put(desk, image(), "latest"), await put(desk, image(a=1), "other")
    first = subject.replace(":", "-")
    names = [f"{first}.sig", f"{first}.att", f"{first}.sbom", f"{first}-no", f"{other.replace(':', '-')}.sig"]
    signature, taken_off, replaced, unlike, others = [
        await put(desk, image(b=number), name) for number, name in enumerate(names)
    ]
    await put(desk, image(c=1), names[0])
    await put(desk, image(b=0), names[0])
    await delete(desk, taken_off)
    for digest in (subject, signature, replaced, unlike, others):
        await delete(desk, digest)
    again = await put(desk, image(c=2), names[2])

    back = await restore(desk, f"manifests/{subject}", {"tags": False})
    assert (sorted(back["manifests"]), back["tags"]) == (sorted([subject, signature]), [names[0]])
    assert await has(desk, taken_off, replaced, unlike, others) == [False, False, False, False]
    assert await present(desk) == {"other": other, names[0]: signature, names[2]: again}

    at = (await history(desk))["entries"][1]["at"]
    await delete(desk, subject)
    await delete(desk, signature)
    back = await restore(desk, "tags/latest", {"at": at})
    assert (sorted(back["manifests"]), back["tags"]) == (sorted([subject, signature]), ["latest", names[0]])


async def test_tags_that_went_with_a_manifest_come_back_unless_they_are_there(desk: Desk) -> None:
    body = image()
    for tag in ("a", "b", "c"):
        digest = await put(desk, body, tag)
    await delete(desk, "a")
    await delete(desk, digest)
    other = await put(desk, image(a=1), "c")

    assert (await restore(desk, f"manifests/{digest}", {"tags": False}))["tags"] == []
    await delete(desk, digest)
    assert (await restore(desk, f"manifests/{digest}", {}))["tags"] == [], "they went the time before"
    await put(desk, body, "b")
    await delete(desk, digest)
    back = await restore(desk, f"manifests/{digest}", {})

    assert (back["manifests"], back["tags"]) == ([digest], ["b"])
    assert await present(desk) == {"b": digest, "c": other}
    assert (await restore(desk, f"manifests/{digest}", {}))["manifests"] == [], "twice does no harm"
    assert len(await desk.audited("manifest.restore")) == 4


async def test_what_can_not_be_restored_is_said(desk: Desk) -> None:
    digest = await put(desk, image(), "latest")
    at = (await history(desk))["entries"][0]["at"]
    await delete(desk, digest)
    quarantine = update(blob_table).where(blob_table.c.digest == CONFIG_DIGEST)

    def damage(connection: Connection, at: float | None) -> None:
        connection.execute(quarantine.values(quarantined_at=at))

    await desk.index.write(partial(damage, at=1.0))
    for path, body in (("tags/latest", {"at": at}), (f"manifests/{digest}", {})):
        with pytest.raises(Conflict, match=f"1 blobs that {digest} needs are damaged.*{CONFIG_DIGEST}"):
            await restore(desk, path, body)
    assert await has(desk, digest) == [False]
    await desk.index.write(partial(damage, at=None))
    await end_window(desk)
    for path, body in (("tags/latest", {"at": at}), (f"manifests/{digest}", {})):
        with pytest.raises(NotKept, match="not kept any more"):
            await restore(desk, path, body)


async def test_a_damaged_referrer_does_not_hold_up_its_subject(desk: Desk) -> None:
    body = image()
    digest = await put(desk, body)
    other = Digest.of(b"other", "sha256")
    await desk.index.write(partial(rows.blob, repository=NAME, digest=other, size=5))
    config = {"mediaType": "application/json", "digest": other, "size": 5}
    signature = await put(desk, image(config=config, subject=described(body, OCI_MANIFEST)))
    await delete(desk, digest)
    await delete(desk, signature)
    await desk.index.write(
        lambda connection: connection.execute(
            update(blob_table).where(blob_table.c.digest == other).values(quarantined_at=1.0)
        )
    )

    back = await restore(desk, f"manifests/{digest}", {})

    assert (back["manifests"], back["missing"]) == ([digest], [signature])


async def test_policies_hold_for_what_comes_back(desk: Desk) -> None:
    first = await put(desk, image(), "v1")
    at = (await history(desk, "v1"))["entries"][0]["at"]
    second = await put(desk, image(a=1), "v1")
    await desk.call("PATCH", PATH, {"immutable_tags": ["v*"]})
    with pytest.raises(TagImmutable):
        await restore(desk, "tags/v1", {"at": at})
    await desk.call("PATCH", PATH, {"immutable_tags": []})
    await delete(desk, second)
    await delete(desk, first)
    await desk.call("PATCH", PATH, {"immutable_tags": ["v*"], "quota": len(CONFIG)})
    for path, body in (("tags/v1", {"at": at}), (f"manifests/{first}", {})):
        with pytest.raises(QuotaExceeded):
            await restore(desk, path, body)
    assert await has(desk, first) == [False], "all or nothing"
    await desk.call("PATCH", PATH, {"quota": None})
    await restore(desk, "tags/v1", {"at": at})
    assert await present(desk) == {"v1": first}


async def test_a_repository_comes_back(desk: Desk) -> None:
    digest = await put(desk, image(), "latest")
    gone = await put(desk, image(a=1))
    await delete(desk, gone)
    await desk.call("PATCH", PATH, {"description": "ours", "immutable_tags": ["v*"]})
    before = await desk.get(PATH)
    await desk.call("DELETE", PATH)
    with pytest.raises(RepositoryUnknown):
        await history(desk)
    with pytest.raises(RepositoryUnknown):
        await restore(desk, f"manifests/{digest}", {})

    (listed,) = (await desk.get("/removed-repositories"))["repositories"]
    assert (listed["name"], listed["removed_by"]) == ("acme/app", "operator:root")
    back = (await desk.call("POST", f"{PATH}/-/restore", {})).document

    assert back == {"name": "acme/app", "uid": listed["uid"], "damaged": []}
    assert await desk.get(PATH) == before | {"bytes": before["bytes"]}
    assert await present(desk) == {"latest": digest}
    entries = (await history(desk))["entries"]
    assert [entry["digest"] for entry in entries] == [digest, None, digest]
    assert (await restore(desk, f"manifests/{gone}", {}))["manifests"] == [gone]
    (entry,) = await desk.audited("repository.restore")
    assert (entry["target"], entry["detail"]["uid"]) == ("acme/app", listed["uid"])
    with pytest.raises(Unknown, match="no deleted repository is called 'acme/app'"):
        await desk.call("POST", f"{PATH}/-/restore", {})


async def test_a_name_that_is_taken_again(desk: Desk) -> None:
    for _ in range(2):
        await put(desk, image(), "latest")
        await desk.call("DELETE", PATH)
    await put(desk, image(a=1), "new")
    listed = (await desk.get("/removed-repositories", search="APP"))["repositories"]
    uids = {row["uid"] for row in listed}

    with pytest.raises(Conflict, match="2 repositories called acme/app were deleted: say the uid") as caught:
        await desk.call("POST", f"{PATH}/-/restore", {})
    assert set(caught.value.detail["uids"]) == uids  # type: ignore[index]
    uid = listed[0]["uid"]
    with pytest.raises(Conflict, match=r"acme/app is there again, made at .*under another name"):
        await desk.call("POST", f"{PATH}/-/restore", {"uid": uid})
    with pytest.raises(NameInvalid):
        await desk.call("POST", f"{PATH}/-/restore", {"uid": uid, "name": "Acme"})
    with pytest.raises(Unknown):
        await desk.call("POST", f"{PATH}/-/restore", {"uid": "0123"})
    back = (await desk.call("POST", f"{PATH}/-/restore", {"uid": uid, "name": "acme/old"})).document
    assert (back["name"], back["uid"]) == ("acme/old", uid)
    assert [tag["name"] for tag in (await desk.get("/repositories/acme/old/-/tags"))["tags"]] == ["latest"]
    await desk.call("PUT", "/quotas/acme", {"bytes": 1})
    with pytest.raises(QuotaExceeded):
        await desk.call("POST", f"{PATH}/-/restore", {"name": "acme/older"})
    assert {row["uid"] for row in (await desk.get("/removed-repositories"))["repositories"]} == uids - {uid}


async def test_deleted_repositories_are_listed_in_pages_to_who_may_restore_them(desk: Desk) -> None:
    for name in ("acme/a", "acme/a", "acme/b", "other/c"):
        await desk.push(name, "latest")
        await desk.call("DELETE", f"/repositories/{name}")
    alice = await desk.user("alice", (Role.MAINTAINER, "acme/*"))
    reader = await desk.user("reader", (Role.WRITER, "**"))

    async def names(**query: str) -> list[str]:
        page = await desk.get("/removed-repositories", by=alice, **query)
        return [row["name"] for row in page["repositories"]]

    assert await names() == ["acme/a", "acme/a", "acme/b"]
    first = await desk.get("/removed-repositories", by=alice, n="1")
    assert await names(last=first["next"]) == ["acme/a", "acme/b"]
    assert (await desk.get("/removed-repositories", by=reader))["repositories"] == []
    assert (await desk.get("/removed-repositories", by=NOBODY))["repositories"] == []


@pytest.mark.parametrize("role", Role)
async def test_maintainers_restore(desk: Desk, role: Role) -> None:
    digest = await put(desk, image(), "latest")
    at = (await history(desk))["entries"][0]["at"]
    await put(desk, image(a=1), "latest")
    alice = await desk.user("alice", (role, "acme/app"))
    calls = (
        (f"{PATH}/-/tags/latest/restore", {"at": at}),
        (f"{PATH}/-/manifests/{digest}/restore", {}),
        (f"{PATH}/-/restore", {}),
    )
    await delete(desk, digest)
    for path, body in calls:
        if path == calls[-1][0]:
            await desk.call("DELETE", PATH)
        if role in (Role.MAINTAINER, Role.ADMINISTRATOR):
            await desk.call("POST", path, body, by=alice)
            read_only = alice._replace(limits=Limits.parse(True, [], []))
            with pytest.raises(Denied):
                await desk.call("POST", path, body, by=read_only)
        else:
            with pytest.raises(Denied, match="needs the role maintainer"):
                await desk.call("POST", path, body, by=alice)
    await put(desk, image(b=1), "latest")
    assert (await desk.get(f"{PATH}/-/tags/latest/history", by=alice))["entries"]
    await desk.call("DELETE", PATH)
    if role is Role.MAINTAINER:
        with pytest.raises(Denied):
            await desk.call("POST", f"{PATH}/-/restore", {"name": "other/app"}, by=alice)


@pytest.mark.parametrize("at", ["soon", "2999-01-01", "", None])
async def test_bad_times_are_refused(desk: Desk, at: str | None) -> None:
    await put(desk, image(), "latest")
    with pytest.raises(InputInvalid, match="at: should be a time"):
        await restore(desk, "tags/latest", {"at": at})
