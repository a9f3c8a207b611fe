"""The short way of a token that was found good before leads no further than the long one."""

import pytest

from tests.http.accounts.clock import Clock
from tests.http.accounts.conftest import Guarded
from tests.http.accounts.household import Household
from tests.http.accounts.signing import basic, bearer, token
from tests.http.content import push_image

MANIFEST = "/v2/acme/app/manifests/latest"
PULL = "repository:acme/app:pull"
BEHIND_PROXY = {"trusted_proxies": ["127.0.0.0/8"]}


@pytest.fixture
async def house(guarded: Guarded, clock: Clock) -> Household:
    """A registry that believes what is said of a client's address, with an image in it."""
    house = await Household.of(await guarded.start(server=BEHIND_PROXY))
    await push_image(house.admin, "latest", "acme/app")
    return house


async def remembered(house: Household, **limits: object) -> dict[str, str]:
    """The header fields of a robot that has pulled twice from 192.0.2.7 with the same token."""
    secret = await house.robot("ci", ("writer", "acme/*"), **limits)
    here = {"X-Forwarded-For": "192.0.2.7"}
    fields = {**here, **bearer(await token(house.client, PULL, fields={**here, **basic("ci", secret)}))}
    for _ in range(2):
        assert (await house.client.get(MANIFEST, fields)).status == 200
    return fields


async def test_from_another_address(house: Household) -> None:
    fields = await remembered(house, addresses=["192.0.2.0/24"])

    elsewhere = await house.client.get(MANIFEST, {**fields, "X-Forwarded-For": "198.51.100.7"})

    assert elsewhere.status == 401
    assert "address" in elsewhere.errors[0]["message"]
    assert (await house.client.get(MANIFEST, fields)).status == 200


async def test_for_another_right_or_repository(house: Household) -> None:
    fields = await remembered(house)

    for method, path in [
        ("PUT", MANIFEST),
        ("DELETE", MANIFEST),
        ("POST", "/v2/acme/app/blobs/uploads/"),
        ("GET", "/v2/acme/other/manifests/latest"),
    ]:
        answer = await house.client.request(method, path, headers=fields)
        assert answer.status == 401, (method, path)
        assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]


async def test_after_its_time(house: Household, clock: Clock) -> None:
    fields = await remembered(house)

    clock.pass_by(300 + 60)  # its life, and the leeway that is left to clocks

    answer = await house.client.get(MANIFEST, fields)
    assert answer.status == 401
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
