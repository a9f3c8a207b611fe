"""A backup that can't be read now keeps the scrub from nothing else."""

import errno
from collections.abc import Iterable
from typing import Any

import pytest

from auth.actor import Actor
from registry.gc import scrub_copies
from registry.gc.backups import Backups
from registry.oci.errors import Unavailable as RegistryUnavailable
from registry.services.audit import Audit
from storage_drivers import Unavailable
from tests.unit.gc.scrub.store import Store


@pytest.fixture
async def backup(store: Store) -> str:
    """Its location, in a storage with blobs."""
    await store.fill(2)
    backups = Backups(store.index, store.driver, Audit(store.index, 1000.0), "1.0")
    row, _ = await backups.to_storage(Actor("operator:me"), None, lambda _rows: None)
    return row.location


def break_reading(monkeypatch: pytest.MonkeyPatch, locations: Iterable[str], error: Exception) -> None:
    fetch = scrub_copies.fetch

    async def broken(driver: Any, location: str, *arguments: Any) -> None:
        if location in locations:
            raise error
        await fetch(driver, location, *arguments)

    monkeypatch.setattr(scrub_copies, "fetch", broken)


@pytest.mark.parametrize(
    "error",
    [Unavailable("it was moved to an archive"), OSError(errno.ENOSPC, "no room for so large a file")],
    ids=["archived", "no room"],
)
async def test_it_is_told_and_the_scrub_goes_on(
    store: Store, backup: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_reading(monkeypatch, [backup], error)
    report = await store.run()

    assert store.kinds() == {backup: "unavailable"}
    assert (report["all_right"], report["unavailable"], report["wrong_copies"]) == (False, 1, 0)
    assert report["objects"] == 3, "the stages behind it"
    assert await store.copies("backup") == [backup]


async def test_a_storage_that_is_away_is_not_gone_through(
    store: Store, backup: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_arguments: Any) -> bool:
        return False

    monkeypatch.setattr(scrub_copies, "others_can_be_read", nothing)
    break_reading(monkeypatch, [backup], Unavailable("not now"))
    with pytest.raises(RegistryUnavailable):
        await store.run()
