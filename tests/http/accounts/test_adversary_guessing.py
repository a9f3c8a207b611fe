"""Guessing many names at once, or from many addresses of one subscriber, is as slow as one by one."""

import asyncio
from collections import Counter

import pytest

from auth.throttle import ADDRESS, source
from registry.services.sign_in import TRIES_AT_ONCE
from tests.http.accounts.clock import Clock
from tests.http.accounts.conftest import Guarded
from tests.http.accounts.household import Household
from tests.http.accounts.signing import basic

BEHIND = {"trusted_proxies": ["127.0.0.0/8"]}


async def test_many_names_at_once_from_one_address(house: Household, clock: Clock) -> None:
    answers = await asyncio.gather(
        *(house.client.get("/v2/", basic(f"guess{number}", "wrong")) for number in range(3 * ADDRESS.free))
    )

    counts = Counter(answer.status for answer in answers)
    assert set(counts) == {401, 429}
    assert ADDRESS.free < counts[401] <= ADDRESS.free + TRIES_AT_ONCE


async def test_many_addresses_of_one_subscriber(guarded: Guarded, clock: Clock) -> None:
    client = await guarded.start(server=BEHIND)

    async def fail(number: int, address: str) -> int:
        fields = {**basic(f"guess{number}", "wrong"), "X-Forwarded-For": address}
        return (await client.get("/v2/", fields)).status

    for number in range(ADDRESS.free + 1):
        assert await fail(number, f"2001:db8:0:1::{number:x}") == 401

    assert await fail(100, "2001:db8:0:1:ffff::1") == 429
    assert await fail(101, "2001:db8:0:2::1") == 401


@pytest.mark.parametrize(
    ("address", "counted_for"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::1", "::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_what_an_address_is_counted_for(address: str, counted_for: str) -> None:
    assert source(address) == counted_for
