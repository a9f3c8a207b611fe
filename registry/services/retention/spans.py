"""Spans of time as people write them."""

UNITS = (("d", 86400), ("h", 3600), ("m", 60))
"""No weeks: most people set 7d or 30d, and would look twice at 1w."""


def said_span(seconds: float) -> str:
    """A span of time as it may be given: `30d`."""
    for unit, length in UNITS:
        if seconds >= length and seconds % length == 0:
            return f"{int(seconds // length)}{unit}"
    return f"{seconds:g}s"
