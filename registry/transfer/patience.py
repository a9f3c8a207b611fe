"""How often, and after how long, what did not work is tried again."""

import asyncio
import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from registry.transfer.errors import Interrupted

AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses after which the same request may work."""

LONGEST_WISH = 15 * 60.0
"""Seconds that a registry may ask to be left alone for; more is taken as this."""


class Patience(NamedTuple):
    """`attempts` in a row without any progress; the first wait is `first` seconds, each of the others twice
    as long, none longer than `longest`. A registry that says how long (Retry-After) is believed."""

    attempts: int = 8
    first: float = 0.5
    longest: float = 30

    async def wait(self, attempt: int, problem: Interrupted) -> None:
        """Wait after an attempt, counted from 1. Raises `problem` after the last one."""
        if attempt >= self.attempts:
            raise problem
        if problem.after is not None:
            await asyncio.sleep(min(problem.after, LONGEST_WISH))
        else:
            seconds = min(self.longest, self.first * 2 ** (attempt - 1))
            await asyncio.sleep(seconds * random.uniform(0.5, 1))  # noqa: S311 - no secret


def retry_after(field: str | None) -> float | None:
    """Seconds, of a Retry-After field (RFC 9110 section 10.2.3); None for none, and for nonsense."""
    if field is None:
        return None
    if field.strip().isdecimal():
        return float(field)
    try:
        moment = parsedate_to_datetime(field)
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
