"""Scopes: what a client asks a token for, as `repository:acme/app:pull,push` (Docker's token protocol).

The name may hold colons itself, as in `host:5000/app`: it lies between the first and the last one.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

MOST_SCOPES = 100
LONGEST_NAME = 512
"""Characters: a repository's name and a host before it."""

_KNOWN_ACTIONS = ("pull", "push", "delete", "*")

# The class, as in `repository(plugin)`, is deprecated and says nothing. A name goes into header fields
# within quotes, so it has neither quotes nor anything that is not printable ASCII.
_SCOPE = re.compile(
    r"([a-z0-9]{1,64})(?:\([a-z0-9]{1,64}\))?"
    rf":([!#-\[\]-~]{{1,{LONGEST_NAME}}})"
    r":((?:[a-z]{1,32}|\*)?(?:,(?:[a-z]{1,32}|\*)?)*)"
)


class Scope(NamedTuple):
    """`str` writes the scope as clients send it. `*` among the actions stands for all of them."""

    type: str
    name: str
    actions: frozenset[str]

    def __str__(self) -> str:
        return f"{self.type}:{self.name}:{','.join(ordered(self.actions))}"


CATALOG = Scope("registry", "catalog", frozenset({"*"}))
"""To list repositories."""

API = Scope("registry", "api", frozenset({"*"}))
"""To call the management API."""


def ordered(actions: Iterable[str]) -> tuple[str, ...]:
    """pull, push, delete, *, and then all others by name; each once."""
    unique = set(actions)
    known = tuple(action for action in _KNOWN_ACTIONS if action in unique)
    return (*known, *sorted(unique.difference(known)))


def parse_scopes(values: Iterable[str]) -> tuple[Scope, ...]:
    """The scopes of all `scope` parameters, in their order; those of one thing are made one.

    What is malformed or asks for no action is left out, as distribution does: the token then lacks it.
    So is what comes after the hundredth scope.
    """
    merged: dict[tuple[str, str], set[str]] = {}
    for value in values:
        for text in value.split(" "):
            matched = _SCOPE.fullmatch(text)
            actions = {action for action in matched[3].split(",") if action} if matched else set()
            if not matched or not actions:
                continue
            key = (matched[1], matched[2])
            if key in merged or len(merged) < MOST_SCOPES:
                merged.setdefault(key, set()).update(actions)
    return tuple(Scope(type, name, frozenset(actions)) for (type, name), actions in merged.items())
