"""Several pieces of work at once."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

Item = TypeVar("Item")


async def in_parallel(work: Callable[[Item], Awaitable[object]], items: Iterable[Item], at_once: int) -> None:
    """Do the work with each item, some at once. The first error ends it and is raised, when all that had
    begun has ended."""
    left = iter(items)

    async def go_on() -> None:
        for item in left:
            await work(item)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(go_on())
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
