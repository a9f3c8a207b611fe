"""Refresh tokens, which docker keeps in place of a password, and the exchange of a job's own token."""

import jwt
import pytest

from tests.http.accounts.clock import Clock
from tests.http.accounts.household import PASSWORD, Household
from tests.http.accounts.signing import ask_token, basic, bearer, post_token
from tests.http.accounts.test_token_endpoint import scopes_of
from tests.http.answers import Answer
from tests.http.client import Client
from tests.support.issuer import Issuer

APP = "repository:acme/app:pull,push"
DAY = 86400
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"
JWT = "urn:ietf:params:oauth:token-type:jwt"


async def refresh_token_of(client: Client, name: str, secret: str) -> str:
    answer = await ask_token(
        client, fields=basic(name, secret), offline_token="true", client_id="docker", account=name
    )
    assert answer.status == 200, answer
    return str(answer.json["refresh_token"])


async def refreshed(client: Client, secret: str, scope: str = APP) -> Answer:
    return await post_token(
        client, grant_type="refresh_token", refresh_token=secret, service="entrepot", scope=scope
    )


async def test_docker_login_gets_one_and_lives_on_it(house: Household) -> None:
    await house.user("alice", ("writer", "acme/*"))
    secret = await refresh_token_of(house.client, "alice", PASSWORD)

    for _ in range(2):  # it stays good
        answer = await refreshed(house.client, secret)
        assert answer.status == 200
        assert set(answer.json) == {"token", "access_token", "expires_in", "scope"}
        assert answer.json["scope"] == APP
        assert (await house.client.get("/v2/", bearer(answer.json["access_token"]))).status == 200
    (row,) = (await house.call("GET", "/users/alice/tokens"))["tokens"]
    assert row["kind"] == "refresh"
    assert row["description"] == "docker"


async def test_post_gives_one_only_when_asked(house: Household) -> None:
    await house.user("alice")
    password = {"grant_type": "password", "username": "alice", "password": PASSWORD}

    without = await post_token(house.client, **password)
    online = await post_token(house.client, **password, access_type="online")
    offline = await post_token(house.client, **password, access_type="offline")
    declined = await ask_token(house.client, fields=basic("alice", PASSWORD), offline_token="false")

    assert "refresh_token" not in without.json | online.json | declined.json
    assert (await refreshed(house.client, offline.json["refresh_token"])).status == 200


async def test_nobody_gets_none(house: Household) -> None:
    answer = await ask_token(house.client, offline_token="true")

    assert answer.status == 200
    assert "refresh_token" not in answer.json


async def test_what_is_no_refresh_token(house: Household) -> None:
    personal = await house.personal_token("admin")
    unknown = "entrepot_refresh_" + 43 * "A"

    for wrong in ("", "x", personal.text, unknown, "\0", "é"):
        answer = await refreshed(house.client, wrong)
        assert answer.refusal == (401, "UNAUTHORIZED"), wrong
        assert not wrong or wrong.encode() not in answer.body


async def test_it_is_no_password(house: Household) -> None:
    await house.user("alice")
    secret = await refresh_token_of(house.client, "alice", PASSWORD)

    answer = await house.client.get("/v2/", basic("alice", secret))

    assert answer.status == 401
    assert "refresh" in answer.errors[0]["message"]


async def test_it_ends_when_it_is_revoked(house: Household) -> None:
    await house.user("alice")
    secret = await refresh_token_of(house.client, "alice", PASSWORD)
    (row,) = (await house.call("GET", "/users/alice/tokens"))["tokens"]

    await house.call("DELETE", f"/users/alice/tokens/{row['id']}", status=204)

    answer = await refreshed(house.client, secret)
    assert answer.refusal == (401, "UNAUTHORIZED")
    assert "revoked" in answer.errors[0]["message"]


async def test_it_ends_with_its_time(house: Household, clock: Clock) -> None:
    await house.user("alice")
    secret = await refresh_token_of(house.client, "alice", PASSWORD)

    clock.pass_by(30 * DAY - 60)
    assert (await refreshed(house.client, secret)).status == 200
    clock.pass_by(60)
    answer = await refreshed(house.client, secret)

    assert answer.refusal == (401, "UNAUTHORIZED")
    assert "expired" in answer.errors[0]["message"]


async def test_one_of_a_limited_token_is_limited_alike(house: Household) -> None:
    await house.user("alice", ("writer", "**"))
    personal = await house.personal_token("alice", read_only=True, repositories=["acme/*"])
    secret = await refresh_token_of(house.client, "alice", personal.text)

    answer = await refreshed(house.client, secret, f"{APP} repository:other/app:pull registry:api:*")

    assert scopes_of(answer.json["access_token"]) == {"repository:acme/app:pull", "registry:api:*"}
    account = await house.client.get("/api/v1/account", bearer(answer.json["access_token"]))
    assert account.json["limits"]["read_only"] is True
    assert account.json["limits"]["repositories"] == ["acme/*"]


async def test_one_of_a_token_is_gone_with_it(house: Household) -> None:
    await house.user("alice", ("writer", "acme/*"))
    personal = await house.personal_token("alice")
    secret = await refresh_token_of(house.client, "alice", personal.text)
    assert (await refreshed(house.client, secret)).status == 200

    await house.call("DELETE", f"/users/alice/tokens/{personal.id}", status=204)

    assert (await refreshed(house.client, secret)).status == 401


async def test_addresses_count_for_what_a_token_leads_to(house: Household) -> None:
    await house.user("alice", ("writer", "acme/*"))
    here = await house.personal_token("alice", addresses=["127.0.0.0/8"])
    there = await house.personal_token("alice", addresses=["192.0.2.0/24"])

    assert (await house.client.get("/v2/", basic("alice", here.text))).status == 200
    assert (
        await refreshed(house.client, await refresh_token_of(house.client, "alice", here.text))
    ).status == 200
    refused = await house.client.get("/v2/", basic("alice", there.text))

    assert refused.status == 401
    assert "address" in refused.errors[0]["message"]


@pytest.mark.parametrize("kind", [ID_TOKEN, JWT])
async def test_a_job_exchanges_its_own_token(house: Household, gitlab: Issuer, kind: str) -> None:
    await house.trust("gitlab", gitlab.url, "writer", "acme/app", project_path="acme/app")
    own = gitlab.token(project_path="acme/app")

    answer = await post_token(
        house.client,
        grant_type=EXCHANGE,
        subject_token=own,
        subject_token_type=kind,
        scope=f"{APP} repository:acme/other:pull",
        access_type="offline",
    )

    assert answer.status == 200
    assert answer.json["issued_token_type"] == "urn:ietf:params:oauth:token-type:access_token"
    assert answer.json["token_type"] == "Bearer"
    assert answer.json["scope"] == APP
    assert "refresh_token" not in answer.json, "what a job gets is as short-lived as its own token"
    claims = jwt.decode(answer.json["access_token"], options={"verify_signature": False})
    assert claims["sub"] == "job:repo:acme/app:ref:refs/heads/main"
    started = await house.client.post(
        "/v2/acme/app/blobs/uploads/", headers=bearer(answer.json["access_token"])
    )
    assert started.status == 202


async def test_a_job_that_no_rule_trusts(house: Household, gitlab: Issuer) -> None:
    await house.trust("gitlab", gitlab.url, "writer", "acme/app", project_path="acme/app")
    tokens = {
        "another project": gitlab.token(project_path="evil/app"),
        "another audience": gitlab.token(project_path="acme/app", aud="https://other.example"),
        "expired": gitlab.token(project_path="acme/app", exp=1),
        "no claim": gitlab.token(),
        "another issuer": gitlab.token(project_path="acme/app", iss="https://evil.example"),
        "cut off": gitlab.token(project_path="acme/app")[:-4],
        "no token": "x",
    }

    for what, own in tokens.items():
        answer = await post_token(
            house.client, grant_type=EXCHANGE, subject_token=own, subject_token_type=JWT, scope=APP
        )
        as_password = await ask_token(house.client, APP, fields=basic("job", own))
        assert answer.refusal == (401, "UNAUTHORIZED"), what
        assert as_password.refusal == (401, "UNAUTHORIZED"), what
        assert own.encode() not in answer.body + as_password.body or len(own) < 10, what


async def test_an_exchange_of_something_else(house: Household) -> None:
    answer = await post_token(
        house.client, grant_type=EXCHANGE, subject_token="x", subject_token_type="urn:x:saml2"
    )

    assert answer.status == 400
