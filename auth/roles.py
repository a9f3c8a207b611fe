"""What can be done with a repository, and the roles that allow it."""

from enum import StrEnum


class Action(StrEnum):
    """What a request needs. The first three are those of registry tokens."""

    PULL = "pull"
    PUSH = "push"
    DELETE = "delete"
    CONFIGURE = "configure"
    """Change the settings of a repository: visibility, description, immutable tags, quota."""
    ADMINISTER = "administer"
    """Give and take roles on a repository; on `**`, manage accounts, keys and all else."""


class Role(StrEnum):
    """Each allows what the one before it allows, and more."""

    READER = "reader"
    WRITER = "writer"
    MAINTAINER = "maintainer"
    ADMINISTRATOR = "administrator"

    @property
    def actions(self) -> frozenset[Action]:
        return _ACTIONS[self]

    @classmethod
    def parse(cls, text: str) -> "Role":
        """Raises ValueError, with a message that names the roles."""
        try:
            return cls(text)
        except ValueError:
            raise ValueError(f"{text!r} is no role; there are {', '.join(cls)}") from None


_READER = frozenset({Action.PULL})
_WRITER = _READER | {Action.PUSH}
_MAINTAINER = _WRITER | {Action.DELETE, Action.CONFIGURE}

_ACTIONS = {
    Role.READER: _READER,
    Role.WRITER: _WRITER,
    Role.MAINTAINER: _MAINTAINER,
    Role.ADMINISTRATOR: frozenset(Action),
}


def lowest_role(action: Action) -> Role:
    """The role that allows an action and as little else as possible."""
    return next(role for role in Role if action in role.actions)
