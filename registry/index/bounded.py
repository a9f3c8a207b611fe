"""An end to a question that may take long. PostgreSQL has one for each statement, SQLite has none."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection

STEPS = 100_000
"""Of SQLite's machine, between two looks at the clock: a few milliseconds."""


@contextmanager
def bounded(connection: Connection, seconds: float) -> Iterator[None]:
    """Interrupt what SQLite does in this block when it takes longer: it raises sqlite3.OperationalError then,
    which is Unavailable to who asked."""
    if connection.dialect.name != "sqlite":
        yield
        return
    driver: Any = connection.connection.driver_connection
    end = time.monotonic() + seconds
    driver.set_progress_handler(lambda: time.monotonic() > end, STEPS)
    try:
        yield
    finally:
        driver.set_progress_handler(None, 0)
