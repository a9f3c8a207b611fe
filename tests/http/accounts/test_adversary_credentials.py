"""What is got with a token ends with it, and nobody learns by a filter who has an account."""

import pytest

from tests.http.accounts.clock import Clock
from tests.http.accounts.household import PASSWORD, Household, ask
from tests.http.accounts.signing import SignedIn, basic, bearer
from tests.http.accounts.test_refresh_tokens import refresh_token_of, refreshed

LIFE = 30
"""Seconds that a personal token lives."""


async def test_a_refresh_token_lives_no_longer_than_what_it_was_got_with(
    house: Household, clock: Clock
) -> None:
    await house.user("alice", ("writer", "acme/*"))
    personal = await house.personal_token("alice", expires=LIFE)
    secret = await refresh_token_of(house.client, "alice", personal.text)
    token = (await refreshed(house.client, secret)).json["token"]
    assert (await house.client.get("/v2/", bearer(token))).status == 200

    clock.pass_by(LIFE + 61)  # beyond what is remembered

    assert (await refreshed(house.client, secret)).refusal == (401, "UNAUTHORIZED")
    assert (await house.client.get("/v2/", bearer(token))).refusal == (401, "UNAUTHORIZED")


async def test_a_refresh_token_of_a_robot_ends_with_the_secret_that_was_replaced(
    house: Household, clock: Clock
) -> None:
    old = await house.robot("ci", ("writer", "acme/*"))
    secret = await refresh_token_of(house.client, "ci", old)
    await house.call("POST", "/robots/ci/secret", {"keep_old": LIFE}, status=201)
    assert (await refreshed(house.client, secret)).status == 200

    clock.pass_by(LIFE + 1)

    assert (await refreshed(house.client, secret)).refusal == (401, "UNAUTHORIZED")


@pytest.mark.parametrize("client_id", ["%00", "a%00b%0A", "%F0%9F%98%80"])
async def test_a_client_may_call_itself_anything(house: Household, client_id: str) -> None:
    await house.user("alice")

    answer = await house.client.get(
        f"/v2/token?offline_token=true&client_id={client_id}", basic("alice", PASSWORD)
    )

    assert answer.status == 200
    (row,) = (await house.call("GET", "/users/alice/tokens"))["tokens"]
    assert row["description"].isprintable()


async def test_a_filter_of_grants_does_not_tell_who_has_an_account(house: Household) -> None:
    await house.user("alice", ("administrator", "acme/**"))
    await house.user("bob", ("reader", "other/**"))
    alice = SignedIn(house.client, basic("alice", PASSWORD))

    known = await ask(alice, "GET", "/grants?principal=user:bob")
    unknown = await ask(alice, "GET", "/grants?principal=user:nobody")

    assert (known.status, known.json) == (unknown.status, unknown.json) == (200, {"grants": [], "next": None})
    mistaken = await house.ask("GET", "/grants?principal=user:nobody")
    assert mistaken.refusal == (404, "NOT_FOUND")
