"""Places between two steps of durability at which a test can have the process killed.

`ENTREPOT_FAILPOINT=filesystem.commit.renamed` (or `...:3`, for the third time in one process) kills the
whole process group there with SIGKILL: nothing runs afterwards, no handler, no flush. Without the
variable a failpoint costs one comparison.

    RENAMED = declare("filesystem.commit.renamed")
    ...
    failpoint(RENAMED)
"""

import itertools
import os
import signal
from typing import NewType

VARIABLE = "ENTREPOT_FAILPOINT"

Failpoint = NewType("Failpoint", str)
"""Only `declare` makes one, so that the type checker finds a name that nobody declared."""

_declared: list[Failpoint] = []


def declare(name: str) -> Failpoint:
    """Name a place. Raises ValueError if the name is taken: each belongs to one place."""
    if name in _declared:
        raise ValueError(f"the failpoint {name!r} is declared twice")
    _declared.append(Failpoint(name))
    return _declared[-1]


def declared() -> tuple[Failpoint, ...]:
    """Every failpoint of the modules imported so far, in the order of declaration."""
    return tuple(_declared)


def parse(setting: str) -> tuple[str, int]:
    """`name` or `name:N` as (name, N). Raises ValueError if N is not a number from 1 up."""
    name, colon, count = setting.partition(":")
    if colon and not (count.isascii() and count.isdecimal() and int(count) > 0):
        raise ValueError(f"{VARIABLE}={setting!r}: after the colon belongs which time it is, from 1 up")
    return name, int(count or 1)


_target, _time = parse(os.environ.get(VARIABLE, ""))
_hits = itertools.count(1)  # next() on it is atomic: failpoints are met in several threads


def failpoint(place: Failpoint) -> None:
    """Kill the process group if this place is the one that the environment names."""
    if place == _target and next(_hits) == _time:
        os.killpg(os.getpgrp(), signal.SIGKILL)
