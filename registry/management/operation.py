"""An operation of the management API: what it takes, what it needs, what it answers."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from pydantic import BaseModel

from auth.actor import Actor
from auth.identity import Identity
from registry.oci.errors import Unknown


class Needs(StrEnum):
    """Who may call an operation."""

    NOTHING = "nothing"
    SIGNED_IN = "signed in"
    SELF_OR_ADMINISTRATOR = "self or administrator"
    """The user whom `{name}` in the path names, or an administrator of the registry."""
    ADMINISTRATOR = "administrator"
    """Administrator of `**`, by a token that is not limited."""
    REPOSITORY = "repository"
    """The operation asks itself, since what counts is a repository or a pattern that it is about."""


class Call(NamedTuple):
    """One call. `path` holds what stood for the names in the operation's path, decoded and not yet checked;
    `query` and `body` are of the operation's models, None where it has none."""

    caller: Identity
    actor: Actor
    path: Mapping[str, str]
    query: Any = None
    body: Any = None


@dataclass(frozen=True, slots=True)
class Operation:
    """`path` is below /api/v1; in it, `{name}` stands for one component, unless it is one of
    paths.WITH_SLASHES."""

    id: str
    method: str
    path: str
    summary: str
    needs: Needs
    run: Callable[[Call], Awaitable[BaseModel | None]]
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    answer: type[BaseModel] | None = None
    status: int = 200
    makes_credentials: bool = False
    """Whether somebody can sign in by what it makes: then a token with any limit is not enough to call it,
    or it could be exchanged for one without."""

    @property
    def changes(self) -> bool:
        return self.method != "GET"


def row_id(call: Call, kind: str) -> int:
    """The number in the path. Raises Unknown for what is none that a row could have."""
    text = call.path["id"]
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise Unknown(kind, text)
    return int(text)
