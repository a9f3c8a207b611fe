"""A line that tells how far something is, for people at a terminal. Programs get nothing of it."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

EVERY_SECONDS = 0.2
BAR = 24


@asynccontextmanager
async def progress(line: Callable[[], str]) -> AsyncIterator[None]:
    """Show what `line` says, again and again, as long as the block runs."""
    if not sys.stderr.isatty():
        yield
        return

    async def show() -> None:
        while True:
            print(f"\r\x1b[K{line()}", end="", file=sys.stderr, flush=True)
            await asyncio.sleep(EVERY_SECONDS)

    showing = asyncio.create_task(show())
    try:
        yield
    finally:
        showing.cancel()
        with suppress(asyncio.CancelledError):
            await showing
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def bar(done: int, of: int) -> str:
    """`[######------]  50 %`, or nothing as long as the whole is not known."""
    if not of:
        return ""
    filled = BAR * done // of
    return f"[{'#' * filled}{'-' * (BAR - filled)}] {100 * done // of:3} %"
