"""Spans of time as people write them."""

UNITS = (("w", 604800), ("d", 86400), ("h", 3600), ("m", 60))


def said_span(seconds: float) -> str:
    """A span of time as it may be given: `30d`."""
    for unit, length in UNITS:
        if seconds >= length and seconds % length == 0:
            return f"{int(seconds // length)}{unit}"
    return f"{seconds:g}s"
