"""Who acts: a principal, written `user:alice`."""

import re
from enum import StrEnum
from typing import NamedTuple

_NAME = re.compile(r"[a-z0-9]+(?:[._@-][a-z0-9]+)*")
LONGEST_NAME = 100


class Kind(StrEnum):
    """What a principal is. The first three have a row of their own and may be granted roles."""

    USER = "user"
    ROBOT = "robot"
    GROUP = "group"
    JOB = "job"
    """Somebody who signed in with the token of an OIDC issuer; the name is the token's `sub`."""
    EXTERNAL = "external"
    """Somebody whom the token server of another issuer knows; the name is the token's `sub`."""
    OPERATOR = "operator"
    """Whoever runs the command line on the registry's own index; the name is the system's user."""
    ANONYMOUS = "anonymous"


GRANTEES = (Kind.USER, Kind.ROBOT, Kind.GROUP)


class Principal(NamedTuple):
    """A kind and a name; the name of the anonymous is empty."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        return f"{self.kind.value}:{self.name}" if self.name else self.kind.value

    @classmethod
    def parse(cls, text: str) -> "Principal":
        """What `str` wrote. Raises ValueError, with a message that says what would be right."""
        if text == Kind.ANONYMOUS:
            return ANONYMOUS
        kind, colon, name = text.partition(":")
        if not colon or kind not in set(Kind) - {Kind.ANONYMOUS}:
            raise ValueError(f"{text!r} should be user:NAME, robot:NAME or group:NAME")
        parsed = Kind(kind)
        return cls(parsed, check_name(name) if parsed in GRANTEES else check_subject(name))


ANONYMOUS = Principal(Kind.ANONYMOUS, "")


def check_name(name: str) -> str:
    """The name of a user, robot, group or trust rule as it is. Raises ValueError."""
    if len(name) > LONGEST_NAME or not _NAME.fullmatch(name):
        raise ValueError(
            f"the name {name[:LONGEST_NAME]!r} should be at most {LONGEST_NAME} lower-case letters and "
            "digits, with single . _ @ or - between them"
        )
    return name


def check_subject(name: str) -> str:
    """The subject of an outside token. Raises ValueError."""
    if not name or len(name) > 255 or not name.isprintable():
        raise ValueError("a subject should have 1 to 255 printable characters")
    return name
