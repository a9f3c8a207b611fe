"""Patterns of repository names and of tags."""

import re
from functools import lru_cache
from typing import NamedTuple

from auth import wildcards

_COMPONENT = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_PATTERN = re.compile(rf"(?:{_COMPONENT}|\*\*?)(?:/(?:{_COMPONENT}|\*\*?))*")
_TAG_PATTERN = re.compile(r"[A-Za-z0-9_.*-]{1,128}")


class RepositoryPattern(NamedTuple):
    """Names of repositories: `acme/app` is one, `*` stands for one component, and `**`, at the end, for one
    or more: `acme/**` is all below `acme/`, `**` is everything."""

    text: str

    def __str__(self) -> str:
        return self.text

    @classmethod
    def parse(cls, text: str) -> "RepositoryPattern":
        """Raises ValueError, with a message that says what would be right."""
        if len(text) > 255 or not _PATTERN.fullmatch(text) or "**/" in text:
            raise ValueError(
                f"{text[:255]!r} should be a repository like acme/app, or a pattern: acme/* for one "
                "component, acme/** for everything below acme/, ** for all repositories"
            )
        return cls(text)

    @property
    def components(self) -> tuple[str, ...]:
        return tuple(self.text.split("/"))

    @property
    def is_exact(self) -> bool:
        """Whether it names one repository."""
        return "*" not in self.text

    @property
    def prefix(self) -> str:
        """What all names that match begin with; of an exact pattern, the name."""
        return self.text.partition("*")[0]

    def matches(self, name: str) -> bool:
        return self.text == name or (not self.is_exact and _expression(self.text).fullmatch(name) is not None)

    def covers(self, other: "RepositoryPattern") -> bool:
        """Whether every name that `other` matches is matched by this one."""
        mine, theirs = self.components, other.components
        for position, component in enumerate(mine):
            if component == "**":
                return len(theirs) > position
            if position >= len(theirs) or theirs[position] == "**":
                return False
            if component not in ("*", theirs[position]):
                return False
        return len(mine) == len(theirs)


EVERYTHING = RepositoryPattern("**")


@lru_cache(maxsize=4096)
def _expression(pattern: str) -> re.Pattern[str]:
    parts = {"**": ".+", "*": "[^/]+"}
    return re.compile("/".join(parts.get(part, re.escape(part)) for part in pattern.split("/")))


class TagPattern(NamedTuple):
    """Names of tags: `*` stands for any run of characters, also none."""

    text: str

    def __str__(self) -> str:
        return self.text

    @classmethod
    def parse(cls, text: str) -> "TagPattern":
        """Raises ValueError."""
        if not _TAG_PATTERN.fullmatch(text):
            raise ValueError(f"{text[:128]!r} should be a tag, or a pattern of tags like v* or *-release")
        return cls(text)

    def matches(self, tag: str) -> bool:
        return wildcards.matches(self.text, tag)
