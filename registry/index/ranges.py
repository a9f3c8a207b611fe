"""Conditions on names that an index by byte can serve, which LIKE can't, and pages in that order."""

from typing import Any

from sqlalchemy import Column, ColumnElement, Select


def below(name: Column[str], prefix: str) -> ColumnElement[bool]:
    """The names `prefix` and `prefix/...`."""
    # "0" is the character behind "/".
    return (name == prefix) | ((name >= f"{prefix}/") & (name < f"{prefix}0"))


def beginning(name: Column[str], start: str) -> ColumnElement[bool]:
    """The names that begin with `start`, which is ASCII and not empty."""
    return (name >= start) & (name < start[:-1] + chr(ord(start[-1]) + 1))


def page_by_name(
    statement: Select[Any], name: Column[str], last: str | None, limit: int, search: str | None
) -> Select[Any]:
    """At most `limit` rows after the name `last`, in byte order; those with `search` in their names."""
    statement = statement.order_by(name).limit(limit)
    if last is not None:
        statement = statement.where(name > last)
    if search:
        statement = statement.where(name.contains(search.lower(), autoescape=True))
    return statement
