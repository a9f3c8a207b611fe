"""May this identity do that, and why?"""

from typing import NamedTuple

from auth.grants import Grant
from auth.identity import Identity
from auth.roles import Action, lowest_role


class Decision(NamedTuple):
    """`reason` is a sentence; `grant` is the one that decided, if one did."""

    allowed: bool
    reason: str
    grant: Grant | None = None


def decide(identity: Identity, action: Action, repository: str, *, public: bool) -> Decision:
    """Whether an identity may do something with a repository, existing or not.

    Rights are the union of all grants; a token's limits come first; a public repository gives pull to all.
    """
    limited = identity.limits.refusal(action, repository)
    if limited is not None:
        return Decision(False, limited)
    for grant in identity.grants:
        if grant.allows(action, repository):
            return Decision(True, str(grant), grant)
    if public and action is Action.PULL:
        return Decision(True, f"{repository} is public")
    return Decision(False, needed(identity, action, repository))


def may(identity: Identity, action: Action, repository: str, *, public: bool) -> bool:
    """The same, for who only needs a yes or no."""
    return decide(identity, action, repository, public=public).allowed


def needed(identity: Identity, action: Action, repository: str) -> str:
    """What is missing. It speaks of the asker's own grants and of nothing else."""
    role = lowest_role(action)
    held = [str(grant) for grant in identity.grants if grant.pattern.matches(repository)]
    has = f"; {' and '.join(held)}, which is not enough" if held else ""
    if identity.is_anonymous:
        return f"nobody is signed in; {action} on {repository} needs the role {role}"
    return (
        f"{action} on {repository} needs the role {role} for {identity.principal} or one of its groups{has}"
    )
