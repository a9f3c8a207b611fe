"""A mount reads one repository and writes another: its challenge names both, first what is written."""

import pytest

from tests.http.accounts.household import Household
from tests.http.accounts.signing import challenge_of
from tests.http.content import MISSING

UPLOADS = "/v2/acme/app/blobs/uploads/"


@pytest.mark.parametrize(
    ("query", "also"),
    [
        (f"mount={MISSING}&from=acme/base", " repository:acme/base:pull"),
        (f"mount={MISSING}&from=acme%2Fbase", " repository:acme/base:pull"),
        (f"mount={MISSING}&from=acme/app", ""),
        (f"mount={MISSING}", ""),
        ("from=acme/base", ""),
        (f"mount={MISSING}&from=", ""),
        (f"mount={MISSING}&from=NO/name", ""),
        (f"mount={MISSING}&from=a%22,error=%22x", ""),
        (f"mount={MISSING}&from=a%0D%0AX-Header:%20b", ""),
    ],
)
async def test_the_challenge_of_a_mount(house: Household, query: str, also: str) -> None:
    answer = await house.client.post(f"{UPLOADS}?{query}")
    _, parameters = challenge_of(answer)
    assert parameters["scope"] == f"repository:acme/app:pull,push{also}"
    assert "X-Header" not in answer.headers


async def test_other_methods_read_nothing_else(house: Household) -> None:
    answer = await house.client.get(f"/v2/acme/app/tags/list?mount={MISSING}&from=acme/base")
    _, parameters = challenge_of(answer)
    assert parameters["scope"] == "repository:acme/app:pull"
