"""What tests ask an index, to see whether it answers and with what."""

from functools import partial

from registry.index import Index, repositories


async def names(index: Index) -> list[str]:
    read = partial(repositories.page_visible, last=None, limit=100, prefixes=None)
    return [row.name for row in await index.read(read)]


async def is_steady(index: Index) -> bool:
    """Whether a generation outlasts a read. PostgreSQL now and then commits something by itself."""
    for _ in range(20):
        before = await index.generation()
        await names(index)
        if await index.generation() == before:
            return True
    return False
