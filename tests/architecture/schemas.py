"""Whether the version before could work on the index as a migration leaves it: both run side by side while
replicas are replaced one by one."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, inspect


class Column(NamedTuple):
    """`type` as the database calls it; `filled`: a row that does not name it gets a value."""

    type: str
    nullable: bool
    filled: bool


class Table(NamedTuple):
    """`rules` are what rows must keep, in words: keys, uniqueness, references, checks."""

    columns: Mapping[str, Column]
    rules: frozenset[str]


Schema = Mapping[str, Table]


def schema_of(connection: Connection) -> Schema:
    """All tables but the one that says which form this is."""
    found = inspect(connection)
    names = set(found.get_table_names()) - {"alembic_version"}
    return {name: Table(columns_of(found, name), frozenset(rules_of(found, name))) for name in names}


def columns_of(found: Any, table: str) -> dict[str, Column]:
    keys = found.get_pk_constraint(table)["constrained_columns"]
    return {
        column["name"]: Column(
            str(column["type"]),
            column["nullable"],
            # SQLite fills a key of one integer by itself.
            column["default"] is not None or ([column["name"]] == keys and str(column["type"]) == "INTEGER"),
        )
        for column in found.get_columns(table)
    }


def rules_of(found: Any, table: str) -> Iterator[str]:
    yield f"primary key {found.get_pk_constraint(table)['constrained_columns']}"
    for unique in found.get_unique_constraints(table):
        yield f"unique {sorted(unique['column_names'])}"
    for index in found.get_indexes(table):
        if index["unique"]:
            yield f"unique {sorted(index['column_names'])}"
    for key in found.get_foreign_keys(table):
        target = f"{key['referred_table']}{key['referred_columns']}"
        yield f"reference {key['constrained_columns']} to {target} {key['options']}"
    for check in found.get_check_constraints(table):
        yield f"check {check['sqltext']}"


def breaks(before: Schema, after: Schema) -> list[str]:
    """What the version that knows `before` can't do with `after`; empty if it can work on."""
    problems = []
    for name, table in sorted(before.items()):
        if name not in after:
            problems.append(f"{name}: dropped")
            continue
        now = after[name]
        for column, old in table.columns.items():
            problems += [f"{name}.{column}: {what}" for what in changes(old, now.columns.get(column))]
        for column in sorted(now.columns.keys() - table.columns.keys()):
            new = now.columns[column]
            if not new.nullable and not new.filled:
                problems.append(f"{name}.{column}: new, required and without a default")
        problems += [f"{name}: new rule, {rule}" for rule in sorted(now.rules - table.rules)]
        # What is unique no more can't be named by ON CONFLICT.
        problems += [f"{name}: dropped rule, {rule}" for rule in sorted(table.rules - now.rules)]
    return problems


def changes(old: Column, new: Column | None) -> Iterator[str]:
    if new is None:
        yield "dropped"
        return
    if new.type != old.type:
        yield f"was {old.type}, is {new.type}"
    if old.nullable and not new.nullable:
        yield "required now"
    if old.filled and not new.filled and not new.nullable:
        yield "has no default any more"
