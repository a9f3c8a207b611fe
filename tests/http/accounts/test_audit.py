"""The audit: who did what, from where, in which request, and how it ended; in the index and as JSON lines."""

import json
import logging
from typing import Any

import pytest

from tests.http.accounts.household import PASSWORD, Household, ask
from tests.http.accounts.signing import SignedIn, ask_token, basic, bearer, post_token, signed_in, token
from tests.http.content import EMPTY_CONFIG, digest_of, push_blob, push_image, start_upload
from tests.support.issuer import Issuer

APP = "acme/app"


async def newest(house: Household, **wanted: str) -> dict[str, Any]:
    """The newest entry that matches, without what differs from run to run."""
    entry = (await house.audit(**wanted))[0]
    assert entry["address"] == "127.0.0.1"
    assert entry["request_id"]
    assert entry["at"]
    return {name: entry[name] for name in ("actor", "action", "target", "result", "detail")}


async def test_every_way_to_sign_in(house: Household, gitlab: Issuer) -> None:
    await house.user("alice")
    secret = await house.robot("ci")
    personal = await house.personal_token("alice")
    await house.trust("gitlab", gitlab.url, "reader", "acme/*", project_path="acme/app")
    kept = (await ask_token(house.client, fields=basic("alice", PASSWORD), offline_token="true")).json
    ways = {
        "password": (basic("alice", PASSWORD), "user:alice", {}),
        "personal token": (basic("alice", personal.text), "user:alice", {"token": personal.id}),
        "robot": (basic("ci", secret), "robot:ci", None),
        "job": (
            basic("x", gitlab.token(project_path="acme/app")),
            "job:repo:acme/app:ref:refs/heads/main",
            {"rules": ["gitlab"]},
        ),
    }

    for what, (fields, principal, detail) in ways.items():
        assert (await house.client.get("/v2/", fields)).status == 200, what
        entry = await newest(house, action="sign-in", actor=principal)
        assert entry["result"] == "allowed"
        assert detail is None or entry["detail"] == detail, what
    refreshed = await post_token(
        house.client, grant_type="refresh_token", refresh_token=kept["refresh_token"]
    )
    assert refreshed.status == 200
    entry = await newest(house, action="sign-in", actor="user:alice")
    assert list(entry["detail"]) == ["token"]


async def test_sign_ins_that_failed(house: Household) -> None:
    await house.user("alice")
    for fields in (basic("alice", "wrong"), basic("nobody", "wrong"), bearer("no-token")):
        assert (await house.client.get("/v2/", fields)).status == 401

    refused = await house.audit(action="sign-in", result="refused")

    assert [(row["actor"], row["detail"]) for row in reversed(refused)] == [
        ("user:alice", {"reason": "the user name or the password is wrong"}),
        ("user:nobody", {"reason": "the user name or the password is wrong"}),
        ("anonymous", {"token": "the token is not signed, or it is no JWT at all"}),
    ]


async def test_refusals(house: Household) -> None:
    await house.user("alice", ("reader", APP))
    fields = basic("alice", PASSWORD)
    by_token = bearer(await token(house.client, "registry:api:*", fields=fields))
    reason = "push on acme/app needs the role writer for user:alice or one of its groups; "
    reason += "user:alice is reader on acme/app, which is not enough"

    for way in (fields, by_token):
        await house.client.post(f"/v2/{APP}/blobs/uploads/", headers=way)
        assert await newest(house, result="refused") == {
            "actor": "user:alice",
            "action": "push",
            "target": APP,
            "result": "refused",
            "detail": {"reason": reason},
        }
    await ask(SignedIn(house.client, fields), "DELETE", f"/repositories/{APP}")
    assert (await newest(house, result="refused"))["action"] == "repository.delete"
    await ask(SignedIn(house.client, fields), "GET", "/users")
    assert (await newest(house, result="refused"))["action"] == "user.list"


async def test_nobody_who_asks_for_the_way_in_is_no_refusal(house: Household) -> None:
    """Every pull begins so."""
    before = len(await house.audit())
    for path in ("/v2/", f"/v2/{APP}/manifests/latest"):
        assert (await house.client.get(path)).status == 401

    assert len(await house.audit()) == before


async def test_pushes_and_deletions(house: Household) -> None:
    await house.user("alice", ("maintainer", "acme/*"))
    alice = SignedIn(house.client, basic("alice", PASSWORD))
    body = await push_image(alice, "latest", APP)
    digest = digest_of(body)

    pushed = {"actor": "user:alice", "action": "push", "target": APP, "result": "allowed"}
    assert await newest(house, action="push") == {**pushed, "detail": {"digest": digest, "tags": ["latest"]}}
    deleted = {**pushed, "action": "delete"}
    await alice.delete(f"/v2/{APP}/manifests/latest")
    assert await newest(house, action="delete") == {**deleted, "detail": {"tags": ["latest"]}}
    await alice.delete(f"/v2/{APP}/manifests/{digest}")
    assert await newest(house, action="delete") == {**deleted, "detail": {"digest": digest, "tags": []}}
    await alice.delete(f"/v2/{APP}/blobs/{digest_of(EMPTY_CONFIG)}")
    assert (await newest(house, action="delete"))["detail"] == {"blob": digest_of(EMPTY_CONFIG)}
    session = await start_upload(house.admin, APP)
    running = session.rpartition("/")[2].partition(".")[0]
    await house.call("DELETE", f"/uploads/{running}", status=204)
    assert (await newest(house, action="upload.cancel"))["target"] == APP


async def test_what_a_token_does_is_its_owners(house: Household) -> None:
    await house.user("alice", ("writer", "acme/*"))
    alice = await signed_in(house.client, "alice", PASSWORD, f"repository:{APP}:pull,push")

    await push_image(alice, "latest", APP)

    assert (await newest(house, action="push"))["actor"] == "user:alice"


async def test_every_change_of_accounts_and_settings(house: Household, gitlab: Issuer) -> None:
    await house.user("alice")
    await house.call("PATCH", "/users/alice", {"description": "somebody"})
    await house.call("PUT", "/users/alice/password", {"password": "another password"}, status=204)
    await house.group("dev", "user:alice")
    await house.call("PATCH", "/groups/dev", {"disabled": True})
    await house.call("PATCH", "/groups/dev", {"disabled": False})
    grant = await house.grant("group:dev", "writer", "acme/**")
    await house.call("DELETE", f"/grants/{grant}", status=204)
    await house.call("DELETE", "/groups/dev/members/user:alice", status=204)
    await house.call("DELETE", "/groups/dev", status=204)
    await house.robot("ci")
    await house.call("POST", "/robots/ci/secret", {}, status=201)
    await house.call("DELETE", "/robots/ci", status=204)
    personal = await house.personal_token("alice")
    await house.call("DELETE", f"/users/alice/tokens/{personal.id}", status=204)
    await house.trust("gitlab", gitlab.url, "reader", "acme/*", project_path="acme/app")
    await house.call("PATCH", "/trust-rules/gitlab", {"disabled": True})
    await house.call("DELETE", "/trust-rules/gitlab", status=204)
    await house.configure(APP, public=True)
    await house.call("PUT", "/quotas/acme", {"bytes": 10})
    await house.call("DELETE", "/quotas/acme", status=204)
    await house.call("DELETE", f"/repositories/{APP}", status=204)
    await house.call("POST", "/keys/rotate", {}, status=201)
    await house.call("PATCH", "/users/alice", {"disabled": True})
    await house.call("DELETE", "/users/alice", status=204)

    entries = [entry for entry in reversed(await house.audit(actor="user:admin")) if entry["target"]]

    assert [(entry["action"], entry["target"]) for entry in entries[1:]] == [
        ("user.create", "user:alice"),
        ("user.describe", "user:alice"),
        ("user.password", "user:alice"),
        ("group.create", "group:dev"),
        ("group.add", "group:dev"),
        ("group.disable", "group:dev"),
        ("group.enable", "group:dev"),
        ("grant.add", "group:dev"),
        ("grant.remove", "group:dev"),
        ("group.take", "group:dev"),
        ("group.remove", "group:dev"),
        ("robot.create", "robot:ci"),
        ("robot.secret", "robot:ci"),
        ("robot.remove", "robot:ci"),
        ("token.create", "user:alice"),
        ("token.revoke", "user:alice"),
        ("trust.add", "gitlab"),
        ("trust.disable", "gitlab"),
        ("trust.remove", "gitlab"),
        ("repository.configure", APP),
        ("quota.set", "acme"),
        ("quota.remove", "acme"),
        ("repository.delete", APP),
        ("key.rotate", entries[-3]["target"]),
        ("user.disable", "user:alice"),
        ("user.remove", "user:alice"),
    ]
    assert all(entry["result"] == "allowed" for entry in entries)
    kept = [entry for entry in entries if entry["action"] == "grant.add"]
    assert kept[0]["detail"] == {"role": "writer", "pattern": "acme/**"}


async def test_one_line_of_json_for_each_entry(house: Household, caplog: pytest.LogCaptureFixture) -> None:
    caplog.clear()
    await house.user("alice")
    await house.client.get("/v2/", basic("alice", "wrong"))

    lines = [
        json.loads(record.getMessage())
        for record in caplog.records
        if record.name == "entrepot.audit" and record.levelno == logging.INFO
    ]

    told = [(line["actor"], line["action"], line["result"]) for line in lines]
    assert ("user:admin", "user.create", "allowed") in told
    assert ("user:alice", "sign-in", "refused") in told
    for line in lines:
        assert {"time", "actor", "action", "result", "request_id", "address"} <= line.keys()
    rows = await house.audit()
    assert {line["request_id"] for line in lines} <= {row["request_id"] for row in rows}


async def test_the_request_id_is_that_of_the_answer(house: Household) -> None:
    """Who is refused can say which line it is."""
    await house.user("alice")
    answer = await house.client.post(f"/v2/{APP}/blobs/uploads/", headers=basic("alice", PASSWORD))

    assert answer.status == 403
    (entry,) = await house.audit(result="refused")
    assert entry["request_id"] == answer.headers["X-Request-ID"]


async def test_a_pull_is_no_entry(house: Household) -> None:
    """They are counted elsewhere; there would be thousands."""
    await push_blob(house.admin, b"x", APP)
    before = await house.audit()

    assert (await house.admin.get(f"/v2/{APP}/blobs/{digest_of(b'x')}")).status == 200

    assert [row["action"] for row in await house.audit()][: -len(before)] in ([], ["sign-in"])
