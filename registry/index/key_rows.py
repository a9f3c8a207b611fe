"""Rows of numbers as one parameter of a statement, so that its text is the same for any number of them.

The parameter is the text of a JSON array, like `[[1,7],[1,9]]` or `[7,9]`. SQLite looks up pairs of columns
by an index only when they come from a query like this one, and not from a list.
"""

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, Text, bindparam, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction
from sqlalchemy.types import NullType


class JsonRows(GenericFunction[Any]):
    """The elements of a JSON array, a row each."""

    inherit_cache = True


class JsonNumber(GenericFunction[int]):
    """The whole number at a place of a JSON array."""

    type = BigInteger()
    inherit_cache = True


class IsOneOf(GenericFunction[Any]):
    """Whether a column is one of the whole numbers of a JSON array. As an array and not as a query it leaves
    PostgreSQL no choice but to look each of them up."""

    type = NullType()  # a Boolean would be compared with 1 on SQLite, which finds no index then
    inherit_cache = True


@compiles(JsonRows, "sqlite")
def _rows_on_sqlite(element: JsonRows, compiler: Any, **options: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **options)})"


@compiles(JsonRows, "postgresql")
def _rows_on_postgresql(element: JsonRows, compiler: Any, **options: Any) -> str:
    return f"json_array_elements(({compiler.process(element.clauses, **options)})::json)"


@compiles(JsonNumber, "sqlite")
def _number_on_sqlite(element: JsonNumber, compiler: Any, **options: Any) -> str:
    array, place = element.clauses
    return f"json_extract({compiler.process(array, **options)}, '$[{place.value}]')"


@compiles(JsonNumber, "postgresql")
def _number_on_postgresql(element: JsonNumber, compiler: Any, **options: Any) -> str:
    array, place = element.clauses
    return f"({compiler.process(array, **options)} ->> {place.value})::bigint"


@compiles(IsOneOf, "sqlite")
def _is_one_of_on_sqlite(element: IsOneOf, compiler: Any, **options: Any) -> str:
    column, numbers = (compiler.process(clause, **options) for clause in element.clauses)
    query = f"SELECT value FROM json_each({numbers})"  # noqa: S608 - names of ours
    return f"{column} IN ({query})"


@compiles(IsOneOf, "postgresql")
def _is_one_of_on_postgresql(element: IsOneOf, compiler: Any, **options: Any) -> str:
    column, numbers = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{column} = ANY (ARRAY(SELECT json_array_elements_text(({numbers})::json)::bigint))"


def is_one_of(column: ColumnElement[int], parameter: str) -> ColumnElement[bool]:
    """Whether a column is one of the numbers in a parameter."""
    found: ColumnElement[bool] = IsOneOf(column, bindparam(parameter, type_=Text))
    return found


def key_rows(parameter: str, columns: int) -> Select[Any]:
    """The rows in a parameter."""
    rows = JsonRows(bindparam(parameter, type_=Text)).table_valued("value")
    numbers: list[Any] = [JsonNumber(rows.c.value, place) for place in range(columns)]
    return select(*numbers)


def as_parameter(rows: Iterable[tuple[int, ...] | int]) -> str:
    """What such a parameter is given: rows, or numbers."""
    return json.dumps(list(rows))
