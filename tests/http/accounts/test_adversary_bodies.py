"""What is held for those who did not sign in is little."""

import json

import pytest

from registry.api.management import LARGEST_OF_NOBODY
from tests.http.accounts.household import Household
from tests.http.accounts.signing import basic


@pytest.mark.parametrize("fields", [{}, basic("", "")])
async def test_nobody_sends_a_large_body_to_the_management_api(
    house: Household, fields: dict[str, str]
) -> None:
    large = json.dumps({"text": LARGEST_OF_NOBODY * "#"}).encode()

    answer = await house.client.request("POST", "/api/v1/import/htpasswd", large, fields)

    assert answer.refusal == (401, "UNAUTHORIZED")
    assert 'scope="registry:api:*"' in answer.headers["WWW-Authenticate"]
    assert (await house.admin.request("POST", "/api/v1/import/htpasswd", large)).status == 200


async def test_nobody_is_refused_before_the_body_has_come(house: Household) -> None:
    """The length alone is enough: nothing is waited for."""
    announced = {"Content-Length": str(1024 * 1024), "Expect": "100-continue"}

    answer = await house.client.request("POST", "/api/v1/users", None, announced)

    assert answer.refusal == (401, "UNAUTHORIZED")
