"""Repository names and tags (distribution-spec, "Pulling manifests").

What may follow a character never leaves a choice, so that a text is read once from left to right, whatever
it is. Possessive groups would say so, but early releases of Python 3.11 get them wrong: see
tests/architecture/test_expressions.py.
"""

import re

from registry.oci.errors import NameInvalid, TagInvalid
from registry.oci.quoting import quoted

NAME_LIMIT = 255
"""Characters of a repository name, as in distribution and in many clients."""

_COMPONENT = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_NAME = re.compile(f"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")


class RepositoryName(str):
    """A valid repository name. Made by `parse`."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> "RepositoryName":
        """Check `text`. Raises NameInvalid, saying what would be right."""
        if len(text) > NAME_LIMIT:
            raise NameInvalid(
                f"a repository name has at most {NAME_LIMIT} characters, this one has {len(text)}"
            )
        if _NAME.fullmatch(text) is None:
            raise NameInvalid(
                f"{quoted(text)} is not a repository name: one is made of components joined by '/', each of "
                "lower-case letters and digits, joined by single '.', one or two '_', or any number of '-'"
            )
        return cls(text)


class Tag(str):
    """A valid tag. Made by `parse`."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: str) -> "Tag":
        """Check `text`. Raises TagInvalid, saying what would be right."""
        if _TAG.fullmatch(text) is None:
            raise TagInvalid(
                f"{quoted(text)} is not a tag: one has 1 to 128 of the characters A-Z, a-z, 0-9, '_', '.' "
                "and '-', and starts with neither '.' nor '-'"
            )
        return cls(text)
