"""How text that came from outside is shown in messages."""

_LONGEST = 80
"""Characters of a text that a message repeats."""


def quoted(text: str) -> str:
    """`text` between quotes, pure ASCII (so that look-alikes and control characters show), cut if long."""
    return ascii(text) if len(text) <= _LONGEST else f"{text[:_LONGEST]!a}... ({len(text)} characters)"
