"""Durations, sizes and moments as people write them: `30d`, `10GiB`, `1h` ago."""

import math
import re
from datetime import UTC, datetime

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
LONGEST_DURATION = 100 * 365 * 86400.0

_POWERS = {letter: power for power, letter in enumerate(("", "k", "m", "g", "t", "p"))}
LARGEST_SIZE = 2**63 - 1

DURATION = r"[0-9]{1,12}(?:\.[0-9]{1,6})?[smhdw]?"
SIZE = r"[0-9]{1,19}(?:\.[0-9]{1,6})? ?(?:[kKmMgGtTpP]i?)?[bB]?"


def parse_duration(value: object) -> float:
    """Seconds, from a number of them or from a text like `12h`. Raises ValueError, saying what would be
    right."""
    seconds = math.nan
    if isinstance(value, str) and re.fullmatch(DURATION, value):
        unit = value[-1] if value[-1].isalpha() else "s"
        seconds = float(value.rstrip("smhdw")) * _SECONDS[unit]
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds = _float(value)
    if not 0 < seconds <= LONGEST_DURATION:
        raise ValueError("should be a duration like 45s, 30m, 12h, 30d or 2w, above 0 and at most 100 years")
    return seconds


def parse_size(value: object) -> int:
    """Bytes, from a number of them or from a text: `10GiB` counts in 1024s, `10GB` in 1000s. Raises
    ValueError, saying what would be right."""
    size = -1
    if isinstance(value, str) and re.fullmatch(SIZE, value):
        number, letter, binary = _size_parts(value)
        base = 1024 if binary else 1000
        factor = base ** _POWERS[letter]
        size = round(float(number) * factor) if "." in number else int(number) * factor
    elif isinstance(value, int) and not isinstance(value, bool):
        size = value
    if not 0 <= size <= LARGEST_SIZE:
        raise ValueError("should be a size like 500MB, 10GiB or a number of bytes, 0 or more and below 8EiB")
    return size


def parse_moment(value: object, now: float) -> float:
    """Seconds since the epoch, from a duration before `now` (`1h`), an RFC 3339 time or such a number.
    Raises ValueError, saying what would be right."""
    text = str(value)
    try:
        if re.fullmatch(DURATION, text):
            return now - parse_duration(text) if text[-1].isalpha() else float(text)
        return _instant(text)
    except (ValueError, OverflowError):
        raise ValueError(
            "should be a time like 2026-11-21T12:00:00Z, a date like 2026-11-21, or how long ago, like 30m, "
            "1h or 7d"
        ) from None


def moment(at: float | None) -> datetime | None:
    """A time of the index as answers give it; None stays None."""
    return None if at is None else datetime.fromtimestamp(at, UTC)


def _instant(text: str) -> float:
    parsed = datetime.fromisoformat(text)
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _size_parts(text: str) -> tuple[str, str, bool]:
    """The number, the letter of its unit in lower case, and whether it counts in 1024s."""
    number = re.match(r"[0-9.]+", text)
    assert number is not None
    unit = text[number.end() :].strip().lower().removesuffix("b")
    return number[0], unit.removesuffix("i"), unit.endswith("i")
