"""A registry that runs writes its journal by itself."""

import asyncio
from collections.abc import Sequence
from functools import partial

from registry.index import index_copies, open_index
from registry.index.index_copies import CopyRow
from tests.http.blocking import blocking_calls_pass
from tests.http.content import push_image
from tests.http.serving import Registries


async def test_what_is_pushed_is_in_the_storage_soon(registries: Registries, index_url: str) -> None:
    client = await registries.start(journal={"every_seconds": 0.05})
    await push_image(client, "latest")
    with blocking_calls_pass():
        index = open_index(index_url, pool_size=1)
    written: Sequence[CopyRow] = ()
    async with asyncio.timeout(30):
        while sum(row.lines for row in written) < 3:  # a repository, a manifest, a tag
            await asyncio.sleep(0.05)
            written = await index.read(partial(index_copies.of_kind, kind="journal"))
    await asyncio.to_thread(index.close)
