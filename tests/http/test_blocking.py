"""The event loop is never blocked: not by what waits for a disk or a database, not by long computing.

Every test of this folder runs under the first of the two guards. Both are shown to bite here.
"""

import asyncio
import gc
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest

from registry.index import Connection, Index
from storage_drivers.filesystem import FilesystemDriver
from tests.http.client import Client
from tests.http.content import (
    EMPTY_CONFIG,
    MISSING,
    REPOSITORY,
    digest_of,
    document,
    image,
    index,
    push_blob,
    push_image,
    push_manifest,
    start_upload,
)
from tests.http.serving import serving

LONGEST = 0.25
"""Seconds that one step of the event loop may compute."""


@contextmanager
def long_steps_fail() -> Iterator[None]:
    """No callback may take the processor for long. It is the thread's own time on the processor that
    counts, and not the clock's: on a loaded machine that is the same."""
    steps: list[tuple[float, str]] = []
    own = asyncio.current_task()  # of the test, which computes as it likes
    run = asyncio.events.Handle._run

    def timed(handle: asyncio.Handle) -> None:
        began = time.thread_time()
        run(handle)
        taken = time.thread_time() - began
        if taken > LONGEST and getattr(handle._callback, "__self__", None) is not own:  # type: ignore[attr-defined]
            steps.append((taken, repr(handle)))

    # What other tests of this process left behind is not looked through within a step; the server, too, sees
    # to that (registry.server).
    gc.collect()
    gc.freeze()
    try:
        with patch.object(asyncio.events.Handle, "_run", timed):
            yield
    finally:
        gc.unfreeze()
    assert not steps, f"one step of the event loop computed for long: {steps}"


async def test_no_request_computes_for_long_in_the_event_loop(client: Client) -> None:
    """The largest of each kind: a manifest, an index, a layer in one body, a list of ranges, of errors."""
    await push_blob(client, EMPTY_CONFIG)
    padded = image(annotations={"padding": 4_000_000 * "x"})
    nested = image()[:-1] + b', "a": ' + 60 * b"[" + b"1," * 1_000_000 + b"1" + 60 * b"]" + b"}"
    wide = image()[:-1] + b', "a": {' + b", ".join(b'"%d": 1' % number for number in range(300_000)) + b"}}"
    missing = [{"mediaType": "a/b", "digest": f"sha256:{number:064x}", "size": 1} for number in range(30_000)]
    layer = os.urandom(32 * 1024 * 1024)
    location = await start_upload(client)
    with long_steps_fail():
        for body in (padded, nested, wide):
            assert len(body) <= 4 * 1024 * 1024
            assert (await push_manifest(client, "large", body)).status == 201
            assert (await client.get(f"/v2/{REPOSITORY}/manifests/large")).body == body
        bad = await push_manifest(client, "bad", document({**json.loads(image()), "layers": missing}))
        assert bad.refusal == (400, "MANIFEST_BLOB_UNKNOWN")
        digest = digest_of(layer, "sha512")
        assert (await client.put(f"{location}?digest={digest}", layer)).status == 201
        assert len((await client.get(f"/v2/{REPOSITORY}/blobs/{digest}")).body) == len(layer)
        ranges = "bytes=" + ",".join(f"{number}-{number + 9}" for number in range(0, 10240, 10))
        assert (await client.get(f"/v2/{REPOSITORY}/blobs/{digest}", {"Range": ranges})).status == 206


async def test_an_old_client_that_pulls_the_largest_index(client: Client) -> None:
    child = await push_image(client)
    large = index([child], annotations={"padding": 4_000_000 * "x"})
    await push_manifest(client, "multi", large)

    with long_steps_fail():
        for _ in range(3):
            headers = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
            assert (await client.get(f"/v2/{REPOSITORY}/manifests/multi", headers)).status == 200


async def test_the_guard_of_computing_bites() -> None:
    def compute() -> None:
        until = time.thread_time() + 2 * LONGEST
        while time.thread_time() < until:
            pass

    async def guarded() -> None:
        with long_steps_fail():
            asyncio.get_running_loop().call_soon(compute)
            await asyncio.sleep(0.01)

    with pytest.raises(AssertionError, match="computed for long"):
        await guarded()


@pytest.mark.parametrize(
    "blocking", [lambda: time.sleep(0), lambda: os.listdir("/"), lambda: open(os.devnull).close()]
)
async def test_the_guard_of_blocking_calls_bites(
    index_url: str, tmp_path: Path, blocking: Callable[[], None]
) -> None:
    async def locate(_driver: FilesystemDriver, _location: str, _client: str) -> None:
        blocking()

    async def guarded() -> None:
        async with serving(tmp_path, index_url, {}) as client:
            digest = await push_blob(client, 100_000 * b"x")
            assert (await client.get(f"/v2/{REPOSITORY}/blobs/{digest}")).status == 200

    with pytest.raises(AssertionError, match="blocked by"), patch.object(FilesystemDriver, "locate", locate):
        await guarded()


async def test_the_guard_of_sql_bites(index_url: str, tmp_path: Path) -> None:
    async def read(index: Index, query: Callable[[Connection], object]) -> object:
        return index._read(query)

    async def guarded() -> None:
        async with serving(tmp_path, index_url, {}) as client:
            assert (await client.get(f"/v2/{REPOSITORY}/blobs/{MISSING}")).status == 404

    with pytest.raises(AssertionError, match="database connection"), patch.object(Index, "read", read):
        await guarded()
