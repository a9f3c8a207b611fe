"""A grant: a role for a principal on the repositories of a pattern."""

from typing import NamedTuple

from auth.patterns import RepositoryPattern
from auth.principals import Principal
from auth.roles import Action, Role


class Grant(NamedTuple):
    """`source` is a principal, or the trust rule that gives the role, as `rule:gh`. `id` is its row's."""

    id: int
    source: str
    role: Role
    pattern: RepositoryPattern

    def __str__(self) -> str:
        return f"{self.source} is {self.role} on {self.pattern}"

    @classmethod
    def of(cls, id: int, principal: Principal, role: Role, pattern: RepositoryPattern) -> "Grant":
        return cls(id, str(principal), role, pattern)

    def allows(self, action: Action, repository: str) -> bool:
        return action in self.role.actions and self.pattern.matches(repository)
