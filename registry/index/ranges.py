"""Conditions on names that an index by byte can serve, which LIKE can't."""

from sqlalchemy import Column, ColumnElement


def below(name: Column[str], prefix: str) -> ColumnElement[bool]:
    """The names `prefix` and `prefix/...`."""
    # "0" is the character behind "/".
    return (name == prefix) | ((name >= f"{prefix}/") & (name < f"{prefix}0"))


def beginning(name: Column[str], start: str) -> ColumnElement[bool]:
    """The names that begin with `start`, which is ASCII and not empty."""
    return (name >= start) & (name < start[:-1] + chr(ord(start[-1]) + 1))
