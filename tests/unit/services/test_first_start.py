"""Several processes start for the first time at once: one of them makes the administrator and the key."""

import asyncio

import pytest

from auth.principals import Kind, Principal
from registry.index import Index, audit, open_index, principals, signing_keys
from registry.services.accounts import first_start
from registry.services.accounts.first_start import ensure_administrator
from registry.services.audit import Audit
from registry.services.signing_keys import SigningKeys

PROCESSES = 8


@pytest.fixture
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_start, "hash_password", lambda password: f"hash of {password}")


@pytest.mark.usefixtures("cheap_passwords")
async def test_all_begin_at_once(index: Index, index_url: str) -> None:
    others = [open_index(index_url, pool_size=1) for _ in range(PROCESSES)]
    try:
        for other in others:  # connected, and so at once
            await other.read(signing_keys.all_keys)
        shown = await asyncio.gather(*(ensure_administrator(one, Audit(one, 3600), None) for one in others))
        keys = [SigningKeys(one, Audit(one, 3600), algorithm="ES256", token_seconds=300) for one in others]
        signing = await asyncio.gather(*(one.signing() for one in keys))
    finally:
        for other in others:
            await asyncio.to_thread(other.close)

    (password,) = [one for one in shown if one is not None]
    assert len(password) > 10
    assert await index.read(lambda c: principals.find(c, Principal(Kind.USER, "admin"))) is not None
    entries = await index.read(lambda c: audit.page(c, limit=100))
    assert [entry.action for entry in entries] == ["user.create"]
    assert len(await index.read(signing_keys.all_keys)) == 1
    assert len({key.kid for key in signing}) == 1
