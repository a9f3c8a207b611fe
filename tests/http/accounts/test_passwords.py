"""What becomes of tokens when a password is changed, and of keys that were dropped."""

from tests.http.accounts.clock import Clock
from tests.http.accounts.conftest import Guarded
from tests.http.accounts.household import Household
from tests.http.accounts.signing import basic, signed_in
from tests.http.accounts.test_directory import LONGER_THAN_A_RIGHT_COUNTS

SCOPE = "repository:acme/app:pull"
PATH = "/v2/acme/app/tags/list"


async def test_a_registry_token_got_with_a_former_password_ends_with_it(
    house: Household, clock: Clock
) -> None:
    password = await house.user("alice", ("reader", "acme/**"))
    secret = (await house.personal_token("alice")).text
    by_password = await signed_in(house.client, "alice", password, SCOPE)
    by_secret = await signed_in(house.client, "alice", secret, SCOPE)
    clock.pass_by(2)  # times in tokens are whole seconds

    await house.call("PUT", "/users/alice/password", {"password": "quite another one"}, status=204)
    clock.pass_by(LONGER_THAN_A_RIGHT_COUNTS)

    assert (await by_password.get(PATH)).refusal == (401, "UNAUTHORIZED")
    assert (await by_secret.get(PATH)).status == 404, "personal tokens stay"
    again = await signed_in(house.client, "alice", "quite another one", SCOPE)
    assert (await again.get(PATH)).status == 404
    assert (await house.client.get(PATH, basic("alice", password))).status == 401


async def test_a_key_that_was_dropped_elsewhere_signs_nothing_here(
    house: Household, guarded: Guarded, clock: Clock
) -> None:
    other = await guarded.start()
    await signed_in(other, "admin", house.admin_secret, SCOPE)
    await house.call("POST", "/keys/rotate", {"at_once": True}, status=201)
    clock.pass_by(2)

    by_new_key = await signed_in(other, "admin", house.admin_secret, SCOPE)

    assert (await by_new_key.get(PATH)).status == 404
