"""Many uploads at once through two drivers, with little memory, while requests fail, clients leave,
tasks are cancelled and answers are lost: what was acknowledged is there, and all memory comes back."""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Sequence

import pytest

from storage_drivers import Interrupted, Unavailable, Upload
from storage_drivers.s3 import S3Driver
from tests.contract.sources import DIGEST, MEBIBYTE, get, locations, through_json
from tests.support.forwarding import in_a_thread
from tests.support.s3_faults import Fault, FaultyProxy
from tests.support.s3_server import S3Server

UPLOADS = int(os.environ.get("ENTREPOT_TEST_S3_UPLOADS", "16"))
PART = 5 * MEBIBYTE


class Storm:
    """`chance` decides what goes wrong."""

    def __init__(self, drivers: Sequence[S3Driver], chance: random.Random) -> None:
        self._drivers = drivers
        self._chance = chance

    @property
    def driver(self) -> S3Driver:
        return self._chance.choice(self._drivers)

    async def push(self) -> str:
        content = self._chance.randbytes(self._chance.choice([100, 300_000, 3 * MEBIBYTE, 11 * MEBIBYTE]))
        upload = await self.driver.begin()
        while upload.offset < len(content):
            upload = await self._append(upload, content)
        while True:
            try:
                location = await self.driver.commit(upload, DIGEST)
                break
            except Unavailable:
                continue
        assert await get(self.driver, location) == content
        return location

    async def _append(self, upload: Upload, content: bytes) -> Upload:
        """A request that sends some more. The upload as the index would have it afterwards."""
        length = self._chance.choice([1000, 500_000, 4 * MEBIBYTE, len(content)])
        rest = content[upload.offset : upload.offset + length]
        leaving = self._chance.random() < 0.2

        async def runs() -> AsyncIterator[Sequence[bytes]]:
            for start in range(0, len(rest), 200_000):
                yield [rest[start : start + 100_000], rest[start + 100_000 : start + 200_000]]
                if leaving and self._chance.random() < 0.2:
                    raise ConnectionResetError

        task = asyncio.create_task(self.driver.append(upload, runs()))
        if self._chance.random() < 0.2:
            asyncio.get_running_loop().call_later(self._chance.random() / 4, task.cancel)
        try:
            after = await task
        except Interrupted as error:
            after = error.upload
        except (Unavailable, asyncio.CancelledError):
            return upload
        lost = self._chance.random() < 0.1
        return upload if lost else through_json(after)


async def faults(proxy: FaultyProxy, chance: random.Random) -> None:
    """Some requests fail, a few times in a row, until cancelled."""
    while True:
        method = chance.choice(["PUT", "POST", "GET", "DELETE"])
        kind = chance.choice(["slow_down", "reset", "lost_answer"])
        proxy.faults = [Fault(method, "", kind, times=chance.randint(1, 6))]
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("seed", [1])
async def test_a_storm(s3_server: S3Server, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage_drivers.s3_appending.PATIENCE", 0.05)
    chance = random.Random(seed)
    with in_a_thread(FaultyProxy(s3_server.address)) as proxy:
        settings = s3_server.settings(s3_server.create_bucket(), proxy.url)
        changes = {"part_bytes": PART, "memory_bytes": 4 * PART}
        drivers = [S3Driver.from_settings({**settings, **changes}) for _ in range(2)]
        storm = Storm(drivers, chance)
        breaking = asyncio.create_task(faults(proxy, chance))
        stored = await asyncio.gather(*(storm.push() for _ in range(UPLOADS)))
        breaking.cancel()
        await asyncio.wait((breaking,))
        proxy.faults = []

        assert await locations(drivers[0]) == set(stored)
        for driver in drivers:
            assert driver.budget.used == 0
            assert driver.budget.peak <= driver.budget.size
            await driver.aclose()
