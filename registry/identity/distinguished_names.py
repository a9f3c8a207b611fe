"""Distinguished names (RFC 4514), as far as comparing them needs."""

import re

_RDNS = re.compile(r"(?:\\.|[^\\,])+", re.DOTALL)
_PAIRS = re.compile(r"(?:\\.|[^\\+])+", re.DOTALL)
_ESCAPES = re.compile(r"((?:\\[0-9A-Fa-f]{2})+)|\\(.)", re.DOTALL)

NormalName = tuple[frozenset[tuple[str, str]], ...]
"""Relative names from the leaf up; each is made of attributes and values."""


def normal_name(dn: str) -> NormalName:
    """A name in a form that is equal for equal names: without escapes, case and surplus blanks."""
    return tuple(frozenset(_pair(pair) for pair in _PAIRS.findall(rdn)) for rdn in _RDNS.findall(dn))


def normal_value(value: str) -> str:
    """A value as most attributes of a name compare it: without case and surplus blanks (RFC 4518)."""
    return " ".join(value.casefold().split())


def names_itself(dn: str, attribute: str, value: str) -> bool:
    """Whether the entry `dn` is named by this value of this attribute."""
    name = normal_name(dn)
    return bool(name) and (attribute.casefold(), normal_value(value)) in name[0]


def _pair(text: str) -> tuple[str, str]:
    attribute, _, value = text.partition("=")
    return attribute.strip().casefold(), normal_value(_ESCAPES.sub(_unescaped, value))


def _unescaped(escape: re.Match[str]) -> str:
    if escape[1] is None:
        return escape[2]
    return bytes.fromhex(escape[1].replace("\\", "")).decode("utf-8", "replace")
