"""Somebody who signed in, with all that decides what he may do."""

from typing import NamedTuple

from auth.grants import Grant
from auth.limits import UNLIMITED, Limits
from auth.patterns import EVERYTHING
from auth.principals import ANONYMOUS, Kind, Principal
from auth.roles import Action, Role


class Identity(NamedTuple):
    """A principal with the grants to it, to its groups or by the trust rules that let it in.

    `principal_id` and `credential_id` are rows, None where there is none; `rules` are rows of trust rules.
    """

    principal: Principal
    grants: tuple[Grant, ...] = ()
    groups: tuple[str, ...] = ()
    limits: Limits = UNLIMITED
    principal_id: int | None = None
    credential_id: int | None = None
    rules: tuple[int, ...] = ()

    @property
    def is_anonymous(self) -> bool:
        return self.principal.kind is Kind.ANONYMOUS

    @property
    def is_administrator(self) -> bool:
        """Whether it may manage everything: administrator of `**`, by a token that is not limited."""
        return not self.limits.take_rights and any(
            Action.ADMINISTER in grant.role.actions and grant.pattern == EVERYTHING for grant in self.grants
        )


NOBODY = Identity(ANONYMOUS)


def operator(name: str) -> Identity:
    """Whoever can open the index itself may do everything."""
    principal = Principal(Kind.OPERATOR, name)
    return Identity(principal, (Grant(0, str(principal), Role.ADMINISTRATOR, EVERYTHING),))
