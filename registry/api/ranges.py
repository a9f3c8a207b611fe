"""`Range` of downloads (RFC 9110 section 14) and `Content-Range` of uploads (distribution-spec)."""

import re

from registry.oci.errors import RangeInvalid, RequestInvalid, TooManyRanges
from registry.oci.quoting import quoted

RANGES_LIMIT = 1024
"""Ranges of one request. podman's partial pulls ask for as many at most, and for fewer after a 400."""

POSITION_LIMIT = 2**63 - 1
"""The last position that an upload can have, in bytes: what SQL and Go can count."""

_MEMBER = re.compile(r"([0-9]*)-([0-9]*)")
_CONTENT_RANGE = re.compile(r"([0-9]{1,30})-([0-9]{1,30})")


def parse_range(header: str, size: int) -> list[tuple[int, int]] | None:
    """The ranges that `header` asks of content of `size` bytes, as [start, stop), in the order asked.

    They are neither merged nor sorted: podman takes the parts of the answer for the ranges it asked for,
    one by one. A range that starts past the end is left out; one that ends past it is cut.

    None if the header is to be ignored, and the whole content sent: another unit than bytes, bad syntax,
    or several ranges that together are longer than the content, which only an attack asks for.
    Raises RangeInvalid if no range is left or one ends before it starts, TooManyRanges past RANGES_LIMIT.
    """
    unit, _, members = header.partition("=")
    if unit.lower() != "bytes":
        return None
    asked = [member.strip(" \t") for member in members.split(",") if member.strip(" \t")]
    if len(asked) > RANGES_LIMIT:
        raise TooManyRanges(f"one request may ask for {RANGES_LIMIT} ranges at most, not {len(asked)}")
    ranges = []
    backwards = False
    for member in asked:
        match = _MEMBER.fullmatch(member)
        if match is None or member == "-":
            return None
        first, last = match.groups()
        if first:
            start = _position(first)
            stop = min(_position(last) + 1, size) if last else size
            backwards = backwards or bool(last and _position(last) < start)
        else:
            start, stop = max(size - _position(last), 0), size
        if start < stop:
            ranges.append((start, stop))
    if not asked:
        return None
    if backwards or not ranges:
        raise RangeInvalid(size)
    if sum(stop - start for start, stop in ranges) > size:
        return None
    return ranges


def parse_content_range(header: str) -> tuple[int, int]:
    """The first and the last position of a chunk, both inclusive, out of `<start>-<end>`.

    Raises RequestInvalid for anything else: `bytes 0-9/*`, which no client sends, is refused like the rest.
    """
    match = _CONTENT_RANGE.fullmatch(header)
    if match is None:
        raise RequestInvalid(
            f"Content-Range must be <start>-<end>, both inclusive, such as 0-1023; not {quoted(header)}"
        )
    start, end = map(int, match.groups())
    if end < start:
        raise RequestInvalid(f"Content-Range {start}-{end} ends before it starts")
    if end > POSITION_LIMIT:
        raise RequestInvalid(f"Content-Range {start}-{end} goes past the largest position, {POSITION_LIMIT}")
    return start, end


def _position(digits: str) -> int:
    """The number, or for very many digits another one that is as far beyond any content."""
    return int(digits.lstrip("0")[:100] or "0")
