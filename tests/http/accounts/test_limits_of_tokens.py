"""What tokens can't be used for: to get round their own limits, or to fill the index."""

import pytest

from registry.services import registry_tokens
from tests.http.accounts.household import Household, ask
from tests.http.accounts.signing import SignedIn, ask_token, basic, post_token


async def test_a_token_that_ends_makes_none_that_does_not(house: Household) -> None:
    ending = await house.personal_token("admin", expires="1h")
    by_ending = SignedIn(house.client, basic("admin", ending.text))

    made = await ask(by_ending, "POST", "/users/admin/tokens", {})
    robot = await ask(by_ending, "POST", "/robots", {"name": "ci"})

    assert made.refusal == (403, "DENIED")
    assert robot.refusal == (403, "DENIED")
    assert (await ask(by_ending, "POST", "/groups", {"name": "dev"})).status == 201, "it may all else"


async def test_neither_does_what_was_got_with_it(house: Household) -> None:
    ending = await house.personal_token("admin", expires="1h")
    answer = await ask_token(
        house.client, "registry:api:*", fields=basic("admin", ending.text), offline_token="true"
    )
    again = await post_token(
        house.client,
        grant_type="refresh_token",
        refresh_token=answer.json["refresh_token"],
        scope="registry:api:*",
    )

    for token in (answer.json["token"], again.json["token"]):
        bearer = SignedIn(house.client, {"Authorization": f"Bearer {token}"})
        assert (await ask(bearer, "POST", "/users/admin/tokens", {})).refusal == (403, "DENIED")


async def test_staying_signed_in_is_no_limit(house: Household) -> None:
    password = await house.user("alice")
    answer = await ask_token(
        house.client, "registry:api:*", fields=basic("alice", password), offline_token="true"
    )
    bearer = SignedIn(house.client, {"Authorization": f"Bearer {answer.json['token']}"})

    assert (await ask(bearer, "POST", "/users/alice/tokens", {})).status == 201


async def test_logins_without_end_leave_so_many_tokens(
    house: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry_tokens, "MOST_REFRESH_TOKENS", 3)
    secret = await house.robot("ci")
    got = [
        (await ask_token(house.client, fields=basic("ci", secret), offline_token="true")).json[
            "refresh_token"
        ]
        for _ in range(5)
    ]

    answers = [
        await post_token(house.client, grant_type="refresh_token", refresh_token=token) for token in got
    ]

    assert [answer.status for answer in answers] == [401, 401, 200, 200, 200]
    assert (await house.client.get("/v2/", basic("ci", secret))).status == 200
