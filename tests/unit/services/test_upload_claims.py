"""One writer at a time for a session: who holds it keeps it, who dies loses it, who is late is told."""

import asyncio
import time
from functools import partial
from unittest.mock import patch

import pytest

from registry.index import Index, uploads
from registry.index.uploads import UploadRow
from registry.oci.errors import Unavailable, UploadUnknown, WrongOffset
from registry.services.upload_claims import UploadClaims

LEASE = 0.6
UPLOAD = "01234567-89ab-cdef-0123-456789abcdef"


async def open_session(index: Index) -> None:
    await index.write(
        partial(
            uploads.create,
            upload_id=UPLOAD,
            repository="a",
            algorithm="sha256",
            state={"token": "t"},
            now=time.time(),
            expires_at=time.time() + 1000,
        )
    )


async def advance(index: Index, row: UploadRow, offset: int) -> bool:
    """End a claim as whoever holds it does."""
    return await index.write(
        partial(
            uploads.advance,
            upload_id=row.id,
            claimant=str(row.claim),
            offset=offset,
            state=row.state,
            prefix_digest=None,
            expires_at=time.time() + 1000,
        )
    )


async def stored(index: Index) -> UploadRow:
    row = await index.read(partial(uploads.find, repository="a", upload_id=UPLOAD))
    assert row is not None
    return row


async def test_a_claim_is_held_and_given_back(index: Index) -> None:
    await open_session(index)
    claims = UploadClaims(index, LEASE)
    for offset in (5, 7):
        async with claims.claimed("a", UPLOAD) as (row, _):
            assert row.claim is not None
            assert (await stored(index)).claim == row.claim
            assert await advance(index, row, offset)

        assert (await stored(index)).claim is None
        assert (await stored(index)).offset == offset


async def test_a_session_that_is_not_there(index: Index) -> None:
    await open_session(index)
    claims = UploadClaims(index, LEASE)

    for repository, upload in (("b", UPLOAD), ("a", UPLOAD.replace("0", "f"))):
        with pytest.raises(UploadUnknown):
            async with claims.claimed(repository, upload):
                raise AssertionError("nothing is there to be held")
    assert (await stored(index)).claim is None


async def test_the_second_of_one_process_is_told_at_once(index: Index) -> None:
    await open_session(index)
    claims = UploadClaims(index, 100)
    async with claims.claimed("a", UPLOAD) as (row, _):
        began = time.monotonic()
        with pytest.raises(WrongOffset) as refusal:
            async with claims.claimed("a", UPLOAD):
                raise AssertionError("it is held")
        assert time.monotonic() - began < 5
        assert refusal.value.offset == 0
        assert (await stored(index)).claim == row.claim


async def test_the_second_of_another_process_is_told_when_the_first_shows_life(index: Index) -> None:
    await open_session(index)
    async with UploadClaims(index, LEASE).claimed("a", UPLOAD) as (row, _):
        with pytest.raises(WrongOffset):
            async with UploadClaims(index, LEASE).claimed("a", UPLOAD):
                raise AssertionError("it is held")
        assert (await stored(index)).claim == row.claim


async def test_a_claim_is_renewed_as_long_as_it_is_held(index: Index) -> None:
    await open_session(index)
    async with UploadClaims(index, LEASE).claimed("a", UPLOAD) as (row, _):
        for _ in range(3):
            await asyncio.sleep(LEASE)
            now = await stored(index)
            assert now.claim == row.claim
            assert now.claim_until > time.time()
        assert await advance(index, row, 1)


async def test_the_claim_of_a_dead_process_is_taken_over_when_its_time_is_over(index: Index) -> None:
    await open_session(index)
    died_at = time.time()
    await index.write(
        partial(
            uploads.claim,
            repository="a",
            upload_id=UPLOAD,
            claimant="dead",
            now=died_at,
            until=died_at + LEASE,
        )
    )

    async with UploadClaims(index, LEASE).claimed("a", UPLOAD) as (row, taken_over):
        assert time.time() >= died_at + LEASE
        assert taken_over
        assert await advance(index, row, 3)
    async with UploadClaims(index, LEASE).claimed("a", UPLOAD) as (_, taken_over):
        assert not taken_over


async def test_whoever_loses_a_claim_is_stopped(index: Index) -> None:
    """A paused process, or one that could not reach the index, must not write on."""
    await open_session(index)

    async def hold() -> None:
        async with UploadClaims(index, LEASE).claimed("a", UPLOAD):
            await asyncio.sleep(100 * LEASE)

    holding = asyncio.create_task(hold())
    await asyncio.sleep(LEASE / 2)
    later = time.time() + 1000
    thief = partial(uploads.claim, repository="a", upload_id=UPLOAD, claimant="thief")
    row, taken_over = await index.write(partial(thief, now=later, until=later))
    assert row is not None
    assert (row.claim, taken_over) == ("thief", True)
    with pytest.raises(asyncio.CancelledError):
        await holding
    assert (await stored(index)).claim == "thief"


async def test_whoever_wakes_up_too_late_changes_nothing(index: Index) -> None:
    await open_session(index)
    now = time.time()
    claim = partial(uploads.claim, repository="a", upload_id=UPLOAD)
    paused, _ = await index.write(partial(claim, claimant="paused", now=now, until=now - 1))
    assert paused is not None
    async with UploadClaims(index, LEASE).claimed("a", UPLOAD) as (row, _):
        assert row.claim != "paused"
        renew = partial(uploads.renew_claim, upload_id=UPLOAD, claimant="paused", until=now + 1000)
        assert not await index.write(renew)
        assert not await advance(index, paused, 99)
        finish = partial(
            uploads.finish, upload_id=UPLOAD, claimant="paused", digest="sha256:0", expires_at=now
        )
        assert not await index.write(finish)
        assert await advance(index, row, 3)

    assert (await stored(index)).offset == 3


async def test_a_finished_session_is_shown_and_not_held(index: Index) -> None:
    await open_session(index)
    claims = UploadClaims(index, LEASE)
    async with claims.claimed("a", UPLOAD) as (row, _):
        finish = partial(uploads.finish, upload_id=UPLOAD, claimant=str(row.claim), digest="sha256:0")
        assert await index.write(partial(finish, expires_at=time.time() + 1000))

    async with claims.claimed("a", UPLOAD) as (first, _), claims.claimed("a", UPLOAD) as (second, _):
        assert first.finished == second.finished == "sha256:0"
        assert (await stored(index)).claim is None


async def test_a_failure_ends_the_renewal(index: Index) -> None:
    """Whatever goes wrong in the block: nobody keeps a session that nobody writes."""
    await open_session(index)
    claims = UploadClaims(index, LEASE)
    with pytest.raises(LookupError):
        async with claims.claimed("a", UPLOAD):
            raise LookupError("the client left")

    async with asyncio.timeout(20 * LEASE), UploadClaims(index, LEASE).claimed("a", UPLOAD) as (row, _):
        assert row.claim is not None


async def test_an_index_that_fails_for_a_moment_does_not_cost_the_claim(
    index: Index, caplog: pytest.LogCaptureFixture
) -> None:
    await open_session(index)
    write = index.write
    failures = iter([True])

    async def sometimes(change: object, *, durable: bool = True) -> object:
        if next(failures, False):
            raise Unavailable("the index can't be used now")
        return await write(change, durable=durable)  # type: ignore[arg-type]

    async with UploadClaims(index, LEASE).claimed("a", UPLOAD) as (row, _):
        with patch.object(index, "write", sometimes):
            await asyncio.sleep(1.5 * LEASE)
        assert (await stored(index)).claim_until > time.time()
        assert await advance(index, row, 1)
    assert "could not renew the claim" in caplog.text


async def test_of_many_claimants_one_holds(index: Index) -> None:
    await open_session(index)
    holding = 0
    most = 0

    async def one() -> str:
        nonlocal holding, most
        try:
            async with UploadClaims(index, LEASE).claimed("a", UPLOAD) as (row, _):
                holding += 1
                most = max(most, holding)
                await asyncio.sleep(LEASE)
                holding -= 1
                assert await advance(index, row, 1)
        except WrongOffset:
            return "told to wait"
        return "held"

    outcomes = await asyncio.gather(*(one() for _ in range(8)))

    assert most == 1
    assert outcomes.count("held") == 1
