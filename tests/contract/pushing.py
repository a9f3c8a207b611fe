"""A process that uses the filesystem driver and says, line by line, what was acknowledged.

Started as `python pushing.py ROOT`, to be killed at a failpoint or traced. Each line is a JSON list: what
was done, and what the index would note of it.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence

from storage_drivers import Upload
from storage_drivers.filesystem import FilesystemDriver

DIGEST = "sha256:" + "5e" * 32
OLD, FIRST, SECOND = b"old" * 1000, b"1" * 700_000, b"2" * 3000


async def _one_run(content: bytes) -> AsyncIterator[Sequence[bytes]]:
    yield [content]


def _say(what: str, *facts: object) -> None:
    os.write(1, json.dumps([what, *facts]).encode() + b"\n")  # one system call for each line


def _say_upload(upload: Upload) -> Upload:
    _say("appended", upload.offset, dict(upload.state))
    return upload


async def push_and_delete(root: str) -> None:
    driver = FilesystemDriver.from_settings({"root": root})
    old = await driver.commit(await driver.append(await driver.begin(), _one_run(OLD)), DIGEST)
    _say("stored", old)
    empty = await driver.commit(await driver.begin(), DIGEST)
    _say("empty", empty)
    upload = _say_upload(await driver.append(await driver.begin(), _one_run(FIRST)))
    await driver.append(upload, _one_run(b"an append whose answer was lost"))
    upload = _say_upload(await driver.append(upload, _one_run(SECOND)))
    _say("committed", await driver.commit(upload, DIGEST))
    await driver.delete(old)
    _say("deleted")
    await driver.delete_many([empty, old])
    _say("cleared")
    await driver.aclose()


if __name__ == "__main__":
    asyncio.run(push_and_delete(sys.argv[1]))
