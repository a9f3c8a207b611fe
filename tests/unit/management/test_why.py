"""Why something is still here, and who hears of it."""

import time
from collections.abc import Sequence
from typing import Any

import pytest

from auth.identity import NOBODY
from auth.patterns import RepositoryPattern, TagPattern
from auth.roles import Role
from registry.index import Connection, blobs, in_use, manifests, repositories, retention_rules, tags
from registry.index.retention_rules import RetentionRuleRow
from registry.index.upkeep_tables import missing_blobs
from registry.oci.errors import DigestInvalid
from tests.unit.management.conftest import BOSS, Desk


def digest(letter: str) -> str:
    return "sha256:" + 64 * letter


BASE, SIGNED, LOOSE, AWAITED = digest("b"), digest("5"), digest("1"), digest("a")
IMAGE, INDEX, SIGNATURE, ELSEWHERE, DELETED = (digest(letter) for letter in "cdef0")


def blob(connection: Connection, repository: str, wanted: str, size: int = 100) -> int:
    row = blobs.record(connection, wanted, size, f"at {wanted}", 5000.0, 1000.0)
    blobs.link(connection, repositories.ensure(connection, repository, 1.0), row.id, 1.0)
    return row.id


def manifest(
    connection: Connection,
    repository: str,
    own: str,
    blob_ids: Sequence[int] = (),
    children: Sequence[str] = (),
    tag: str | None = None,
    subject: str | None = None,
) -> int:
    repository_id = repositories.ensure(connection, repository, 1.0)
    values = {
        "repository_id": repository_id, "digest": own, "media_type": "x", "artifact_type": None,
        "size": 10, "body": b"x", "subject": subject, "annotations": None, "pushed_by": None,
        "pushed_at": 1.0,
    }  # fmt: skip
    id = manifests.record(connection, values)
    manifests.record_edges(connection, id, repository_id, blob_ids, children)
    if tag is not None:
        tags.point(connection, repository_id, tag, id, own, None, 1.0)
    return id


def world(connection: Connection) -> None:
    """An index lists the image with the base; a signature refers to the index; others have the base, too."""
    base = blob(connection, "acme/app", BASE)
    manifest(connection, "acme/app", IMAGE, [base])
    manifest(connection, "acme/app", INDEX, (), [IMAGE], "latest")
    signed = blob(connection, "acme/app", SIGNED)
    manifest(connection, "acme/app", SIGNATURE, [signed], subject=INDEX)
    deleted = manifest(connection, "acme/app", DELETED, [base])
    manifests.remove(connection, deleted, "user:zoe", 2000.0)
    blob(connection, "acme/app", LOOSE)
    sparse = manifest(connection, "acme/other", ELSEWHERE, (), (), "sparse")
    repository_id = repositories.find(connection, "acme/other")
    waiting = {"manifest_id": sparse, "repository_id": repository_id, "digest": AWAITED}
    connection.execute(missing_blobs.insert().values(waiting))
    manifest(connection, "secret/place", ELSEWHERE, [blob(connection, "secret/place", BASE)], (), "hidden")


@pytest.fixture
async def filled(desk: Desk) -> Desk:
    await desk.index.write(world)
    return desk


def said(document: Any) -> list[tuple[str, str, str | None, list[str], str | None]]:
    return [
        (found["kind"], found["repository"], found["digest"], found["tags"], found["through"])
        for found in document["holders"]
    ]


async def test_an_administrator_hears_of_all_that_holds_a_blob(filled: Desk) -> None:
    found = await filled.get(f"/why/{BASE}")

    assert said(found) == [
        ("manifest", "acme/app", IMAGE, [], None),
        ("index", "acme/app", INDEX, ["latest"], IMAGE),
        ("manifest", "secret/place", ELSEWHERE, ["hidden"], None),
        ("deleted", "acme/app", DELETED, [], None),
    ]
    assert found["holders"][-1]["by"] == "user:zoe"
    assert found["holders"][-1]["until"] == "1970-01-01T01:33:20Z", "an hour later"
    assert (found["blob"]["size"], found["blob"]["location"]) == (100, f"at {BASE}")
    assert found["blob"]["leased_until"] == "1970-01-01T01:23:20Z"
    assert found["more"] is False
    assert len((await filled.get(f"/why/{BASE}", n="2"))["holders"]) == 2
    assert (await filled.get(f"/why/{BASE}", n="2"))["more"] is True


@pytest.mark.parametrize(
    ("asked", "holders"),
    [
        (SIGNED, [("manifest", SIGNATURE, [], None), ("subject", INDEX, ["latest"], SIGNATURE)]),
        (IMAGE, [("itself", IMAGE, [], None), ("index", INDEX, ["latest"], None)]),
        (INDEX, [("itself", INDEX, ["latest"], None)]),
        (SIGNATURE, [("itself", SIGNATURE, [], None), ("subject", INDEX, ["latest"], None)]),
        (DELETED, [("deleted", DELETED, [], None)]),
        (LOOSE, [("link", None, [], None)]),
        (AWAITED, [("awaited", ELSEWHERE, ["sparse"], None)]),
        (digest("9"), []),
    ],
)
async def test_each_way_to_hold_something(filled: Desk, asked: str, holders: list[object]) -> None:
    found = await filled.get(f"/why/{asked}")
    assert [(kind, own, tags, through) for kind, _, own, tags, through in said(found)] == holders
    assert (found["blob"] is not None) is (asked in (SIGNED, LOOSE))


async def test_others_hear_of_what_they_may_pull(filled: Desk) -> None:
    reader = await filled.user("reader", (Role.READER, "acme/**"))
    stranger = await filled.user("stranger", (Role.WRITER, "elsewhere/**"))

    seen = await filled.get(f"/why/{BASE}", by=reader)
    assert {repository for _, repository, *_ in said(seen)} == {"acme/app"}
    assert seen["blob"]["location"] is None
    for nobody in (stranger, NOBODY):
        unseen = await filled.get(f"/why/{BASE}", by=nobody)
        unknown = await filled.get(f"/why/{digest('9')}", by=nobody)
        assert unseen | {"digest": ""} == unknown | {"digest": ""}, "as if there were no such thing"
    await filled.call("PATCH", "/repositories/secret/place", {"public": True})
    assert said(await filled.get(f"/why/{BASE}", by=NOBODY)) == [
        ("manifest", "secret/place", ELSEWHERE, ["hidden"], None)
    ]


async def test_who_runs_it_holds_it(filled: Desk) -> None:
    now = time.time()
    runs = [("acme/app", INDEX), ("secret/place", ELSEWHERE)]
    await filled.index.write(
        lambda connection: in_use.replace(connection, "prod", "robot:cluster", runs, now, now + 60)
    )
    reader = await filled.user("reader", (Role.READER, "acme/**"))

    found = await filled.get(f"/why/{BASE}")
    running = [holder for holder in found["holders"] if holder["kind"] == "in use"]
    assert [(one["digest"], one["through"], one["by"]) for one in running] == [
        (INDEX, INDEX, "prod"),
        (ELSEWHERE, ELSEWHERE, "prod"),
    ]
    own = await filled.get(f"/why/{BASE}", by=reader)
    assert [one["repository"] for one in own["holders"] if one["kind"] == "in use"] == ["acme/app"]


async def test_what_keeps_the_tags_is_told(filled: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    await filled.call("PATCH", "/repositories/secret/place", {"immutable_tags": ["hid*"]})
    rule = RetentionRuleRow(
        "newest", RepositoryPattern("acme/app"), (TagPattern("*"),), 1, "pushed", (), None, None, None, False,
        1.0, "user:admin",
    )  # fmt: skip
    await filled.index.write(lambda connection: retention_rules.set(connection, rule))

    found = (await filled.get(f"/why/{BASE}"))["holders"]

    kept, fixed = found[1]["verdicts"][0], found[2]["verdicts"][0]
    assert (kept["tag"], kept["kept"], kept["rule"]) == ("latest", True, "newest")
    assert kept["reason"]
    assert fixed == {"tag": "hidden", "kept": True, "rule": None, "reason": "is immutable"}

    # Of more tags and manifests than one question may read (acme/app has a tag and three manifests).
    monkeypatch.setattr("registry.services.why.MOST_JUDGED", 3)
    found = (await filled.get(f"/why/{BASE}"))["holders"]
    assert [holder["verdicts"] for holder in found[:3]] == [[], [], [fixed]]


async def test_what_is_no_digest_is_refused(filled: Desk) -> None:
    with pytest.raises(DigestInvalid):
        await filled.get("/why/latest")


async def test_usage_tells_administrators_of_sharing_and_others_of_what_is_theirs(filled: Desk) -> None:
    reader = await filled.user("reader", (Role.READER, "acme/**"))

    whole = await filled.get("/usage", by=BOSS)
    assert (whole["repositories"], whole["blobs"], whole["bytes"]) == (3, 3, 350)
    assert whole["largest"] == [
        {"name": "acme/app", "bytes": 330, "exclusive": 230, "shared": 100},
        {"name": "secret/place", "bytes": 110, "exclusive": 10, "shared": 100},
        {"name": "acme/other", "bytes": 10, "exclusive": 10, "shared": 0},
    ]
    known = (await filled.get("/repositories/acme/app/-/usage"))["tags"]
    assert known == [{"name": "latest", "bytes": 230, "exclusive": 130, "shared": 100}]
    seen = (await filled.get("/repositories/acme/app/-/usage", by=reader))["tags"]
    assert seen == [{"name": "latest", "bytes": 230, "exclusive": 230, "shared": 0}]


@pytest.mark.parametrize("way", ["in use", "awaited", "itself", "deleted"])
async def test_who_names_a_digest_of_others_does_not_hear_of_their_blob(filled: Desk, way: str) -> None:
    """To name it proves nothing: neither a report nor a manifest needs the bytes."""
    mallory = await filled.user("mallory", (Role.WRITER, "mallory/**"))
    hidden = digest("7")

    def change(connection: Connection) -> None:
        blob(connection, "secret/place", hidden)
        named = manifest(connection, "mallory/own", digest("8") if way == "awaited" else hidden)
        if way == "awaited":
            repository_id = repositories.find(connection, "mallory/own")
            waiting = {"manifest_id": named, "repository_id": repository_id, "digest": hidden}
            connection.execute(missing_blobs.insert().values(waiting))
        elif way != "itself":
            manifests.remove(connection, named, "user:mallory", time.time(), keep=way == "deleted")
        if way == "in use":
            now = time.time()
            in_use.replace(connection, "m", "user:mallory", [("mallory/own", hidden)], now, now + 60)

    await filled.index.write(change)

    found = await filled.get(f"/why/{hidden}", by=mallory)
    assert [(one["kind"], one["repository"]) for one in found["holders"]] == [(way, "mallory/own")]
    assert found["blob"] is None
    assert (await filled.get(f"/why/{hidden}"))["blob"]["size"] == 100


async def test_when_others_stored_a_blob_is_told_to_administrators_only(filled: Desk) -> None:
    """A push of known bytes must not tell that somebody had them before."""
    reader = await filled.user("reader", (Role.READER, "acme/**"))

    seen = (await filled.get(f"/why/{BASE}", by=reader))["blob"]

    assert seen["size"] == 100
    assert seen["stored_at"] is None
    assert seen["leased_until"] is None
