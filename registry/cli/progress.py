"""Lines that tell how far something is, for people at a terminal. Programs get nothing of it."""

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

EVERY_SECONDS = 0.2
BAR = 24


@asynccontextmanager
async def progress(said: Callable[[], str]) -> AsyncIterator[None]:
    """Show what `said` says, one line or several, again and again, as long as the block runs."""
    if not sys.stderr.isatty():
        yield
        return
    shown = 0

    def clear() -> str:
        return "\r\x1b[K" + "\x1b[A\x1b[K" * (shown - 1)

    async def show() -> None:
        nonlocal shown
        while True:
            size = shutil.get_terminal_size()
            # A line that wraps, or one above the screen, could not be cleared again.
            lines = [line[: size.columns - 1] for line in said().split("\n")][: size.lines - 1]
            print(clear() + "\n".join(lines), end="", file=sys.stderr, flush=True)
            shown = len(lines)
            await asyncio.sleep(EVERY_SECONDS)

    showing = asyncio.create_task(show())
    try:
        yield
    finally:
        showing.cancel()
        with suppress(asyncio.CancelledError):
            await showing
        print(clear(), end="", file=sys.stderr, flush=True)


def bar(done: int, of: int) -> str:
    """`[######------]  50 %`, or nothing as long as the whole is not known."""
    if not of:
        return ""
    filled = BAR * done // of
    return f"[{'#' * filled}{'-' * (BAR - filled)}] {100 * done // of:3} %"
