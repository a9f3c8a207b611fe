"""People of a real directory: they sign in with their password there, and are what their groups make them.

A directory that has changed is played by another filter: the same question then has another answer.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.http.accounts.clock import Clock
from tests.http.accounts.conftest import Guarded
from tests.http.accounts.household import Household, ask
from tests.http.accounts.signing import SignedIn, ask_token, basic
from tests.http.answers import Answer
from tests.support.ldap_server import (
    GROUPS,
    PASSWORD,
    PEOPLE,
    REGISTRY,
    REGISTRY_PASSWORD,
    LdapServer,
    ldap_server,
)

SCOPE = "repository:acme/app:pull,push"
PATH = "/v2/acme/app/tags/list"
LONGER_THAN_A_CHECK_COUNTS = 301
LONGER_THAN_A_RIGHT_COUNTS = 61


@pytest.fixture(scope="module")
def slapd() -> Iterator[LdapServer]:
    with ldap_server() as running:
        yield running


@pytest.fixture
def settings(slapd: LdapServer) -> dict[str, Any]:
    return {
        "url": slapd.url,
        "user_base": PEOPLE,
        "bind_dn": REGISTRY,
        "bind_password": REGISTRY_PASSWORD,
        "group_base": GROUPS,
    }


@pytest.fixture
async def house(guarded: Guarded, settings: dict[str, Any]) -> Household:
    """A registry that asks the directory; the group developers may push to acme/**."""
    house = await Household.of(await guarded.start(ldap=settings))
    await house.group("developers")
    await house.grant("group:developers", "writer", "acme/**")
    return house


async def pulled_by(house: Household, name: str, password: str = PASSWORD) -> Answer:
    return await SignedIn(house.client, basic(name, password)).get(PATH)


async def test_a_group_of_the_directory_gives_what_the_local_one_of_its_name_has(house: Household) -> None:
    alice, bob = await pulled_by(house, "alice"), await pulled_by(house, "bob")

    assert alice.refusal == (404, "NAME_UNKNOWN"), "she may, and there is nothing yet"
    assert bob.refusal == (403, "DENIED")
    user = await house.call("GET", "/users/alice")
    assert (user["source"], user["groups"]) == ("ldap", ["developers"])


async def test_the_token_endpoint_and_what_it_gives(house: Household) -> None:
    answer = await ask_token(house.client, SCOPE, fields=basic("Alice", PASSWORD))

    assert answer.status == 200, answer
    allowed = await SignedIn(house.client, {"Authorization": f"Bearer {answer.json['token']}"}).get(PATH)
    assert allowed.refusal == (404, "NAME_UNKNOWN")


@pytest.mark.parametrize(
    ("name", "password"),
    [("alice", "wrong"), ("alice", ""), ("nobody", PASSWORD), ("*", PASSWORD), ("eve", PASSWORD)],
)
async def test_who_does_not_get_in(house: Household, name: str, password: str) -> None:
    answer = await pulled_by(house, name, password)

    assert answer.refusal == (401, "UNAUTHORIZED")
    assert answer.errors[0]["message"] == "the user name or the password is wrong"
    assert (await house.ask("GET", f"/users/{name}")).status == 404, "nobody was entered"


async def test_a_local_user_is_not_taken_over_by_a_namesake(house: Household) -> None:
    await house.user("bob", ("administrator", "**"), password="the local one's")

    assert (await pulled_by(house, "bob", PASSWORD)).status == 401
    assert (await pulled_by(house, "bob", "the local one's")).refusal == (404, "NAME_UNKNOWN")


async def test_a_disabled_user_stays_out_whatever_the_directory_says(house: Household) -> None:
    assert (await pulled_by(house, "alice")).status == 404
    await house.call("PATCH", "/users/alice", {"disabled": True})

    assert (await pulled_by(house, "alice")).status == 401


async def test_leaving_a_group_is_seen_at_the_next_sign_in(
    house: Household, guarded: Guarded, settings: dict[str, Any], clock: Clock
) -> None:
    assert (await pulled_by(house, "alice")).status == 404
    later = await guarded.start(ldap={**settings, "group_filter": "(&(member={dn})(cn=none))"})

    assert (await SignedIn(later, basic("alice", PASSWORD)).get(PATH)).status == 403
    clock.pass_by(LONGER_THAN_A_RIGHT_COUNTS)
    assert (await house.call("GET", "/users/alice"))["groups"] == []


async def test_the_tokens_of_somebody_who_left_end_within_minutes(
    house: Household, guarded: Guarded, settings: dict[str, Any], clock: Clock
) -> None:
    assert (await pulled_by(house, "alice")).status == 404
    secret = (await house.personal_token("alice")).text
    later = await guarded.start(ldap={**settings, "user_filter": "(&(uid={name})(cn=none))"})
    by_token = SignedIn(later, basic("alice", secret))
    assert (await by_token.get(PATH)).status == 404, "the directory's word is not old yet"

    clock.pass_by(LONGER_THAN_A_CHECK_COUNTS)

    assert (await by_token.get(PATH)).refusal == (401, "UNAUTHORIZED")


@pytest.mark.usefixtures("failures_are_logged")
async def test_a_directory_that_does_not_answer_is_no_wrong_password(
    house: Household, guarded: Guarded, settings: dict[str, Any]
) -> None:
    alone = await guarded.start(ldap={**settings, "url": "ldap://127.0.0.1:1"})

    answer = await SignedIn(alone, basic("alice", PASSWORD)).get(PATH)

    assert answer.refusal == (503, "UNAVAILABLE")
    assert answer.headers["Retry-After"]
    assert (await ask(house.admin, "GET", "/account")).status == 200, "local tokens need no directory"
