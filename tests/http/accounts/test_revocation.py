"""What was taken away is refused: by another process within the time that is told, a second, and by the one
that took it at once. Two registries on one index; nobody waits, since the clocks are set forward."""

from collections.abc import Awaitable, Callable

import pytest

from tests.http.accounts.clock import Clock
from tests.http.accounts.conftest import Guarded
from tests.http.accounts.household import PASSWORD, Household
from tests.http.accounts.signing import SignedIn, ask_token, basic, bearer, post_token, token
from tests.http.answers import Answer
from tests.http.client import Client
from tests.http.content import push_image
from tests.support.issuer import Issuer

READ_EVERY = 1.0
"""Seconds after which each process has heard of a change (registry.services.access_cache)."""

MANIFEST = "/v2/acme/app/manifests/latest"
PULL = "repository:acme/app:pull"


class Two:
    """Two registries: changes are made at `house`, and `other` has to hear of them."""

    def __init__(self, house: Household, other: Client, clock: Clock) -> None:
        self.house = house
        self.other = other
        self.clock = clock

    async def is_cut_off(self, take: Callable[[], Awaitable[object]], *ways: dict[str, str]) -> list[Answer]:
        """Each way leads in at both, until `take`; then the answers of `other`, which have to be refusals."""
        for fields in ways:
            for client in (self.other, self.house.client):
                for _ in range(2):  # the second time it is remembered
                    assert (await client.get(MANIFEST, fields)).status == 200
        await take()
        for fields in ways:
            assert (await self.house.client.get(MANIFEST, fields)).status in (401, 403), "at once, here"
        self.clock.pass_by(READ_EVERY)
        answers = [await self.other.get(MANIFEST, fields) for fields in ways]
        for answer in answers:
            assert answer.status in (401, 403), "a second later everywhere"
        return answers

    async def ways_of(self, name: str, secret: str) -> list[dict[str, str]]:
        """Basic and Bearer, with a token for what all these tests pull."""
        fields = basic(name, secret)
        return [fields, bearer(await token(self.house.client, PULL, fields=fields))]


@pytest.fixture
async def two(guarded: Guarded, clock: Clock) -> Two:
    house = await Household.of(await guarded.start())
    await push_image(house.admin, "latest", "acme/app")
    return Two(house, await guarded.start(), clock)


async def test_a_grant_is_taken_back(two: Two) -> None:
    house = two.house
    await house.user("alice")
    grant = await house.grant("user:alice", "reader", "acme/*")

    basically, by_token = await two.is_cut_off(
        lambda: house.call("DELETE", f"/grants/{grant}", status=204), *await two.ways_of("alice", PASSWORD)
    )

    assert basically.refusal == (403, "DENIED")
    assert 'error="insufficient_scope"' in by_token.headers["WWW-Authenticate"]


async def test_a_group_is_left(two: Two) -> None:
    house = two.house
    await house.user("alice")
    await house.group("dev", "user:alice")
    await house.grant("group:dev", "writer", "acme/**")

    await two.is_cut_off(
        lambda: house.call("DELETE", "/groups/dev/members/user:alice", status=204),
        *await two.ways_of("alice", PASSWORD),
    )


async def test_a_group_is_disabled(two: Two) -> None:
    house = two.house
    await house.user("alice")
    await house.group("dev", "user:alice")
    await house.grant("group:dev", "writer", "acme/**")

    await two.is_cut_off(
        lambda: house.call("PATCH", "/groups/dev", {"disabled": True}),
        *await two.ways_of("alice", PASSWORD),
    )


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_a_user_is_disabled_or_removed(two: Two, method: str) -> None:
    house = two.house
    await house.user("alice", ("reader", "acme/*"))
    personal = await house.personal_token("alice")
    document = {"disabled": True} if method == "PATCH" else None

    answers = await two.is_cut_off(
        lambda: house.call(method, "/users/alice", document, status=200 if document else 204),
        *await two.ways_of("alice", PASSWORD),
        *await two.ways_of("alice", personal.text),
    )

    assert [answer.status for answer in answers] == [401, 401, 401, 401]
    assert answers[0].errors[0]["message"] == "the user name or the password is wrong", "it tells no more"


async def test_a_user_who_comes_again_under_an_old_name_is_another_one(two: Two) -> None:
    house = two.house
    await house.user("alice", ("reader", "acme/*"))
    _, fields = await two.ways_of("alice", PASSWORD)
    await house.call("DELETE", "/users/alice", status=204)
    await house.user("alice", ("reader", "acme/*"))
    two.clock.pass_by(READ_EVERY)

    assert (await two.other.get(MANIFEST, fields)).status == 401
    assert (await two.other.get(MANIFEST, basic("alice", PASSWORD))).status == 200


async def test_a_token_is_revoked(two: Two) -> None:
    house = two.house
    await house.user("alice", ("reader", "acme/*"))
    personal = await house.personal_token("alice")

    await two.is_cut_off(
        lambda: house.call("DELETE", f"/users/alice/tokens/{personal.id}", status=204),
        *await two.ways_of("alice", personal.text),
    )

    assert (await two.other.get(MANIFEST, basic("alice", PASSWORD))).status == 200, "only that one is gone"


async def test_a_token_expires(two: Two) -> None:
    """It is not a change that anybody could hear of; it is remembered for 60 seconds at most."""
    house = two.house
    await house.user("alice", ("reader", "acme/*"))
    personal = await house.personal_token("alice", expires="1h")
    ways = await two.ways_of("alice", personal.text)
    two.clock.pass_by(3590)
    assert (await two.other.get(MANIFEST, ways[0])).status == 200

    two.clock.pass_by(71)

    for fields in ways:
        assert (await two.other.get(MANIFEST, fields)).status == 401


async def test_a_robot_gets_a_new_secret(two: Two) -> None:
    house = two.house
    secret = await house.robot("ci", ("reader", "acme/*"))

    await two.is_cut_off(
        lambda: house.call("POST", "/robots/ci/secret", {}, status=201), *await two.ways_of("ci", secret)
    )


async def test_a_robot_keeps_the_old_secret_for_a_while(two: Two) -> None:
    house = two.house
    secret = await house.robot("ci", ("reader", "acme/*"))
    new = (await house.call("POST", "/robots/ci/secret", {"keep_old": "1h"}, status=201))["secret"]
    two.clock.pass_by(READ_EVERY)

    for one in (secret, new):
        assert (await two.other.get(MANIFEST, basic("ci", one))).status == 200
    two.clock.pass_by(3661)

    assert (await two.other.get(MANIFEST, basic("ci", secret))).status == 401
    assert (await two.other.get(MANIFEST, basic("ci", new))).status == 200


async def test_a_public_repository_becomes_private(two: Two) -> None:
    house = two.house
    await house.configure("acme/app", public=True)
    two.clock.pass_by(READ_EVERY)
    by_token = bearer(await token(house.client, PULL))

    await two.is_cut_off(lambda: house.configure("acme/app", public=False), by_token, basic("", ""))


async def test_a_repository_is_deleted_and_made_anew(two: Two) -> None:
    """A token is for the repository of its time, and not for another one that took its name."""
    house = two.house
    await house.user("alice", ("reader", "acme/*"))
    by_password, by_token = await two.ways_of("alice", PASSWORD)
    assert (await two.other.get(MANIFEST, by_token)).status == 200
    await house.call("DELETE", "/repositories/acme/app", status=204)
    await push_image(house.admin, "latest", "acme/app")
    two.clock.pass_by(READ_EVERY)

    answer = await two.other.get(MANIFEST, by_token)

    assert answer.status == 401
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"], "and the client asks for a new one"
    assert (await two.other.get(MANIFEST, by_password)).status == 200
    assert (await two.other.get(MANIFEST, (await two.ways_of("alice", PASSWORD))[1])).status == 200


async def test_a_key_is_rotated_at_once(two: Two) -> None:
    house = two.house
    await house.user("alice", ("reader", "acme/*"))
    _, by_token = await two.ways_of("alice", PASSWORD)

    (answer,) = await two.is_cut_off(
        lambda: house.call("POST", "/keys/rotate", {"at_once": True}, status=201), by_token
    )

    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    for client in (house.client, two.other):
        fresh = bearer(await token(client, PULL, fields=basic("alice", PASSWORD)))
        for reader in (house.client, two.other):
            assert (await reader.get(MANIFEST, fresh)).status == 200


async def test_a_new_key_counts_everywhere_from_the_first_moment(two: Two) -> None:
    house = two.house
    await house.user("alice", ("reader", "acme/*"))

    for _ in range(3):  # the other one has just looked which keys there are, and looks again
        await house.call("POST", "/keys/rotate", {"at_once": True}, status=201)
        fresh = bearer(await token(house.client, PULL, fields=basic("alice", PASSWORD)))
        assert (await two.other.get(MANIFEST, fresh)).status == 200


async def test_a_key_is_rotated_while_everybody_works(two: Two) -> None:
    house = two.house
    await house.user("alice", ("reader", "acme/*"))
    _, old = await two.ways_of("alice", PASSWORD)
    await house.call("POST", "/keys/rotate", {}, status=201)

    for seconds in (0.0, READ_EVERY, 65.0, 120.0):
        two.clock.pass_by(seconds)
        for client in (house.client, two.other):
            fresh = bearer(await token(client, PULL, fields=basic("alice", PASSWORD)))
            for reader in (house.client, two.other):
                assert (await reader.get(MANIFEST, fresh)).status == 200
                assert (await reader.get(MANIFEST, old)).status == 200, "its own time is not over"


async def test_a_password_is_changed(two: Two) -> None:
    house = two.house
    await house.user("alice", ("reader", "acme/*"))
    personal = await house.personal_token("alice")
    by_password = basic("alice", PASSWORD)
    kept = (await ask_token(house.client, fields=by_password, offline_token="true")).json["refresh_token"]
    derived = (
        await ask_token(house.client, fields=basic("alice", personal.text), offline_token="true")
    ).json["refresh_token"]
    again = await post_token(two.other, grant_type="refresh_token", refresh_token=kept, scope=PULL)
    by_refresh_token = bearer(again.json["access_token"])

    await two.is_cut_off(
        lambda: house.call("PUT", "/users/alice/password", {"password": "quite another one"}, status=204),
        by_password,
        by_refresh_token,
    )

    gone = await post_token(two.other, grant_type="refresh_token", refresh_token=kept)
    assert gone.status == 401, "what was got with the old password"
    stays = await post_token(two.other, grant_type="refresh_token", refresh_token=derived)
    assert stays.status == 200, "what was got with a token that is still good"
    assert (await two.other.get(MANIFEST, basic("alice", "quite another one"))).status == 200


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_a_trust_rule_is_disabled_or_removed(two: Two, gitlab: Issuer, method: str) -> None:
    house = two.house
    await house.trust("gitlab", gitlab.url, "reader", "acme/*", project_path="acme/app")
    job = gitlab.token(project_path="acme/app")
    document = {"disabled": True} if method == "PATCH" else None

    answers = await two.is_cut_off(
        lambda: house.call(method, "/trust-rules/gitlab", document, status=200 if document else 204),
        *await two.ways_of("job", job),
    )

    assert [answer.status for answer in answers] == [401, 401]


async def test_a_right_that_is_given_counts_at_once_everywhere(two: Two) -> None:
    """Who is refused is refused by what is true now."""
    house = two.house
    await house.user("alice")
    alice = SignedIn(two.other, basic("alice", PASSWORD))
    assert (await alice.get(MANIFEST)).status == 403

    await house.grant("user:alice", "reader", "acme/app")

    assert (await alice.get(MANIFEST)).status == 200
