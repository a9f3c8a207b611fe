"""Fixtures: registries with accounts, and the first administrator of their index."""

from collections.abc import Iterator
from typing import Any

import argon2
import pytest

from auth import passwords
from tests.http.accounts.clock import Clock
from tests.http.accounts.household import Household, first_administrator
from tests.http.client import Client
from tests.http.serving import Registries
from tests.support.issuer import Issuer, issuer


@pytest.fixture(autouse=True)
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes that cost little: here it matters who is asked for a password, not what a guess costs."""
    monkeypatch.setattr(
        passwords, "_HASHER", argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    )


class Guarded:
    """Starts registries with accounts on one index and one folder."""

    def __init__(self, registries: Registries) -> None:
        self._registries = registries

    async def start(self, **changes: dict[str, Any]) -> Client:
        """A client of one more of them."""
        auth = {"mode": "accounts", **changes.pop("auth", {})}
        return await self._registries.start(auth=auth, **changes)


@pytest.fixture
async def guarded(registries: Registries, index_url: str) -> Guarded:
    """Registries on an index whose first administrator has been made."""
    await first_administrator(index_url)
    return Guarded(registries)


@pytest.fixture
async def house(guarded: Guarded) -> Household:
    """One registry with accounts, and default settings."""
    return await Household.of(await guarded.start())


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clocks of everything that remembers rights."""
    return Clock(monkeypatch)


@pytest.fixture(scope="module")
def gitlab() -> Iterator[Issuer]:
    """An OIDC issuer."""
    with issuer("ES256") as running:
        yield running
