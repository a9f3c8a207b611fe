"""The kinds of fields that bodies, queries and answers are made of."""

import time
from collections.abc import Callable
from datetime import datetime
from ipaddress import ip_network
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    WithJsonSchema,
)

from auth.patterns import RepositoryPattern, TagPattern
from auth.principals import GRANTEES, LONGEST_NAME, Principal, check_name
from auth.roles import Action, Role
from registry.management.units import DURATION, SIZE, parse_duration, parse_moment, parse_size

PAGE_LIMIT = 1000
"""Entries in any page, whatever was asked for."""

_LARGEST_ID = 2**63 - 1

# For the document: JSON Schema's regular expressions know no possessive quantifiers.
NAME = "[a-z0-9]+(?:[._@-][a-z0-9]+)*"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
REPOSITORY = f"{_COMPONENT}(?:/{_COMPONENT})*"
_PATTERN = rf"(?:(?:{_COMPONENT}|\*)/)*(?:{_COMPONENT}|\*\*?)"


def _shaped(expression: str) -> dict[str, JsonValue]:
    """What the document says of a text besides its length."""
    return {"pattern": f"^{expression}$"}


class Input(BaseModel):
    """A body or the parameters of a query: nothing is converted silently, nothing unknown is passed over."""

    # Built when first used: a command calls one operation of a hundred.
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, validate_default=False, defer_build=True
    )


class Answer(BaseModel):
    """What is answered. Times are RFC 3339 in UTC, sizes are bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("should hold no NUL character")
    return text


def _checked(check: Callable[[str], object]) -> AfterValidator:
    """What raises ValueError for a text that is not right, and keeps the text as it is."""

    def validate(text: str) -> str:
        check(text)
        return text

    return AfterValidator(validate)


def _grantee(text: str) -> None:
    if Principal.parse(text).kind not in GRANTEES:
        raise ValueError(f"{text!r} should be user:NAME, robot:NAME or group:NAME")


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("should be one line of printable characters")
    return text


Text = Annotated[str, Field(max_length=1000), AfterValidator(_storable)]
Line = Annotated[str, Field(max_length=255), AfterValidator(_one_line)]
Password = Annotated[str, Field(max_length=1024, json_schema_extra={"format": "password"})]
Name = Annotated[
    str,
    _checked(check_name),
    Field(
        max_length=LONGEST_NAME,
        examples=["alice"],
        description="lower-case letters and digits, with single . _ @ or - between them",
        json_schema_extra=_shaped(NAME),
    ),
]
Grantee = Annotated[
    str,
    _checked(_grantee),
    Field(
        max_length=110,
        examples=["user:alice", "group:dev"],
        json_schema_extra=_shaped(f"(?:user|robot|group):{NAME}"),
    ),
]
Pattern = Annotated[
    str,
    _checked(RepositoryPattern.parse),
    Field(
        max_length=255,
        examples=["acme/**"],
        description="repositories: acme/app, acme/*, acme/**, **",
        json_schema_extra=_shaped(_PATTERN),
    ),
]
TagPatternText = Annotated[
    str,
    _checked(TagPattern.parse),
    Field(max_length=128, examples=["v*"], json_schema_extra=_shaped("[A-Za-z0-9_.*-]+")),
]
Network = Annotated[str, _checked(ip_network), Field(max_length=50, examples=["10.0.0.0/8"])]
RoleName = Annotated[Role, Field(strict=False)]
ActionName = Annotated[Action, Field(strict=False)]
RowId = Annotated[int, Field(ge=1, le=_LARGEST_ID)]
Time = datetime

Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0, "maximum": 3_153_600_000},
                {"type": "string", "pattern": f"^{DURATION}$"},
            ],
            "description": "seconds, or a text like 45s, 30m, 12h, 30d, 2w",
            "examples": ["30d"],
        }
    ),
]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 0, "maximum": 2**63 - 1},
                {"type": "string", "pattern": f"^{SIZE}$"},
            ],
            "description": "bytes, or a text like 500MB or 10GiB",
            "examples": ["10GiB"],
        }
    ),
]


def _moment(value: object) -> float:
    return parse_moment(value, time.time())


def _past_moment(value: object) -> float:
    at = _moment(value)
    if at > time.time():
        raise ValueError("should be a time that has been")
    return at


_MOMENT = WithJsonSchema(
    {
        "type": "string",
        "description": "an RFC 3339 time, seconds since the epoch, or how long ago: 30m, 1h, 7d",
        "examples": ["1h"],
    }
)
Moment = Annotated[float, BeforeValidator(_moment), _MOMENT]
PastMoment = Annotated[float, BeforeValidator(_past_moment), _MOMENT]


def number_in_query(text: Any) -> Any:
    """The number that a parameter of a query is; what is none is left for pydantic to refuse."""
    digits = isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 19
    return int(text) if digits else text


Count = Annotated[int, BeforeValidator(number_in_query), Field(ge=1, le=PAGE_LIMIT)]


class Page(Input):
    """Which part of a list is wanted."""

    last: Text | None = Field(None, description="begin behind this entry: `next` of the page before")
    n: Count = Field(100, description="how many entries, at most")


class Search(Page):
    """Which part of a list, and which of its names."""

    search: Line | None = Field(None, description="only names that hold this text")


class RowPage(Input):
    """Which part of a list whose entries have numbers is wanted."""

    last: Annotated[RowId, BeforeValidator(number_in_query)] | None = Field(
        None, description="begin behind this entry: `next` of the page before"
    )
    n: Count = Field(100, description="how many entries, at most")
