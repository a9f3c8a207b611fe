"""JSON that every reader reads alike (RFC 8259, and RFC 7493 on what interoperates).

Python's own parser takes more than JSON, and takes the last of two equal keys where others take the
first. A document that two programs read differently is a way to smuggle content past one of them.
"""

import json
import math
import re
from itertools import accumulate
from typing import Any, NoReturn

from registry.oci.quoting import quoted

DEPTH_LIMIT = 100
"""Levels of nesting: far more than any manifest has, far fewer than the parser's recursion takes."""

DIGITS_LIMIT = 100
"""Digits of an integer: far more than any size has. The cost of reading one grows with their square."""

# The closing quote is optional, so that an open string is eaten to its end once, not from each escaped quote.
_STRINGS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")


class StrictJSONError(ValueError):
    """The bytes are not what every reader would take for the same object. The message says
    "it" for them: put what they are in front."""


def parse_object(body: bytes) -> dict[str, Any]:
    """Read `body`, a JSON object in UTF-8. Raises StrictJSONError, saying what is wrong and where."""
    if body.startswith(b"\xef\xbb\xbf"):
        raise StrictJSONError("it starts with a byte order mark; it must be plain JSON in UTF-8")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise StrictJSONError(f"it is not UTF-8: bad byte at offset {error.start}") from error
    _check_depth(body)
    try:
        document = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise StrictJSONError(
            f"it is not JSON: {error.msg} (line {error.lineno}, column {error.colno})"
        ) from error
    if not isinstance(document, dict):
        raise StrictJSONError("it must be a JSON object")
    if _SURROGATE_ESCAPE.search(body):
        _check_surrogates(document)
    return document


def _check_depth(body: bytes) -> None:
    """Raises StrictJSONError before the parser recurses too deep."""
    if body.count(b"[") + body.count(b"{") <= DEPTH_LIMIT:
        return  # nearly every manifest: it can't be deeper than it has brackets
    brackets = _STRINGS.sub(b"", body).translate(None, _NOT_BRACKETS)
    depths = accumulate(1 if bracket in b"[{" else -1 for bracket in brackets)
    if any(depth > DEPTH_LIMIT for depth in depths):
        raise StrictJSONError(f"it is nested deeper than {DEPTH_LIMIT} levels")


def _check_surrogates(document: dict[str, Any]) -> None:
    """Raises StrictJSONError if a string holds half of a surrogate pair, which no UTF-8 can express."""
    try:
        json.dumps(document, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise StrictJSONError("a string of it holds a lone surrogate (\\ud800 to \\udfff)") from error


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise StrictJSONError(f"an object of it has the key {quoted(key)} twice")
            seen.add(key)
    return members


def _integer(digits: str) -> int:
    if len(digits) > DIGITS_LIMIT:
        raise StrictJSONError(f"an integer of it has {len(digits)} digits")
    return int(digits)


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise StrictJSONError(f"a number of it is out of range: {quoted(number)}")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise StrictJSONError(f"it is not JSON: {name} is not a JSON value")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique_keys, parse_int=_integer, parse_float=_finite, parse_constant=_refuse_constant
)
