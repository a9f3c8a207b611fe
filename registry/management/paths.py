"""The paths of the management API's operations."""

import re

WITH_SLASHES = ("repository", "prefix")
"""Names in the paths of operations that stand for several components."""

_COMPONENT = r"(?!-(?:/|$))[^/]+"
"""A part of a path, decoded later. One that is `-` ends a name that may hold slashes: no name has such a
component."""


def expression(path: str) -> re.Pattern[str]:
    """What matches the paths that an operation's path stands for."""

    def part(found: re.Match[str]) -> str:
        name = found[1]
        whole = f"{_COMPONENT}(?:/{_COMPONENT})*" if name in WITH_SLASHES else "[^/]+"
        return f"(?P<{name}>{whole})"

    return re.compile(re.sub(r"\\\{(\w+)\\\}", part, re.escape(path)))
