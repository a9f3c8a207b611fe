"""Tables read in batches, for who needs some of the rows and can't tell how far to read."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Row = TypeVar("Row")
Cursor = TypeVar("Cursor")


def rows_after(
    last: Cursor | None,
    read: Callable[[Cursor | None, int], Sequence[Row]],
    cursor_of: Callable[[Row], Cursor],
    batch: int,
) -> Iterator[Row]:
    """All rows after the cursor `last`: `batch` of them are read at once, and only as far as asked for."""
    while True:
        rows = read(last, batch)
        yield from rows
        if len(rows) < batch:
            return
        last = cursor_of(rows[-1])
