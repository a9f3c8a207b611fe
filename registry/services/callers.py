"""Callers: who sends a request, and by which right."""

from typing import NamedTuple, Protocol

from auth.decisions import may
from auth.grants import Grant
from auth.identity import NOBODY, Identity
from auth.patterns import EVERYTHING
from auth.principals import ANONYMOUS, Kind
from auth.roles import Action, Role
from auth.scopes import Scope
from auth.tokens import Access

MOST_DECISIONS = 500
"""Decisions that are remembered for a caller."""


class Visit(Protocol):
    """From where a request comes. Asked for only where it matters: finding it out costs something."""

    @property
    def address(self) -> str: ...

    @property
    def request_id(self) -> str: ...


class TokenRights(NamedTuple):
    """What a registry token carries: (type, name) -> its entry. `decides`: it comes from another token
    server, whose word is the last."""

    access: dict[tuple[str, str], Access]
    decides: bool

    def allows(self, type: str, name: str, action: str) -> bool:
        entry = self.access.get((type, name))
        return entry is not None and (action in entry.actions or "*" in entry.actions)

    def carries(self, scope: Scope) -> bool:
        """Whether every action of a scope is allowed."""
        return all(self.allows(scope.type, scope.name, action) for action in scope.actions)


class Caller:
    """Somebody who sends requests, `name` as `user:alice`. `token` is what his registry token carries, None
    with any other way in. `decided` is what he was found to be allowed; it counts while a cache holds him."""

    __slots__ = ("decided", "identity", "name", "token")

    def __init__(self, identity: Identity, token: TokenRights | None = None) -> None:
        self.identity = identity
        self.name = str(identity.principal)
        self.token = token
        self.decided: set[tuple[Action, str]] = set()

    @property
    def sees(self) -> Identity | None:
        """Of whom lists show what he may pull; None: they show all."""
        if self is ANYBODY or (self.token is not None and self.token.decides):
            return None
        return self.identity

    def remember(self, action: Action, repository: str) -> None:
        """Keep that this was allowed."""
        if len(self.decided) >= MOST_DECISIONS:
            self.decided.clear()
        self.decided.add((action, repository))

    def may_see(self, repository: str, public: bool) -> bool:
        """Whether he may know of a repository, whatever his token was made for."""
        if self.token is not None and self.token.decides:
            return self.token.allows("repository", repository, Action.PULL)
        return may(self.identity, Action.PULL, repository, public=public)


ANONYMOUS_CALLER = Caller(NOBODY)
"""Nobody who showed anything."""

ANYBODY = Caller(
    Identity(ANONYMOUS, (Grant(0, Kind.ANONYMOUS.value, Role.MAINTAINER, EVERYTHING),)),
)
"""Everybody, where there are no accounts. He may not manage accounts, which would outlive the open door."""
