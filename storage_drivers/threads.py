"""Waiting for threads, which can't be cancelled."""

import asyncio
from asyncio import CancelledError
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def settled(future: "asyncio.Future[Any]") -> CancelledError | None:
    """Wait until `future` is done, even if the waiting task is cancelled, and whatever `future` raises.

    Returns the cancellation that came meanwhile, for the caller to raise when it has put its own things in
    order. A thread goes on after its task was cancelled: who does not wait for it lets two of them write
    to one object.
    """
    cancelled = None
    while not future.done():
        try:
            await asyncio.wait((future,))
        except CancelledError as error:
            cancelled = error
    if not future.cancelled():
        future.exception()  # seen: without this asyncio warns of it when nobody asks for the result
    return cancelled


async def finished(work: Coroutine[Any, Any, T]) -> tuple[T, CancelledError | None]:
    """Do work of several steps to its end, even if the waiting task is cancelled meanwhile, and tell so.

    Raises what the work raises; with a cancellation that one, from the other.
    """
    task = asyncio.ensure_future(work)
    cancelled = await settled(task)
    if cancelled is not None and (failure := task.exception()) is not None:
        raise cancelled from failure
    return task.result(), cancelled
